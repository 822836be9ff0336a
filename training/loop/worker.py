"""The training process: take hold of a run, train it, and record how it ended."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path

import torch

from training.errors import TrainingError
from training.loop import loop, parallel, sweep
from training.runs.bounds import prefer_for_ending
from training.runs.metrics import MetricEvent
from training.runs.runs import Run
from training.storage.disk import is_full, room_in_words
from vit_model.messages import Message, message, message_of


def work(run: Run) -> int:
    """Train `run` in this process until it is finished, or a stop is asked for: by `stop.json`, by SIGTERM, or by
    Ctrl-C. Returns 0 then, and 1 if it failed; the reason is on disk."""
    asked: list[int] = []
    signals = [signal.SIGTERM, signal.SIGINT]
    before = {number: signal.signal(number, lambda number, frame: asked.append(number)) for number in signals}
    try:
        with parallel.group(run.config.device):
            return _work(run, asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(run: Run, asked: list[int]) -> int:
    first = parallel.rank() == 0
    if run.guest:
        prefer_for_ending()
    if first:
        run.begin()
    parallel.wait()
    try:
        steps = (sweep if run.sweep else loop).train(
            run, run.config, should_stop=lambda: bool(asked) or run.stop_requested()
        )
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                state, reason = end.value, ""
                if state == "stopped":
                    reason = run.stop_reason
                break
            if first:
                print(line(event), flush=True)
    except (Exception, KeyboardInterrupt) as error:
        state, reason = "failed", reason_of(error, run.path)
        if not isinstance(error, (ValueError, TrainingError, OSError)):
            traceback.print_exc()
        print(reason, file=sys.stderr, flush=True)
    if first:
        run.end(state, reason)
    return int(state == "failed")


def line(event: MetricEvent) -> str:
    """Format one event as a short line."""
    shown = {"loss": ".4f", "accuracy": ".2%", "lr": ".2e", "grad_norm": ".2f", "images_per_second": ".0f"}
    values = " ".join(f"{name} {event.values[name]:{spec}}" for name, spec in shown.items() if name in event.values)
    return f"step {event.step} epoch {event.epoch:.2f} {event.seconds:.0f} s {event.split} {values}"


def reason_of(error: BaseException, folder: Path | None = None) -> Message:
    """Say why a run failed. `folder`: of the run, for a full-disk error that names no folder."""
    if is_full(error):
        named, needed = getattr(error, "folder", folder), getattr(error, "needed", 0)
        if named is None:
            text = "the disk is full; make room and resume the run from its last checkpoint"
            return message("run_disk_full", text)
        text = "the disk is full; make room and resume the run from its last checkpoint: {found}"
        return message("run_disk_full_at", text, found=room_in_words(named, needed))
    if isinstance(error, torch.OutOfMemoryError):
        text = "out of GPU memory; choose a smaller batch, resolution or model, or more accumulation"
        return message("gpu_memory", text)
    if isinstance(error, FileNotFoundError):
        text = "a file of the data or the run is no longer there: {name}"
        return message("file_no_longer_there", text, name=error.filename or error)
    if isinstance(error, (ValueError, TrainingError, OSError)):
        return message_of(error)
    return Message(f"{type(error).__name__}: {error}")
