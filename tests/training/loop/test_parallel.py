"""Two processes over gloo train as one does: the same losses with the same global batch, to 1e-4."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.runs.metrics import fold, read_events
from training.runs.runs import Run

ROOT = Path(__file__).parents[3]
FIELDS = [
    *("--recipe", "scratch-tiny", "--width", "16", "--depth", "2", "--heads", "2", "--device", "cpu"),
    *("--batch", "16", "--steps", "6", "--eval-every", "3", "--held-out", "0.2", "--crop", "resized", "--flip"),
    *("--mixup", "0.3", "--cutmix", "1.0", "--randaugment", "1", "--ema", "0.9", "--optimizer", "sgd", "--lr", "0.05"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 11)):
        for channel, name in enumerate(("red", "green")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                values = random.integers(0, 160, (32, 32, 3), dtype=np.uint8)
                values[..., channel] += 60
                Image.fromarray(values).save(folder / split / name / f"{number}.png")
    return folder


def train(path, data, processes, *more):
    """The curve of a run by the command line, as {(split, step): event}."""
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    command = [*launcher, "training", "run", *FIELDS, "--data", data, "--out", path, *more]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert Run(path).state == "finished"
    return {(event.split, event.step): event.values for event in fold(read_events(path / "events.jsonl")[0])}


@pytest.fixture(scope="module")
def one(tmp_path_factory, data):
    return train(tmp_path_factory.mktemp("one") / "run", data, 1)


@pytest.mark.parametrize("accumulation", ["1", "2"])
def test_two_processes_have_the_losses_of_one(tmp_path, data, one, accumulation):
    two = train(tmp_path / "run", data, 2, "--accumulation", accumulation)
    assert set(two) == set(one)
    for key, values in one.items():
        for name in ("loss", "grad_norm", "accuracy"):
            if name in values:
                assert two[key][name] == pytest.approx(values[name], rel=1e-4, abs=1e-4), (key, name)


def test_a_batch_that_the_processes_cannot_share_is_said(tmp_path, data):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "training"]
    command += ["run", *FIELDS, "--data", data, "--out", tmp_path / "run", "--batch", "15"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode != 0
    assert "a batch of 15 cannot be cut into 2 equal parts" in ended.stderr
