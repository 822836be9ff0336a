"""Training on Hugging Face's ZeroGPU: the same loop in slices of a minute or so, a GPU for each, all else on disk.

There a decorated function gets a GPU for a stated time, in a forked daemonic process: it may have no children of its
own, what it leaves in memory is lost, and it is killed when its time is over. So a slice opens the run from its last
checkpoint, trains until shortly before its end, writes a checkpoint, and ends. The page's own process only holds the
run; it has no GPU. A visitor who leaves, or whose quota is used up, leaves a stopped run that can be gone on with.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training.config import ConfigError, RunConfig
from training.data.feed import Feed
from training.data.report import report
from training.errors import TrainingError
from training.loop import loop, sweep
from training.loop.build import NEW, RESNET
from training.loop.preflight import Preflight
from training.loop.worker import line, reason_of
from training.runs.metrics import MetricEvent
from training.runs.record import HEADER, State, printable
from training.runs.run import finished_message
from training.runs.runs import Run, RunError
from training.storage.jsonfile import write_json
from vit_model.checkpoints.zoo import fetch
from vit_model.messages import message

SECONDS = 60  # of a slice; ZeroGPU's own default
RESERVE = 0.2  # of a slice, for the checkpoint at its end and an evaluation that was just due
START = 10.0  # seconds at the beginning of a slice: CUDA, the model, the pictures. An estimate for the cost
LEFT = message("page_left", "the page was left, or its server ended; resume it to go on")
PATIENCE = 3  # slices without a new checkpoint before a run is given up

# gpu(function, seconds_of) is `function` with a GPU for seconds_of(*arguments) seconds: `spaces.GPU(duration=...)`.
Gpu = Callable[[Callable[..., Iterator[dict]], Callable[..., int]], Callable[..., Iterator[dict]]]


def train_in_slices(
    run: Run, *, gpu: Gpu, seconds: int = SECONDS, local_paths: bool = True
) -> Iterator[dict[str, Any]]:
    """Train `run`, or go on with it, in slices of `seconds`; ends when it has finished, failed, or was stopped.

    Yields `{"slice": number from 1, "phase": "loading"|"waiting"|"training"|"ended", "state": the run's, "reason": str,
    "event": a MetricEvent as a dict, or None}`; the last is "ended", unless the generator is closed before. The curve
    is that of an uninterrupted run, bit for bit where that is promised at all. While this goes on, the run is
    "running". Closed, it waits for the checkpoint of the slice at hand, and the run is "stopped". The first `next`
    raises RunError if another process, or another generator of this one, has the run.
    """
    if run.state == "finished":
        raise RunError(finished_message(run.name))
    config = _slicable(run.config)
    run.begin(shared=True)
    state: State = "stopped"
    reason, number = LEFT, 0
    try:
        yield _told(number, "loading")
        _prepare(run, config, local_paths)
        slices = _slices(run, gpu, seconds, local_paths)
        try:
            while True:
                told = next(slices)
                number = told["slice"]
                yield told
        except StopIteration as end:
            state, reason = end.value
        except GeneratorExit:
            with contextlib.suppress(RunError):
                run.ask_stop()
            state, reason = _drained(slices)
            reason = reason or LEFT
            raise
    except Exception as error:
        state, reason = "failed", reason_of(error, run.path)
        if not isinstance(error, (ValueError, TrainingError, OSError)):
            raise
    finally:
        _log(run, reason or state)
        run.end(state, reason, goes_on=True)
    yield _told(number, "ended", state, reason)


def slices_needed(
    preflight: Preflight, config: RunConfig, seconds: int = SECONDS, *, trials: int = 0
) -> tuple[int, float]:
    """Estimate (slices, seconds of GPU time) of a run from its pre-flight on such a GPU. Evaluations on
    the held-out part are counted as a third of training on it; the test set, read once at the end, comes on top.
    `trials`: learning rates that are tried first. ConfigError where a slice leaves no time to train.
    """
    useful = seconds * (1 - RESERVE) - START
    if useful <= 0:
        text, least = "a slice of {seconds} s leaves no time to train; give it more than {least}", START / (1 - RESERVE)
        raise ConfigError(message("slice_too_short", text, seconds=seconds, least=f"{least:g}"))
    per_epoch = max(preflight.pictures // preflight.batch, 1)
    evaluations = math.ceil(preflight.steps_in_budget / (config.eval_every or per_epoch))
    evaluating = evaluations * preflight.held_out / (3 * preflight.images_per_second)
    training = (preflight.seconds + evaluating) * (trials + 1)
    count = max(math.ceil(training / useful), 1)
    return count, training + count * START


def one_slice(path: str, seconds: int, reserve: float, local_paths: bool) -> Iterator[dict[str, Any]]:
    """Run one slice on the GPU: yield `{"begun": pid}`, then `{"event": ...}`s, then `{"ended":
    "finished"|"stopped"|"failed", "reason": ...}`; "stopped" also where only its time was over. Everything given and
    yielded can be pickled."""
    deadline = time.monotonic() + seconds - reserve
    yield {"begun": os.getpid()}
    try:
        run = Run(path)
        trainer = sweep if run.sweep else loop
        steps = trainer.train(
            run, _slicable(run.config), should_stop=run.stop_requested, deadline=deadline, local_paths=local_paths
        )
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                told = {"ended": end.value, "reason": ""}
                break
            yield {"event": asdict(event)}
    except Exception as error:  # whatever it is: on the way to the page it would lose its kind
        told = {"ended": "failed", "reason": reason_of(error, Path(path))}
    yield told


def slice_seconds(path: str, seconds: int, reserve: float, local_paths: bool) -> int:
    """Return the GPU time to ask for, from the arguments of `one_slice`."""
    return seconds


def _slices(run: Run, gpu: Gpu, seconds: int, local_paths: bool) -> Iterator[dict[str, Any]]:
    """Run one slice after the other; return (state, reason)."""
    sliced, reserve, number, in_vain = gpu(one_slice, slice_seconds), RESERVE * seconds, 0, 0
    while True:
        number, reached = number + 1, _reached(run)
        yield _told(number, "waiting")
        if run.stop_requested():
            return "stopped", run.stop_reason
        _log(run, f"{HEADER} {run.attempt}, slice {number}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---")
        begun, told, fault = False, {}, None
        try:
            for told in sliced(str(run.path), seconds, reserve, local_paths):
                begun = True
                if "event" in told:
                    _log(run, line(MetricEvent(**told["event"])))
                    yield _told(number, "training", event=told["event"])
        except Exception as error:  # of the decorator, which has no class for "no quota" or "time is over"
            fault = printable(" ".join(str(error).split()))[:200] or type(error).__name__
        ended = told.get("ended")
        if ended == "finished" or ended == "failed":
            return ended, told["reason"]
        if not begun:
            text = "there is no GPU for it now ({reason}); resume it later to go on"
            return "stopped", message("no_gpu_now", text, reason=fault or message("nothing_came", "nothing came"))
        if ended is None:  # killed, most likely in an evaluation that did not fit: end earlier
            reserve = min(2 * reserve, seconds / 2)
            _log(run, f"this slice was ended from outside ({fault or 'without a word'}); its last checkpoint counts")
        in_vain = in_vain + 1 if _reached(run) == reached else 0
        if in_vain >= PATIENCE:
            return "stopped", message(
                "slices_in_vain",
                "{count} slices of {seconds} s brought it no further; choose longer slices, a smaller model or batch, "
                "or evaluations on fewer pictures",
                count=in_vain,
                seconds=seconds,
            )


def _drained(slices: Iterator[dict[str, Any]]) -> tuple[State, str]:
    """Exhaust slices that were asked to stop; return (state, reason)."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value


