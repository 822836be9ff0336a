"""kill -9 at twenty moments, also while a checkpoint is written: nothing lost, the same curve to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.config import RunConfig
from training.loop import checkpoint
from training.runs.metrics import fold, read_events
from training.runs.runs import Run
from vit_model import load_model

HERE = Path(__file__).parent
KILLS = 20


def curve(run):
    """(split, step) -> values, those that measure the machine left out."""
    events, _ = read_events(run.path / "events.jsonl")
    timed = ("images_per_second", "memory_bytes", "waiting")
    return {(e.split, e.step): {n: v for n, v in e.values.items() if n not in timed} for e in fold(events)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_kill_minus_nine_at_twenty_moments_changes_nothing(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 6)):
        for channel, name in enumerate(("red", "green")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(count):
                values = random.integers(0, 160, (16, 16, 3), dtype=np.uint8)
                values[..., channel] += 60
                Image.fromarray(values).save(tmp_path / "data" / split / name / f"{number}.png")
    config = RunConfig(
        data=str(tmp_path / "data"),
        model="new:scratch-vit4",
        width=32,
        depth=2,
        heads=2,
        resolution=16,
        head_init="random",
        optimizer="adamw",
        lr=1e-3,
        batch=8,
        steps=150,
        eval_every=4,
        checkpoint_every=1,
        log_every=1,
        held_out=0.2,
        crop="resized",
        mixup=0.2,
        dropout=0.1,
        ema=0.9,
        device="cpu",
    )
    killed, whole = (Run.create(tmp_path / name, config) for name in ("killed", "whole"))
    said = {}
    for run, kills in ((killed, KILLS), (whole, 0)):
        command = [sys.executable, HERE / "killer.py", run.path, str(kills), "7"]
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[2])}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        log = (run.path / "log.txt").read_text()
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}\n{log}"
        said[run.id] = ended.stdout
    assert said["killed"].count("killed") == KILLS
    assert said["killed"].count("in writing") >= KILLS // 4, said["killed"]
    assert killed.state == whole.state == "finished"
    assert curve(killed) == curve(whole)
    last = (checkpoint.complete(run.path / "checkpoints")[150] for run in (killed, whole))
    a, b = (load_model(folder) for folder in last)
    assert a.origin.checksum == b.origin.checksum
    assert not [path for path in (killed.path / "checkpoints").iterdir() if path.name.startswith(".")]
