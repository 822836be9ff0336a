"""The page's scripts: what each may import, that imports and exports fit, and the unit tests that Node runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOME = ROOT / "explorer"
LEVELS = ("viewer/kit", "viewer", "tabs", "page")
"""A script imports those of its own level and of those before it; of the tabs, only its own."""

IMPORT = re.compile(r'^(?:import|export)\s*(?:(\{[^}]*\}|\*[^"\']*?|\w+)\s*from\s*)?["\']([^"\']+)["\']', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)


def scripts(home: Path) -> list[Path]:
    return sorted(home.rglob("*.js"))


def imports(script: Path) -> Iterator[tuple[Path, list[str]]]:
    """(file, names) of all that a script imports."""
    for names, address in IMPORT.findall(script.read_text("utf-8")):
        assert address.startswith(("./", "../")), f"{script.name} imports {address!r}, which is no file of ours"
        taken = [name.split(" as ")[0].strip() for name in names.strip("{} ").split(",")] if names else []
        yield (script.parent / address).resolve(), [name for name in taken if name]


def level(script: Path, home: Path) -> int:
    name = script.relative_to(home).as_posix()
    return next(at for at, room in enumerate(LEVELS) if name.startswith(f"{room}/"))


def violations(home: Path) -> list[str]:
    """`file imports file` for every import that breaks the rule."""
    found = []
    for script in scripts(home):
        for target, _ in imports(script):
            here, there = level(script, home), level(target, home)
            tabs = {each.relative_to(home).parts[1] for each in (script, target)}
            if there > here or (LEVELS[there] == "tabs" and len(tabs) > 1):
                found.append(f"{script.relative_to(home).as_posix()} imports {target.relative_to(home).as_posix()}")
    return found


def circles(home: Path) -> list[str]:
    """Scripts that import themselves by way of others."""
    graph = {script: {target for target, _ in imports(script)} for script in scripts(home)}

    def reached(script: Path) -> set[Path]:
        seen: set[Path] = set()
        ahead = list(graph[script])
        while ahead:
            if (one := ahead.pop()) not in seen:
                seen.add(one)
                ahead += graph.get(one, ())
        return seen

    return [script.relative_to(home).as_posix() for script in graph if script in reached(script)]


def test_scripts_import_kit_then_viewer_then_tabs_and_no_tab_another():
    assert len(scripts(HOME)) > 40
    assert violations(HOME) == []


def test_no_circle_of_scripts():
    assert circles(HOME) == []


def test_what_a_script_imports_is_there():
    """A browser would refuse the whole module, and with it the component."""
    for script in scripts(HOME):
        for target, names in imports(script):
            missing = set(names) - set(EXPORT.findall(target.read_text("utf-8")))
            assert not missing, f"{script.relative_to(HOME)}: {target.name} has no {missing}"


def test_every_export_is_imported_or_tested_somewhere():
    used = {(target, name) for script in scripts(HOME) for target, names in imports(script) for name in names}
    for test in ROOT.glob("tests/**/*.test.mjs"):
        used |= {
            (target, name)
            for names, address in IMPORT.findall(test.read_text("utf-8"))
            if (target := (test.parent / address).resolve()).is_relative_to(HOME)
            for name in re.findall(r"\w+", names)
        }
    for script in scripts(HOME):
        for name in EXPORT.findall(script.read_text("utf-8")):
            free = name == "mount" or (name == "mountComponent" and script.name == "mount.js")
            assert free or (script, name) in used, f"{script.relative_to(HOME)}: nobody imports {name}"


def test_a_script_in_the_wrong_direction_is_reported(tmp_path):
    files = {
        "viewer/kit/a.js": 'import { x } from "../b.js";\n',
        "viewer/b.js": 'import { a } from "./kit/a.js";\nexport const x = 1;\n',
        "tabs/one/c.js": 'import "../../viewer/b.js";\nimport {\n  d,\n} from "../two/d.js";\n',
        "tabs/two/d.js": "export const d = 1;\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert violations(tmp_path) == ["tabs/one/c.js imports tabs/two/d.js", "viewer/kit/a.js imports viewer/b.js"]
    assert circles(tmp_path) == ["viewer/b.js", "viewer/kit/a.js"]


def test_the_lock_file_names_no_host():
    """Where packages come from is the business of each machine."""
    text = (ROOT / ".ci/npm/package-lock.json").read_text("utf-8")
    assert '"resolved"' not in text and "registry" not in text
    assert text.count('"integrity"') > 50


@pytest.mark.skipif(not shutil.which("node"), reason="no Node on this machine, which runs the scripts' unit tests")
def test_the_unit_tests_of_the_scripts():
    tests = sorted(ROOT.glob("tests/**/*.test.mjs"))
    assert len(tests) > 10
    done = subprocess.run(["node", "--test", *map(str, tests)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^# pass [1-9]|^ℹ pass [1-9]", done.stdout, re.MULTILINE)


START = re.compile(r"^  (?:load|show|select|draw|render|refresh|build)\(\);", re.MULTILINE)
NAMED = re.compile(r"^  (?:const|let) (\w+)", re.MULTILINE)


def named_too_late(text: str) -> list[str]:
    """Names that a `mount` gives a value only after it has begun to draw, when a function may have read them."""
    body = text.partition("export function mount(")[2]
    start = START.search(body)
    return NAMED.findall(body, start.end()) if start else []


def test_a_script_draws_when_everything_that_it_names_has_a_value():
    """The Laboratory's table of parts failed as it was opened with a value there: it read `lossOf` too early."""
    late = {script.relative_to(HOME).as_posix(): named_too_late(script.read_text("utf-8")) for script in scripts(HOME)}
    assert {name: names for name, names in late.items() if names} == {}


def test_a_planted_name_that_comes_too_late_is_found():
    assert named_too_late("export function mount({ t }) {\n  load();\n  const late = () => 1;\n}\n") == ["late"]
