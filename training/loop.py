"""The training loop: a generator of metric events over one run on disk.

forward -> loss -> backward over `accumulation` parts -> clip -> step -> average, and now and then an evaluation and a
checkpoint. All its randomness is a function of (seed, step), so a run that was stopped goes on exactly.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from training import bounds, checkpoint, made_from, measuring, parallel, snapshot
from training.build import at_resolution, build_model
from training.config import ConfigError, RunConfig, largest_batch
from training.errors import TrainingError
from training.feed import Feed
from training.jsonfile import write_json
from training.machine import note_machine
from training.meters import Rate, Since, peak_memory
from training.metrics import MetricEvent, append_events
from training.optimise import Optimisers, learning_rate
from training.report import report
from training.step import take_step
from training.tensorboard import board

PROGRESS_SECONDS = 1.0


class RunFolder(Protocol):
    """What the loop needs of a `runs.Run`."""

    path: Path

    def write_progress(self, progress: dict) -> None: ...


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
    training = Training(run, config, local_paths)
    return (yield from training.go(should_stop, deadline))


class Training:
    """Everything that one process holds of a run."""

    def __init__(self, run: RunFolder, config: RunConfig, local_paths: bool = True, sample: int | None = None):
        self.run, self.config = run, config
        self.guest: bool = getattr(run, "guest", False)  # trains without this computer's Hub token
        self.device = parallel.device_of(config.device)
        self.rank, self.world = parallel.rank(), parallel.world()
        if config.precision == "fp16" and self.device.type != "cuda":
            raise ConfigError("precision fp16 needs a CUDA GPU; choose bf16 or fp32 here")
        if config.batch % (config.accumulation * self.world):
            parts = config.accumulation * self.world
            raise ConfigError(
                f"a batch of {config.batch} cannot be cut into {parts} equal parts (x{self.world} processes)"
            )
        self.board = board(run.path, config) if self.rank == 0 else None
        self.accumulation, self.step, self.earlier = config.accumulation, 0, 0.0
        self.best: dict | None = None  # {"step", "accuracy"}
        self.without_better, self.tested = 0, {}
        self.last_progress = 0.0
        self.report(phase="loading")
        self.feed = Feed(
            config,
            self.device,
            lambda done, total, text: self.report(phase="loading", note=text),
            local_paths,
            sample,
            guest=self.guest,
        )
        if sample is None:
            self._check_data()
        self.model = build_model(config, self.feed.classes, local_paths=local_paths, guest=self.guest).to(self.device)
        if config.batch > self.feed.count:
            most = largest_batch(self.feed.count, config.accumulation * self.world)
            raise ConfigError(
                f"a batch of {config.batch} is larger than the training set of {self.feed.count} pictures; choose at "
                f"most {most}"
            )
        if self.guest:
            grid = self.model.config.grid if hasattr(self.model, "config") else (1, 1)
            parameters = sum(parameter.numel() for parameter in self.model.parameters())
            bounds.VISITOR.check_model(parameters, grid[0] * grid[1])
        self.per_epoch = self.feed.count // config.batch
        self.total = config.steps or (math.ceil(config.epochs * self.per_epoch) if config.epochs else None)
        if self.guest and self.total is not None:
            bounds.VISITOR.check_steps(self.total)
        self.averaged = copy.deepcopy(self.model).requires_grad_(False).eval() if config.ema else None
        self.side: int | None = None
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.optimisers = Optimisers(self.model, config)
        self.since = Since()
        snapshot.restore(self)

    def _check_data(self) -> None:
        """The data are those that the run was made from, or it was said that it goes on all the same."""
        home: Path = getattr(self.run, "parent", self.run).path  # the trials of a sweep are made from one set
        told = made_from.compare(home, self.feed.data)
        parallel.wait()  # all processes have compared
        if self.rank:
            return
        step = max(checkpoint.complete(self.run.path / "checkpoints"), default=0)
        if step and not (home / made_from.NOTE).exists():
            print(
                "this run is of an earlier version, which did not note its data; they are noted from now on", flush=True
            )
        if told:
            print(f"the data have changed, and it goes on with them as was said: {told}", flush=True)
        made_from.note(home, self.feed.data, told, step)
        if told or not (self.run.path / "data.json").exists():
            made = report(self.feed.data, self.feed.parts, resolution=self.config.resolution)
            write_json(self.run.path / "data.json", made)

    # -- where the run stands

    @property
    def seconds(self) -> float:
        """Of training so far, over all attempts."""
        return self.earlier + time.monotonic() - self.began

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0 to 1."""
        if self.total is not None:
            return self.step / self.total
        return min(parallel.agree(self.seconds) / (60 * self.config.minutes), 1.0)

    @property
    def served(self) -> nn.Module:
        """The model that is evaluated and saved."""
        return self.averaged if self.averaged is not None else self.model

    def go(self, should_stop: Callable[[], bool], deadline: float | None) -> Iterator[MetricEvent]:
        """Train until the end, a stop or the deadline; returns "finished" or "stopped"."""
        if self.rank == 0:
            note_machine(self.run.path, self.device)
        try:
            return (yield from self._go(should_stop, deadline))
        finally:
            if self.board:
                self.board.close()

    def _go(self, should_stop: Callable[[], bool], deadline: float | None) -> Iterator[MetricEvent]:
        config, rates = self.config, Rate()
        self.begin()
        while True:
            progress = self.progress
            finished = progress >= 1 or (config.patience and self.without_better >= config.patience)
            stopping = not finished and parallel.any_of(
                should_stop() or (deadline is not None and time.monotonic() >= deadline)
            )
            if stopping:
                snapshot.save(self)
                return "stopped"
            if finished:
                break
            self._enter_stage(progress)
            rate = learning_rate(config, self.step, progress, self.total)
            waited = self.feed.waited
            loss, norm, right = self.take_step(rate)
            self.since.add(loss, right)
            rates.add(config.batch, self.feed.waited - waited)
            events = []
            if self.step % config.log_every == 0:
                events.append(self._training_event(norm, rate, rates))
                self.since = Since()
            if self._due(config.eval_every or self.per_epoch):
                self.report(phase="evaluating")
                events += measuring.held_out(self)
                rates.restart()
            if self.step % self.per_epoch == 0 and self.step // self.per_epoch in config.test_at:
                events.append(measuring.test(self))
                rates.restart()
            self._append(events)
            better = self.best is not None and self.best["step"] == self.step
            due = self._due(config.checkpoint_every or config.eval_every or self.per_epoch)
            if due or better or self.keeps(self.step):
                snapshot.save(self)
                rates.restart()
            self.report(phase="training", images_per_second=rates.images_per_second)
            yield from events
        yield from self._finish()
        return "finished"

    # -- one step

    def begin(self) -> None:
        """Start the clock, and get ready for the stage that the run is in."""
        self.began = time.monotonic()
        self._enter_stage(self.progress)

    def take_step(self, lr: float) -> tuple[Tensor, Tensor, Tensor]:
        """(mean loss, norm of the gradient, share of right answers) of one optimiser step, over all processes."""
        return take_step(self, lr)

    def _training_event(self, norm: Tensor, rate: float, rates: Rate) -> MetricEvent:
        loss = self.since.loss
        if not math.isfinite(loss):
            raise TrainingError(
                f"the training loss became {loss} before step {self.step}; lower the learning rate (now {rate:.3g}), "
                "clip the gradient, or warm up longer. The last checkpoint is from before"
            )
        values = {
            "loss": loss,
            "lr": rate,
            "grad_norm": float(norm),
            "images_per_second": rates.images_per_second,
            "waiting": rates.waiting,
            "memory_bytes": float(self.memory),
        }
        if not (self.config.mixup or self.config.cutmix):
            values["accuracy"] = self.since.accuracy
        return self.event("train", values)

    # -- stages, evaluation, checkpoints

    def _enter_stage(self, progress: float) -> None:
        """The resolution of this part of the run; on a change, the model, the average and the optimiser move along."""
        side = _stage(self.config, progress)
        if side == self.side and hasattr(self, "wrapped"):
            return
        if side is not None and side != self.model.preprocessing.size[0]:
            kept = self.optimisers.state()
            at_resolution(self.model, side)
            if self.averaged is not None:
                at_resolution(self.averaged, side)
            self.optimisers = Optimisers(self.model, self.config)
            self.optimisers.load(kept)
        self.side = side
        self.report(phase="loading")
        self.feed.prepare(self.model.preprocessing)
        self.wrapped = parallel.wrap(self.model, self.device, self.config.compile)

    def _finish(self) -> Iterator[MetricEvent]:
        """What is still due after the last step: an evaluation, a checkpoint, and the test set, read by the best."""
        self._enter_stage(1.0)
        last = self.step
        due = not self._due(self.config.eval_every or self.per_epoch)
        if due and not (self.config.patience and self.without_better >= self.config.patience):
            events = measuring.held_out(self)
            self._append(events)
            yield from events
        snapshot.save(self)
        if self.feed.has_test and str(last) not in self.tested:
            best = self.best["step"] if self.best and self.best["step"] != last else None
            events = [measuring.test(self, best)]
            self._append(events)
            yield from events
        self.report(phase="finished", force=True)

    def _due(self, every: int) -> bool:
        return self.step > 0 and self.step % every == 0

    def keeps(self, step: int) -> bool:
        """Whether the checkpoint of that step stays for good."""
        return bool(self.config.keep_every) and step % self.config.keep_every == 0

    # -- telling

    @property
    def memory(self) -> int:
        """Peak bytes: on the GPU, else of this process's resident memory."""
        return peak_memory(self.device)

    def event(self, split: str, values: dict[str, float]) -> MetricEvent:
        return MetricEvent(self.step, self.step / self.per_epoch, self.seconds, split, values)

    def _append(self, events: list[MetricEvent]) -> None:
        if self.rank == 0:
            append_events(self.run.path / "events.jsonl", events)
            if self.board:
                self.board.add(events)

    def report(self, phase: str, force: bool = False, **more) -> None:
        """progress.json, at most once a second."""
        now = time.monotonic()
        if self.rank or (phase == "training" and not force and now - self.last_progress < PROGRESS_SECONDS):
            return
        self.last_progress = now
        progress = {"phase": phase, "step": self.step} | more
        if hasattr(self, "began"):
            share, seconds = self.progress, self.seconds
            progress |= {
                "steps": self.total,
                "epoch": self.step / self.per_epoch,
                "epochs": self.total / self.per_epoch if self.total else None,
                "seconds": seconds,
                "seconds_left": seconds * (1 - share) / share if share else None,
                "batch": self.config.batch,
                "accumulation": self.accumulation,
                "resolution": self.model.preprocessing.size[0],
                "memory_bytes": self.memory,
            }
        self.run.write_progress(progress)


def _stage(config: RunConfig, progress: float) -> int | None:
    over = 0.0
    for side, share in config.stages:
        over += share
        if progress < over:
            return side
    return config.resolution
