"""Training on the GPU: its precisions against each other and the CPU, compiled, short of memory, killed and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.loop.test_loop import go
from training.loop.checkpoint import complete
from training.runs.metrics import fold, read_events
from training.runs.runs import Run
from vit_model import load_model

ROOT = Path(__file__).parents[2]


def losses(curve: dict) -> list[float]:
    """The training loss of each step."""
    return [
        values["loss"] for (split, _), values in sorted(curve.items(), key=lambda pair: pair[0][1]) if split == "train"
    ]


def test_fp32_trains_as_on_the_cpu(tmp_path, config):
    here, _ = go(tmp_path / "here", config(device="cpu"))
    there, end = go(tmp_path / "there", config())
    assert end == "finished"
    assert there.keys() == here.keys()
    assert losses(there) == pytest.approx(losses(here), rel=1e-3)


@pytest.mark.parametrize(("precision", "share"), [("bf16", 0.05), ("fp16", 0.02)])
def test_another_precision_trains_nearly_as_fp32(tmp_path, device, config, precision, share):
    if precision == "fp16" and device.type != "cuda":
        pytest.skip("fp16 needs a CUDA GPU")
    plain, _ = go(tmp_path / "fp32", config())
    other, end = go(tmp_path / precision, config(precision=precision))
    assert end == "finished"
    assert losses(other) == pytest.approx(losses(plain), rel=share)
    assert losses(other) != losses(plain), "it was another precision"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_trains_as_it_does_plainly(tmp_path, config, precision):
    plain, _ = go(tmp_path / "plain", config(precision=precision))
    compiled, end = go(tmp_path / "compiled", config(precision=precision, compile=True))
    assert end == "finished"
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-3 if precision == "fp32" else 0.05)


def test_all_that_augments_and_averages_trains(tmp_path, config):
    more = {"flip": True, "crop": "resized", "mixup": 0.4, "cutmix": 1.0, "randaugment": 1, "erasing": 0.2}
    more |= {"dropout": 0.1, "drop_path": 0.2, "ema": 0.9, "label_smoothing": 0.1, "precision": "bf16"}
    curve, end = go(tmp_path / "run", config(**more))
    assert end == "finished" and len(losses(curve)) == 8


def test_out_of_memory_halves_the_parts_and_keeps_the_batch(tmp_path, device, config, monkeypatch, capsys):
    """A B/16 with 128 pictures at once does not fit into 4 GiB; on the CPU memory is only said to be short."""
    small = {"steps": 2, "eval_every": 2}
    if device.type == "cuda":
        torch.cuda.empty_cache()
        most = 4 * 2**30 / torch.cuda.get_device_properties(device).total_memory
        large = {"model": "new:B/16", "resolution": 224, "batch": 64, "width": 768, "depth": 12, "heads": 12}
        small |= large | {"patch_size": 16}
        torch.cuda.set_per_process_memory_fraction(most)
    else:
        from vit_model import VisionTransformer

        forward = VisionTransformer.forward

        def short(self, pixels):
            if self.training and len(pixels) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return forward(self, pixels)

        monkeypatch.setattr(VisionTransformer, "forward", short)
    try:
        curve, end = go(tmp_path / "run", config(**small))
    finally:
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
            torch.cuda.empty_cache()
    assert end == "finished"
    assert "pictures at once instead of" in capsys.readouterr().out
    assert all(0 < loss < 10 for loss in losses(curve)) and len(losses(curve)) == 2


def process_of(word: str, path: Path) -> subprocess.Popen:
    log = open(path / "said.txt", "ab")  # noqa: SIM115 - the process holds it
    with log:
        command = [sys.executable, "-m", "training", word, str(path)]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def curve_of(run: Run) -> dict:
    events, _ = read_events(run.path / "events.jsonl")
    return {(event.split, event.step): event.values for event in fold(events)}


def test_a_killed_run_resumes_to_the_same_curve(tmp_path, config):
    long = config(steps=400, eval_every=200, checkpoint_every=10)
    whole, _ = go(tmp_path / "whole", long)
    run = Run.create(tmp_path / "killed", long)
    process = process_of("resume", run.path)
    deadline = time.monotonic() + 300  # only so that a failure ends
    while len(complete(run.path / "checkpoints")) < 2:
        assert process.poll() is None, (run.path / "said.txt").read_text()
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert run.state != "finished"
    assert process_of("resume", run.path).wait() == 0, (run.path / "said.txt").read_text()
    assert run.state == "finished"
    assert "resumed at step" in (run.path / "said.txt").read_text()
    resumed = curve_of(run)
    assert resumed.keys() == whole.keys()
    assert losses(resumed)[:50] == pytest.approx(losses(whole)[:50], rel=0.02)
    assert load_model(complete(run.path / "checkpoints")[400]).config.width == 32
