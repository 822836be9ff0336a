"""TrainingState: one process's state of a run; the loop, its steps and its checkpoints are functions of it."""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import nn
from torch.amp.grad_scaler import GradScaler

from training.config import ConfigError, RunConfig, largest_batch
from training.data import made_from
from training.data.feed import Feed
from training.data.report import report
from training.loop import checkpoint, parallel
from training.loop.build import at_resolution, build_model
from training.loop.meters import RunningMean, peak_memory
from training.loop.optimise import Optimisers
from training.loop.tensorboard import board
from training.runs import bounds
from training.runs.metrics import MetricEvent, Split, append_events
from training.storage.jsonfile import write_json
from vit_model import VisionTransformer
from vit_model.messages import message

if TYPE_CHECKING:
    from training.loop.build import TrainedModel

PROGRESS_SECONDS = 1.0


class RunFolder(Protocol):
    """The part of a `runs.Run` that the loop needs."""

    @property
    def path(self) -> Path: ...

    def write_progress(self, progress: dict) -> None: ...


class TrainingState:
    """Model, optimiser, data and counters of one process, as they are after `step` steps."""

    def __init__(self, run: RunFolder, config: RunConfig, local_paths: bool = True, sample: int | None = None):
        self.run, self.config = run, config
        self.began: float | None = None  # by `begin`
        self.wrapped: nn.Module | None = None  # the model as the step calls it, from `enter_stage` on
        self.guest: bool = getattr(run, "guest", False)  # trains without this computer's Hub token
        self.device = parallel.device_of(config.device)
        self.rank, self.world = parallel.rank(), parallel.world()
        if config.precision == "fp16" and self.device.type != "cuda":
            raise ConfigError(message("fp16_needs_gpu", "precision fp16 needs a CUDA GPU; choose bf16 or fp32 here"))
        if config.batch % (config.accumulation * self.world):
            parts = config.accumulation * self.world
            text = "a batch of {batch} cannot be cut into {parts} equal parts (x{world} processes)"
            raise ConfigError(message("batch_processes", text, batch=config.batch, parts=parts, world=self.world))
        self.board = board(run.path, config) if self.rank == 0 else None
        self.accumulation, self.step, self.previous_seconds = config.accumulation, 0, 0.0
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
                message(
                    "batch_too_large",
                    "a batch of {batch} is larger than the training set of {count} pictures; choose at most {most}",
                    batch=config.batch,
                    count=self.feed.count,
                    most=most,
                )
            )
        if self.guest:
            grid = self.model.config.grid if isinstance(self.model, VisionTransformer) else (1, 1)
            parameters = sum(parameter.numel() for parameter in self.model.parameters())
            bounds.VISITOR.check_model(parameters, grid[0] * grid[1])
        self.per_epoch = self.feed.count // config.batch
        self.total = config.steps or (math.ceil(config.epochs * self.per_epoch) if config.epochs else None)
        if self.guest and self.total is not None:
            bounds.VISITOR.check_steps(self.total)
        self.ema_model = copy.deepcopy(self.model).requires_grad_(False).eval() if config.ema else None
        self.resolution: int | None = None
        self.scaler = GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.optimisers = Optimisers(self.model, config)
        self.recent = RunningMean()

    def _check_data(self) -> None:
        """Check that the data are those that the run was made from, or that going on with others was agreed to."""
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

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all attempts."""
        now = time.monotonic()
        return self.previous_seconds + now - (now if self.began is None else self.began)

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0 to 1."""
        if self.total is not None:
            return self.step / self.total
        assert self.config.minutes is not None  # one of steps, epochs and minutes always is given
        return min(parallel.agree(self.seconds) / (60 * self.config.minutes), 1.0)

    @property
    def eval_model(self) -> TrainedModel:
        """The model that is evaluated and saved."""
        return self.ema_model if self.ema_model is not None else self.model

    def begin(self) -> None:
        """Start the clock, and enter the stage that the run is in."""
        self.began = time.monotonic()
        self.enter_stage(self.progress)

    def enter_stage(self, progress: float) -> None:
        """Switch to the resolution of this part of the run: model, average and optimiser change with it."""
        side = _stage(self.config, progress)
        if side == self.resolution and self.wrapped is not None:
            return
        if side is not None and side != self.model.preprocessing.size[0]:
            kept = self.optimisers.state()
            at_resolution(self.model, side)
            if self.ema_model is not None:
                at_resolution(self.ema_model, side)
            self.optimisers = Optimisers(self.model, self.config)
            self.optimisers.load(kept)
        self.resolution = side
        self.report(phase="loading")
        self.feed.prepare(self.model.preprocessing)
        self.wrapped = parallel.wrap(self.model, self.device, self.config.compile)

    def due(self, every: int) -> bool:
        return self.step > 0 and self.step % every == 0

    def keeps(self, step: int) -> bool:
        """Return whether the checkpoint of that step stays for good."""
        return bool(self.config.keep_every) and step % self.config.keep_every == 0

    @property
    def memory(self) -> int:
        """Peak bytes: on the GPU, else of this process's resident memory."""
        return peak_memory(self.device)

    def event(self, split: Split, values: dict[str, float]) -> MetricEvent:
        return MetricEvent(self.step, self.step / self.per_epoch, self.seconds, split, values)

    def append(self, events: list[MetricEvent]) -> None:
        if self.rank == 0:
            append_events(self.run.path / "events.jsonl", events)
            if self.board:
                self.board.add(events)

    def report(self, phase: str, force: bool = False, **more) -> None:
        """Write progress.json, at most once a second."""
        now = time.monotonic()
        if self.rank or (phase == "training" and not force and now - self.last_progress < PROGRESS_SECONDS):
            return
        self.last_progress = now
        progress = {"phase": phase, "step": self.step} | more
        if self.began is not None:
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
