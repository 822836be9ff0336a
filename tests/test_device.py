"""Tests run on the CPU of a machine with a GPU, by the setting that the product has for everybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from explorer.device import best_device, device_report, resting_device
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.examples import example_files
from tests.fake_cuda import pretend
from training.config import ConfigError
from training.loop.parallel import device_of
from vit_model.device import SETTING, preferred_device

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gpu(monkeypatch):
    """A machine that says it has a GPU."""
    names = ("is_available", "device_count", "current_device", "get_device_name", "is_current_stream_capturing")
    for name in (*names, "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, getattr(torch.cuda, name))  # put back after the test
    pretend()


def test_where_there_is_a_gpu_tests_run_on_the_cpu(gpu):
    assert best_device() == resting_device() == device_of("auto") == torch.device("cpu")
    scene = scene_of(ModelChoice(), str(example_files()[0]))
    assert {scene.trace.logits.device.type, next(scene.model.parameters()).device.type} == {"cpu"}
    assert device_report() == ("cpu-setting", {"setting": SETTING})


def test_and_so_do_the_processes_that_they_start():
    code = "import tests.fake_cuda as fake; fake.pretend(); from vit_model.device import *; print(preferred_device())"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "cpu"


def test_without_the_setting_the_gpu_is_chosen(gpu, monkeypatch):
    for value in (None, "", "auto", "cuda", " CUDA "):
        monkeypatch.delenv(SETTING, raising=False)
        if value is not None:
            monkeypatch.setenv(SETTING, value)
        assert best_device().type == device_of("auto").type == "cuda", value
    assert device_report() == ("gpu", {"name": "a GPU that is not there"})
    assert device_of("cpu").type == "cpu", "what a run names itself is stronger"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gpu", f"{SETTING} must be auto, cpu, cuda, cuda:1, ... or mps; got 'gpu'"),
        ("meta", f"{SETTING} must be auto, cpu, cuda, cuda:1, ... or mps; got 'meta'"),
        ("cuda:7", f"{SETTING} is cuda:7, but there are 1 GPUs"),
        ("mps", f"{SETTING} is mps, but torch finds no such device here; set it to auto or cpu"),
    ],
)
def test_a_setting_that_cannot_be(gpu, monkeypatch, value, message):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv(SETTING, value)
    with pytest.raises(ValueError) as error:
        preferred_device()
    assert str(error.value) == message
    with pytest.raises(ConfigError):
        device_of("auto")


def test_the_setting_is_documented():
    assert SETTING in (ROOT / "README.md").read_text("utf-8")
    assert os.environ[SETTING] == "cpu"
