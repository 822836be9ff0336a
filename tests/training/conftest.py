"""Runs whose worker is `fake_worker.py`, so that what happens to processes is tested without any training."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from training.config import RunConfig
from training.runs import processes, run
from training.runs.runs import Runs

FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def config():
    return RunConfig(recipe="scratch-tiny", model="new:scratch-vit4", steps=100, device="cpu")


@pytest.fixture
def until():
    """until(condition): waits for it; the limit is only there so that a failure ends."""

    def wait(condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.02)

    return wait


@pytest.fixture
def runs(tmp_path, monkeypatch, until):
    """A folder of runs with fake workers; those that still live are killed after the test."""
    monkeypatch.setattr(run, "worker_command", lambda path: [sys.executable, str(FAKE), str(path)])
    shelf = Runs(tmp_path / "runs")
    yield shelf
    for one in shelf.list():
        process = one.process
        if process is not None and process.alive:
            process.end(force=True)
            until(lambda process=process: not process.alive)
    processes.reap()


@pytest.fixture
def kill():
    """kill(pid): SIGKILL, and gone when this returns."""

    def end(pid):
        os.kill(pid, signal.SIGKILL)
        while processes.start_time(pid) is not None:
            time.sleep(0.01)

    return end
