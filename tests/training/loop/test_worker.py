"""How a worker's failures are told, and that everything up to them is kept."""

import errno
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError

from training.config import RunConfig
from training.errors import TrainingError
from training.loop import checkpoint
from training.loop.worker import reason_of, work
from training.runs.metrics import fold, read_events
from training.runs.runs import Run


@pytest.fixture
def run(tmp_path):
    random = np.random.default_rng(0)
    for name in ("red", "green"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(12):
            values = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(values).save(tmp_path / "data" / name / f"{number}.png")
    config = RunConfig(
        data=str(tmp_path / "data"),
        model="new:scratch-vit4",
        width=16,
        depth=1,
        heads=2,
        resolution=16,
        head_init="random",
        batch=4,
        steps=8,
        eval_every=2,
        held_out=0.2,
        log_every=1,
        lr=0.01,
        device="cpu",
    )
    return Run.create(tmp_path / "run", config)


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(run, monkeypatch, fault):
    plain, calls = checkpoint.save_file, []

    def full(tensors, path, *more, **choices):
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise fault
        return plain(tensors, path, *more, **choices)

    monkeypatch.setattr(checkpoint, "save_file", full)
    assert work(run) == 1
    ended = run.read("ended.json")  # its state is "running" still, as this process lives
    assert ended["state"] == "failed" and "the disk is full; make room and resume" in ended["reason"]
    assert ended["reason_coded"]["code"] == "run_disk_full_at"
    assert list(checkpoint.complete(run.path / "checkpoints")) == [2]
    assert work(run) == 0
    assert run.read("ended.json")["state"] == "finished"
    steps = [event.step for event in fold(read_events(run.path / "events.jsonl")[0]) if event.split == "train"]
    assert steps == list(range(1, 9))
    assert not [path for path in (run.path / "checkpoints").iterdir() if path.name.startswith(".")]


def test_data_that_have_vanished_are_said(run, tmp_path):
    shutil.rmtree(tmp_path / "data")
    assert work(run) == 1
    ended = run.read("ended.json")
    assert ended["state"] == "failed" and "no data set" in ended["reason"] and str(tmp_path / "data") in ended["reason"]
    assert ended["reason_coded"]["code"] == "data_unknown"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of GPU memory; choose a smaller batch"),
        (FileNotFoundError(2, "No such file", "/data/cat.png"), "no longer there: /data/cat.png"),
        (TrainingError("the loss became nan"), "the loss became nan"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_reasons_are_for_people(error, words):
    assert words in reason_of(error)
