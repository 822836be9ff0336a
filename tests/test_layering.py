"""The import rule: what each part of the house may import, checked on the source of every file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("vit_model", "explorer", "training", "app")
CORE = sys.stdlib_module_names | {"vit_model", "torch", "torchvision", "PIL", "safetensors", "huggingface_hub", "numpy"}
ORACLES = {"transformers", "timm", "captum", "matplotlib", "requests"}
NEVER = ORACLES | {"tests", "benchmarks"}
PAGE = ("app", "explorer.viewer", "explorer.tabs")


def may_import(module: str, name: str) -> bool:
    """Whether our `module` may import `name`; both dotted."""
    if name.split(".")[0] in NEVER:
        return False
    if _within(module, "vit_model"):
        return name.split(".")[0] in CORE
    if _within(module, "training"):
        return not _within(name, "gradio", "plotly", "explorer", "app")
    if _within(module, "explorer.viewer"):
        return not _within(name, "explorer.tabs", "app")
    if _within(module, "explorer") and not _within(module, "explorer.tabs"):
        return not _within(name, "gradio", *PAGE)
    return not _within(name, "app")


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


def test_imports_point_one_way():
    assert violations(ROOT) == []


def test_the_files_are_found():
    assert {ROOT / "app.py", ROOT / "vit_model" / "model.py", ROOT / "explorer" / "rollout.py"} <= set(files(ROOT))


@pytest.mark.parametrize(
    ("path", "line", "name"),
    [
        ("vit_model/a.py", "import scipy", "scipy"),
        ("vit_model/a.py", "import explorer.session", "explorer.session"),
        ("vit_model/deep/a.py", "def f():\n    from timm.layers import x", "timm.layers.x"),
        ("vit_model/a.py", "import os, gradio", "gradio"),
        ("training/a.py", "import plotly.graph_objects as go", "plotly.graph_objects"),
        ("training/a.py", "from explorer import explain", "explorer.explain"),
        ("explorer/a.py", "import gradio as gr", "gradio"),
        ("explorer/__init__.py", "from .tabs import page", "explorer.tabs.page"),
        ("explorer/a.py", "from explorer import viewer", "explorer.viewer"),
        ("explorer/tabs/a.py", "from app import demo", "app.demo"),
        ("explorer/tabs/deep/a.py", "from ....app import demo", "app.demo"),
        ("explorer/viewer/a.py", "from ..tabs.page import x", "explorer.tabs.page.x"),
        ("explorer/a.py", "import importlib\nimportlib.import_module('matplotlib.pyplot')", "matplotlib.pyplot"),
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
        ("explorer/a.py", "import plotly, gradients\nfrom vit_model.trace import Trace\nfrom .figures import x"),
        ("explorer/tabs/a.py", "import gradio as gr\nfrom ..viewer import Viewer\nfrom training.runs import Run"),
        ("app.py", "import gradio\nfrom explorer.tabs.page import build"),
        ("tests/a.py", "import timm, transformers, app"),
    ],
)
def test_what_is_allowed_passes(tmp_path, path, line):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(line)
    assert violations(tmp_path) == []
