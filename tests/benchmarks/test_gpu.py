"""`python -m benchmarks gpu` on the CPU: what it measures, what it cuts off, and what it says it left out."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.explore import _shown_layer
from vit_model import VisionTransformer, ViTConfig

ROOT = Path(__file__).parents[2]


def test_a_part_runs_and_its_rows_come_back():
    part = next(part for part in gpu.PARTS if part.name == "explore")
    outcome = gpu.run(part, "cpu", True, None, 600)
    assert outcome.state == "finished", outcome.reason
    groups = {each["group"] for each in outcome.results}
    assert {"Forward pass: B/16 at 224 px, batch 1, fp32", "One new picture: B/16 at 224 px"} <= groups
    assert "| traced / plain |" in gpu.in_words(outcome)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_part_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path):
    note = tmp_path / "child"
    code = (
        "import pathlib, subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)']); "
        f"pathlib.Path({str(note)!r}).write_text(str(child.pid)); print('begun', flush=True); time.sleep(1000)"
    )
    script = tmp_path / "wait.py"
    script.write_text(code)
    assert gpu.run_for([sys.executable, str(script)], dict(os.environ), tmp_path / "said.txt", 20) is None
    child = int(note.read_text())
    for _ in range(600):  # a process that was killed may take a moment to go
        if not is_running(child):
            break
        time.sleep(0.1)
    assert not is_running(child)


def test_what_is_missing_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr(gpu, "lacking", lambda modules: [name for name in modules if name == "captum"])
    part = next(part for part in gpu.PARTS if part.name == "explain")
    outcome = gpu.run(part, "cpu", True, None, 600)
    assert (outcome.state, outcome.reason) == ("left out", "captum not installed")
    assert gpu.run(gpu.PARTS[0], "cpu", True, None, 0).state == "cut off"


def test_tests_run_last_and_the_parts_share_the_time():
    assert [part.name for part in gpu.PARTS] == ["explore", "explain", "train", "tests"]
    shares = [part.until for part in gpu.PARTS]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert gpu.SECONDS < 480


def test_the_command_writes_one_json_file(tmp_path):
    file = tmp_path / "gpu.json"
    words = [
        "--device",
        "cpu",
        "--tiny",
        "--only",
        "tests",
        "--select",
        "test_a_method and rollout",
        "--seconds",
        "600",
    ]
    command = [sys.executable, "-m", "benchmarks", "gpu", *words, "--json", str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(file.read_text())
    assert set(report["parts"]["tests"]["tests"].values()) == {"passed"}
    assert "| tests | finished |" in ended.stdout


def test_without_a_gpu_it_says_how_to_try_it(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--device cpu --tiny" in capsys.readouterr().err


class Elsewhere(torch.Tensor):
    """As a tensor of a GPU, none that numpy takes."""

    def __array__(self, *arguments, **words):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_the_shown_layer_of_a_gpu_is_packed(monkeypatch):
    """`benchmarks explore` gave numpy a tensor of the GPU."""
    model = VisionTransformer(ViTConfig(image_size=32, patch_size=8, width=32, depth=2, heads=2, classes=3)).eval()
    with torch.no_grad():
        trace = model.trace(torch.randn(1, 3, 32, 32))
    expected = _shown_layer(trace)
    from benchmarks import explore

    make = explore.layer_attention
    monkeypatch.setattr(explore, "layer_attention", lambda *given: make(*given).as_subclass(Elsewhere))
    with pytest.raises(TypeError):
        __import__("numpy").asarray(explore.layer_attention(trace, -1))
    assert _shown_layer(trace) == expected


BARE = "import sys; sys.modules.update(dict.fromkeys(('gradio', 'gradio_client', 'plotly'))); "


def test_what_needs_neither_gradio_nor_plotly_runs_without_them():
    """`None` among the modules is how Python says that one cannot be imported."""
    options = "addopts=-q -rs --strict-markers --import-mode=importlib"
    words = ["-p", "no:cacheprovider", "-o", options, "tests/gpu", "-k", "page or scene or traced_forward"]
    codes = (
        "import benchmarks.gpu, benchmarks.explain, benchmarks.train, benchmarks.explore as explore; "
        "explore.main(['--quick', '--tiny', '--only', 'forward'])",
        f"import pytest; sys.exit(pytest.main({words}))",
    )
    environment = os.environ | {"VIT_EXPLORER_GPU_TESTS": "cpu"}
    said = []
    for code in codes:
        command = [sys.executable, "-c", BARE + code]
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        said.append(ended.stdout)
    assert "| traced / plain |" in said[0]
    assert "gradio is not installed" in said[1] and "8 passed" in said[1], said[1]


def test_rows_of_a_new_picture_are_left_out_without_gradio(monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "lacking", lambda modules: [name for name in modules if name == "gradio"])

    def ended(command, environment, said, seconds):
        said.write_text("", "utf-8")
        return asked.append(command) or 0

    monkeypatch.setattr(gpu, "run_for", ended)
    outcome = gpu.run(gpu.PARTS[0], "cpu", True, None, 600)
    assert (outcome.state, outcome.reason) == ("finished", "rows of a new picture left out: gradio not installed")
    assert "forward" in asked[0] and "picture" not in asked[0] and asked[0].count("--only") == 1
    assert "tests of the page skipped: gradio" in gpu.run(gpu.PARTS[-1], "cpu", True, None, 600).reason