def _prepare(run: Run, config: RunConfig, local_paths: bool) -> None:
    """Do what needs no GPU: downloads, and the data report."""
    feed = Feed(
        config,
        torch.device("cpu"),
        lambda done, total, text: run.write_progress({"phase": "loading", "note": text}),
        local_paths,
        guest=run.guest,
    )
    if not (run.path / "data.json").exists():
        write_json(run.path / "data.json", report(feed.data, feed.parts, resolution=config.resolution))
    if not config.model.startswith((NEW, RESNET)):
        fetch(config.model, local_paths=local_paths, token=False if run.guest else None)


def _slicable(config: RunConfig) -> RunConfig:
    """Return the config without workers and compiling: a daemonic process may have no children, and ZeroGPU does not
    compile."""
    return config.having(workers=0, compile=False)


def _reached(run: Run) -> tuple:
    """Return a value that changes with every checkpoint, and with every trial of a sweep."""
    checkpoints = (*run.path.glob("checkpoints/step-*"), *run.path.glob("trials/*/checkpoints/step-*"))
    return str(run.read("sweep.json").get("accuracies")), sorted(map(str, checkpoints))


def _told(number: int, phase: str, state: str = "running", reason: str = "", event: dict | None = None) -> dict:
    return {"slice": number, "phase": phase, "state": state, "reason": reason, "event": event}


def _log(run: Run, words: str) -> None:
    with contextlib.suppress(OSError), open(run.path / "log.txt", "a", encoding="utf-8") as log:
        log.write(words + "\n")
