"""The project as a package: what `pip install .` brings along, and which versions it asks for."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from training.runs.processes import python_path

ROOT = Path(__file__).parent.parent
PACKAGES = ("vit_model", "explorer", "training")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CALL = "from explorer.page.serving.command import main; main()"
FOR_READERS = {"explorer/screenshot.png"}  # of the README


def pins(file: str) -> dict[str, str]:
    """Package -> version of every `package==version` in a requirements file."""
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text("utf-8").splitlines())
    return dict(line.split("==") for line in lines if "==" in line)


def files(folder: Path) -> set[str]:
    """What of the packages lies in a folder, but for what Python and Gradio write beside their sources."""
    paths = (path.relative_to(folder) for package in PACKAGES for path in (folder / package).rglob("*"))
    return {
        path.as_posix()
        for path in paths
        if (folder / path).is_file() and "__pycache__" not in path.parts and path.suffix != ".pyi"
    }


def python(code: str, folder: Path, **settings: str) -> str:
    """What a program prints that is started in `folder`, far from the checkout."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VIT_EXPLORER", "GRADIO"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env | settings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that the project was installed in, from a copy of the checkout: nothing is built in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "tests", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "explorer" / "device.pyi").write_text("")  # as Gradio leaves them
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", target, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return target


def test_ranges_hold_the_pinned_versions_and_leave_none_out():
    wanted = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
    pinned = pins("requirements.txt")
    assert wanted.keys() == pinned.keys()
    assert [name for name, one in wanted.items() if not one.specifier.contains(pinned[name])] == []
    assert [name for name, one in wanted.items() if {"<"} - {part.operator for part in one.specifier}] == []


def test_the_readmes_version_of_gradio_is_the_pinned_one():
    front = (ROOT / "README.md").read_text("utf-8").split("---")[1]
    assert f"sdk_version: {pins('requirements.txt')['gradio']}\n" in front


def test_all_files_of_the_packages_come_along(installed):
    assert files(installed) == files(ROOT) - FOR_READERS
    assert "vit_model/bundled/model.safetensors" in files(installed)
    assert {f"{package}/py.typed" for package in PACKAGES} <= files(installed)


def test_nothing_else_comes_along(installed):
    entries = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert entries == {*PACKAGES, "bin" if os.name == "posix" else "Scripts"}
    assert not list(installed.rglob("*.pyi"))


def test_the_installed_modules_work_far_from_the_checkout(installed, tmp_path):
    code = (
        "import explorer, training.runs.processes, vit_model\n"
        "from training.hosted import jobs\n"
        "print(explorer.__file__, vit_model.load_model('bundled').labels[0], jobs._pinned('huggingface_hub'))\n"
        "print(training.runs.processes.python_path())"
    )
    first, second = python(code, tmp_path, PYTHONPATH=str(installed)).splitlines()
    hub = f"huggingface_hub=={pins('requirements.txt')['huggingface_hub']}"
    assert first == f"{installed / 'explorer' / '__init__.py'} cassette_player {hub}"
    assert second.split(os.pathsep)[0] == str(installed)


def test_the_command_has_the_options_of_app_py_and_its_own_name(installed, tmp_path):
    command = [installed / "bin" / "vit-explorer"] if os.name == "posix" else [sys.executable, "-c", CALL]
    env = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [*command, "--port", "99999"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "usage: vit-explorer [-h] [--model MODEL] [--host HOST] [--port PORT] [--share]",
        "vit-explorer: error: argument --port: a port is a number from 1 to 65535, got '99999'",
    ]


def test_the_command_says_in_its_own_name_that_a_cache_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    env = os.environ | {"PYTHONPATH": str(ROOT), "VIT_EXPLORER_CACHE": str(tmp_path / "file" / "cache")}
    command = [sys.executable, "-c", CALL]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith("vit-explorer: error: VIT_EXPLORER_CACHE: cannot write in ")


def test_the_environment_is_set_before_torch_and_gradio_are_imported(tmp_path):
    code = (
        "import sys, explorer.page.serving.command, explorer.page.serving.environment as e\n"
        "assert e.prepare_environment() == ''\n"
        "print(*{'torch', 'gradio', 'huggingface_hub'} & set(sys.modules))"
    )
    assert python(code, tmp_path, PYTHONPATH=str(ROOT)) == "\n"


def test_where_we_are_installed_nothing_comes_before_the_standard_library(monkeypatch):
    """Any folder of packages in PYTHONPATH would: an old backport there, of `dataclasses` say, was then taken."""
    monkeypatch.setenv("PYTHONPATH", "mine")
    assert python_path() == os.pathsep.join([str(ROOT), "mine"])
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(ROOT))
    assert python_path() == "mine"
