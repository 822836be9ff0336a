"""The training loop: a generator of metric events over one run on disk.

forward -> loss -> backward over `accumulation` parts -> clip -> step -> average, and now and then an evaluation and a
checkpoint. All its randomness is a function of (seed, step), so a run that was stopped goes on exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from torch import Tensor

from training.config import RunConfig
from training.errors import TrainingError
from training.loop import measuring, parallel, snapshot
from training.loop.machine import note_machine
from training.loop.meters import Rate, RunningMean
from training.loop.optimise import learning_rate
from training.loop.state import RunFolder, TrainingState
from training.loop.step import take_step
from training.runs.metrics import MetricEvent
from vit_model.messages import message


def train(
    run: RunFolder,
    config: RunConfig,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    deadline: float | None = None,
    local_paths: bool = True,
) -> Iterator[MetricEvent]:
    """Train, or go on from the last checkpoint. Events are on disk when they are yielded.

    Ends after a checkpoint: at the run's end (the test set has been read then, and `results/` written), when
    `should_stop()` turns true, or after the first step past `deadline` (of `time.monotonic`). The generator's return
    value is "finished" or "stopped". ConfigError, DataError, CheckpointError and TrainingError say what is wrong.
    """
    return (yield from go(open_training(run, config, local_paths), should_stop, deadline))


def open_training(
    run: RunFolder, config: RunConfig, local_paths: bool = True, sample: int | None = None
) -> TrainingState:
    """Return the state of a run after its last checkpoint, or before its first step. Raises what `train` raises."""
    state = TrainingState(run, config, local_paths, sample)
    snapshot.restore(state)
    return state


def go(state: TrainingState, should_stop: Callable[[], bool], deadline: float | None) -> Iterator[MetricEvent]:
    """Train until the end, a stop or the deadline; returns "finished" or "stopped"."""
    if state.rank == 0:
        note_machine(state.run.path, state.device)
    try:
        return (yield from _go(state, should_stop, deadline))
    finally:
        if state.board:
            state.board.close()


def _go(state: TrainingState, should_stop: Callable[[], bool], deadline: float | None) -> Iterator[MetricEvent]:
    config, rates = state.config, Rate()
    state.begin()
    while True:
        progress = state.progress
        finished = progress >= 1 or (config.patience and state.without_better >= config.patience)
        stopping = not finished and parallel.any_of(
            should_stop() or (deadline is not None and time.monotonic() >= deadline)
        )
        if stopping:
            snapshot.save(state)
            return "stopped"
        if finished:
            break
        state.enter_stage(progress)
        rate = learning_rate(config, state.step, progress, state.total)
        waited = state.feed.waited
        loss, norm, correct = take_step(state, rate)
        state.recent.add(loss, correct)
        rates.add(config.batch, state.feed.waited - waited)
        events = []
        if state.step % config.log_every == 0:
            events.append(_training_event(state, norm, rate, rates))
            state.recent = RunningMean()
        if state.due(config.eval_every or state.per_epoch):
            state.report(phase="evaluating")
            events += measuring.held_out(state)
            rates.restart()
        if state.step % state.per_epoch == 0 and state.step // state.per_epoch in config.test_at:
            events.append(measuring.test(state))
            rates.restart()
        state.append(events)
        better = state.best is not None and state.best["step"] == state.step
        due = state.due(config.checkpoint_every or config.eval_every or state.per_epoch)
        if due or better or state.keeps(state.step):
            snapshot.save(state)
            rates.restart()
        state.report(phase="training", images_per_second=rates.images_per_second)
        yield from events
    yield from _finish(state)
    return "finished"


def _finish(state: TrainingState) -> Iterator[MetricEvent]:
    """Do what is due after the last step: evaluate, write a checkpoint, and read the test set by the best
    checkpoint."""
    state.enter_stage(1.0)
    last = state.step
    due = not state.due(state.config.eval_every or state.per_epoch)
    if due and not (state.config.patience and state.without_better >= state.config.patience):
        events = measuring.held_out(state)
        state.append(events)
        yield from events
    snapshot.save(state)
    if state.feed.has_test and str(last) not in state.tested:
        best = state.best["step"] if state.best and state.best["step"] != last else None
        events = [measuring.test(state, best)]
        state.append(events)
        yield from events
    state.report(phase="finished", force=True)


def _training_event(state: TrainingState, norm: Tensor, rate: float, rates: Rate) -> MetricEvent:
    loss = state.recent.loss
    if not math.isfinite(loss):
        raise TrainingError(
            message(
                "loss_diverged",
                "the training loss became {loss} before step {step}; lower the learning rate (now {rate}), clip the "
                "gradient, or warm up longer. The last checkpoint is from before",
                loss=loss,
                step=state.step,
                rate=f"{rate:.3g}",
            )
        )
    values = {
        "loss": loss,
        "lr": rate,
        "grad_norm": float(norm),
        "images_per_second": rates.images_per_second,
        "waiting": rates.waiting,
        "memory_bytes": float(state.memory),
    }
    if not (state.config.mixup or state.config.cutmix):
        values["accuracy"] = state.recent.accuracy
    return state.event("train", values)
