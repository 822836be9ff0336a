"""The import rule: what each part of the house may import, checked on the source of every file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("vit_model", "explorer", "training", "app")
CORE = sys.stdlib_module_names | {"torch", "torchvision", "PIL", "safetensors", "huggingface_hub", "numpy"}
ORACLES = {"transformers", "timm", "captum", "matplotlib", "requests"}
NEVER = ORACLES | {"tests", "benchmarks"}

SEEING = ("vit_model", "explorer.device", "explorer.analysis")
UI = (*SEEING, "explorer.figures", "explorer.session", "explorer.viewer", "explorer.ui")
ROOMS = {
    "vit_model": ("vit_model",),
    "training": ("vit_model", "training"),
    "explorer.device": ("vit_model",),
    "explorer.analysis": SEEING,
    "explorer.figures": (*SEEING, "explorer.figures"),
    "explorer.session": (*SEEING, "explorer.session"),
    "explorer.viewer": ("vit_model", "explorer.device", "explorer.viewer"),
    "explorer.ui": UI,
    "explorer.tabs.train": (*UI, "explorer.tabs.train", "training"),
    "explorer.tabs": UI,  # and its own folder
    "explorer.page": (*UI, "explorer.tabs", "explorer.page", "training"),
    "explorer": SEEING,
    "app": ("vit_model", "explorer", "training"),
}
"""Room -> what of ours may be imported there. The longest name that fits a module says its room."""

OURS = ("vit_model", "explorer", "training", "app", "tests", "benchmarks")
GRADIO = ("explorer.viewer", "explorer.ui", "explorer.tabs", "explorer.page", "app")


def may_import(module: str, name: str) -> bool:
    """Whether our `module` may import `name`; both dotted."""
    first = name.split(".")[0]
    if first in NEVER:
        return False
    if first == "gradio":
        return _within(module, *GRADIO)
    if first not in OURS:
        return (
            first in CORE if _within(module, "vit_model") else not (first == "plotly" and _within(module, "training"))
        )
    room = max((room for room in ROOMS if _within(module, room)), key=len)
    own = (".".join(module.split(".")[:3]),) if room == "explorer.tabs" else ()
    return _within(name, *ROOMS[room], *own)


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, inside of functions too. `from a import b` is a.b, which may be a
    module; relative imports are made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            origin = [*above, node.module] if node.module else above
            yield from ((node.lineno, ".".join([*origin, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("__import__", "import_module")):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def files(root: Path) -> list[Path]:
    return [path for part in PARTS for path in sorted([*root.glob(f"{part}.py"), *root.glob(f"{part}/**/*.py")])]


def violations(root: Path) -> list[str]:
    """`file:line imports name` for every import under `root` that breaks the rule."""
    found = []
    for path in files(root):
        relative = path.relative_to(root)
        module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        for line, name in imports(path.read_text(encoding="utf-8"), ".".join(relative.parent.parts)):
            if not may_import(module, name):
                found.append(f"{relative.as_posix()}:{line} imports {name}")
    return found


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def circles(root: Path) -> list[list[str]]:
    """Groups of modules that import one another, directly or through others: inside of functions and for types too."""
    sources = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files(root)}
    graph: dict[str, set[str]] = {}
    for module, path in sources.items():
        if not module.endswith("__init__"):
            names = {name for _, name in imports(path.read_text(encoding="utf-8"), module.rpartition(".")[0])}
            graph[module] = {one for name in names for one in (name, name.rpartition(".")[0]) if one in sources}
    reached = {module: _reached(graph, module) for module in graph}
    return sorted({tuple(sorted(o for o in reached[m] if m in reached[o])) for m in graph if m in reached[m]})


def _reached(graph: dict[str, set[str]], module: str) -> set[str]:
    found, ahead = set(), list(graph[module])
    while ahead:
        if (one := ahead.pop()) not in found:
            found.add(one)
            ahead.extend(graph.get(one, ()))
    return found


def test_imports_point_one_way():
    assert violations(ROOT) == []


def test_no_module_imports_itself_by_way_of_others():
    assert circles(ROOT) == []


def test_a_planted_circle_is_found(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training/a.py").write_text("def f():\n    from training.b import g")
    (tmp_path / "training/b.py").write_text("if TYPE_CHECKING:\n    from training import a")
    assert circles(tmp_path) == [("training.a", "training.b")]


def test_no_room_is_a_drawer():
    """A folder with more than about fifteen files is several rooms."""
    folders = [path for part in PARTS for path in (ROOT / part).rglob("*/") if "__pycache__" not in path.parts]
    crowded = {
        folder.relative_to(ROOT).as_posix(): len(held)
        for folder in folders
        if len(
            held := [
                one for one in folder.iterdir() if one.is_file() and one.suffix != ".pyi" and one.name != "__init__.py"
            ]
        )
        > 17
    }
    assert not crowded


def test_the_files_are_found():
    assert {ROOT / "app.py", ROOT / "vit_model/model.py", ROOT / "explorer/analysis/rollout.py"} <= set(files(ROOT))


@pytest.mark.parametrize(
    ("path", "line", "name"),
    [
        ("vit_model/a.py", "import scipy", "scipy"),
        ("vit_model/a.py", "import explorer.session", "explorer.session"),
        ("vit_model/deep/a.py", "def f():\n    from timm.layers import x", "timm.layers.x"),
        ("vit_model/a.py", "import os, gradio", "gradio"),
        ("training/a.py", "import plotly.graph_objects as go", "plotly.graph_objects"),
        ("training/a.py", "from explorer import explain", "explorer.explain"),
        ("explorer/analysis/a.py", "import gradio as gr", "gradio"),
        ("explorer/session/a.py", "import gradio as gr", "gradio"),
        ("explorer/__init__.py", "from .tabs import rollout", "explorer.tabs.rollout"),
        ("explorer/analysis/a.py", "from explorer import viewer", "explorer.viewer"),
        ("explorer/analysis/a.py", "from explorer.session import scenes", "explorer.session.scenes"),
        ("explorer/viewer/a.py", "from explorer.analysis.lens import x", "explorer.analysis.lens.x"),
        ("explorer/ui/a.py", "from explorer.tabs.explain import tab", "explorer.tabs.explain.tab"),
        ("explorer/tabs/compare/a.py", "from explorer.tabs.explain import tab", "explorer.tabs.explain.tab"),
        ("explorer/tabs/compare/a.py", "from explorer.page import page", "explorer.page.page"),
        ("explorer/tabs/figures/a.py", "from training.config import RunConfig", "training.config.RunConfig"),
        ("explorer/page/a.py", "from app import demo", "app.demo"),
        ("explorer/tabs/deep/a.py", "from ....app import demo", "app.demo"),
        ("explorer/viewer/a.py", "from ..tabs.rollout import x", "explorer.tabs.rollout.x"),
        (
            "explorer/figures/a.py",
            "import importlib\nimportlib.import_module('matplotlib.pyplot')",
            "matplotlib.pyplot",
        ),
        ("app.py", "import requests", "requests"),
        ("app.py", "from tests import thing", "tests.thing"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, path, line, name):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(line)
    assert violations(tmp_path) == [f"{path}:{line.count(chr(10)) + 1} imports {name}"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (
            "vit_model/a.py",
            "import os.path, torch.nn.functional as F\nfrom PIL import Image\nfrom .config import ViTConfig",
        ),
        ("training/a.py", "from vit_model import load_model"),
        ("explorer/figures/a.py", "import plotly\nfrom vit_model.trace import Trace\nfrom .figures import x"),
        ("explorer/tabs/train/new/a.py", "import gradio\nfrom ....viewer import V\nfrom training.runs.runs import Run"),
        ("explorer/tabs/rollout/tab.py", "from explorer.tabs.rollout.view import x\nfrom explorer.ui.words import say"),
        ("app.py", "import gradio\nfrom explorer.page.page import build"),
        ("tests/a.py", "import timm, transformers, app"),
    ],
)
def test_what_is_allowed_passes(tmp_path, path, line):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(line)
    assert violations(tmp_path) == []
