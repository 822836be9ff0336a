"""Bounds on what a visitor's runs may take of this computer. Standard library only.

The host sets each bound by an environment variable, VIT_EXPLORER_VISITOR_RUNS for `runs`, and so on. What can be told
from a config is checked before a run is made (`check_config`), what needs the data or the model when these are there
(`check_steps`, `check_model`), and time and disk while it trains (`overrun`). Runs of the host have no bounds.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from training.config import ConfigError, RunConfig
from training.runs.record import Record, written
from training.storage.disk import free_bytes, shown_bytes
from vit_model.messages import Message, message, message_of

GB = 10**9
LIVE = ("queued", "running", "stopping")


class BoundError(ConfigError):
    """A run would take more than the host allows a visitor; the message names the bound and the value."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of one visitor: `runs` waiting or running at once, `kept` on disk in all, bytes of `disk` for runs and
    uploads. Of one run: `steps`, those of a sweep's trials counted; `minutes`; `batch`; `parameters` of the model;
    `patches` of a picture; loader `workers`; learning `rates` of a sweep. Of all visitors together: `everyone`'s runs
    waiting or running, and bytes of disk that they leave free (`reserve`)."""

    runs: int = 3
    kept: int = 30
    disk: int = 10 * GB
    steps: int = 1_000_000
    minutes: int = 180
    batch: int = 1024
    parameters: int = 100_000_000
    patches: int = 4096
    workers: int = 4
    rates: int = 8
    everyone: int = 60
    reserve: int = 2 * GB

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Bounds:
        """Read the bounds that the host sets. ValueError names a variable that holds no whole number."""
        given = {}
        for field in fields(cls):
            name = f"VIT_EXPLORER_VISITOR_{field.name.upper()}"
            if text := environment.get(name, "").strip():
                if not (text.isascii() and text.isdigit()):
                    raise ValueError(f"{name} must be a whole number, got {text[:40]!r}")
                given[field.name] = int(text)
        return cls(**given)

    def check_config(self, config: RunConfig, rates: Sequence[float] = ()) -> None:
        """Raise BoundError for what a config alone shows, before the data and the model are there."""
        runs = len(rates) + 1
        self._check("rates", len(rates), self.rates)
        for name in ("steps", "minutes"):
            if length := getattr(config, name):
                each = f" ({runs} x {length:,})" if rates else ""
                self._check(name, length * runs, getattr(self, name), each)
        self._check("epochs", (config.epochs or 0) * runs, self.steps)
        for name in ("batch", "workers"):
            self._check(name, getattr(config, name), getattr(self, name))
        largest = max(config.resolution or 0, *(side for side, _ in config.stages), 0)
        self._check("resolution", largest, 16 * math.isqrt(self.patches))
        self._check("stages", len(config.stages), 20)
        self._check("test_at", len(config.test_at), 200)
        if config.model.startswith("new:"):
            self._check_new(config)

    def check_steps(self, steps: int) -> None:
        """Raise BoundError for more steps than a visitor may take."""
        self._check("steps", steps, self.steps)

    def check_model(self, parameters: int, patches: int) -> None:
        """Raise BoundError for a model that is too large."""
        self._check("parameters", parameters, self.parameters)
        self._check("patches", patches, self.patches)

    def check_disk(self, needed: int) -> None:
        """Raise BoundError for a run that will need more of the disk than a visitor may take."""
        if needed > self.disk:
            raise BoundError(_bound_message("disk", shown_bytes(needed), shown_bytes(self.disk)))

    def check_owner(
        self, folder: Path, runs: Iterable[Record], owner: str | None, asked: Record | None = None, more: int = 0
    ) -> None:
        """Raise BoundError if this owner may not have another run queued, or `asked`, which is one of theirs. `more`:
        bytes that are about to come for it. `runs`: all of the folder."""
        guests = [run for run in runs if run.guest and run != asked]
        own = [run for run in guests if run.owner == owner]
        live = {run.id for run in guests if run.state in LIVE}
        mine = sum(run.id in live for run in own)
        if mine >= self.runs:
            raise BoundError(
                message(
                    "bound_runs",
                    "you have {count} runs waiting or running, and this host lets each visitor have {most}; wait for "
                    "one to end, or stop one",
                    count=mine,
                    most=self.runs,
                )
            )
        if len(live) >= self.everyone:
            raise BoundError(
                message(
                    "bound_everyone",
                    "visitors have {count} runs waiting or running, and this host takes {most}; try again later",
                    count=len(live),
                    most=self.everyone,
                )
            )
        if asked is None and len(own) >= self.kept:
            raise BoundError(
                message(
                    "bound_kept",
                    "you keep {count} runs here, and this host lets each visitor keep {most}; delete some of them",
                    count=len(own),
                    most=self.kept,
                )
            )
        self._check_disk(folder, [*own, *([asked] if asked else [])], more)

    def check_resume(self, run: Record, runs: Iterable[Record]) -> None:
        """Raise BoundError if a visitor's run may not go on."""
        self.check_config(run.config, run.sweep)
        minutes = run.progress.get("seconds", 0.0) / 60
        if minutes >= self.minutes:
            raise BoundError(
                message(
                    "bound_minutes",
                    "it has trained for {minutes} minutes, and this host lets a visitor's run train for at most {most}",
                    minutes=f"{minutes:.0f}",
                    most=self.minutes,
                )
            )
        self.check_owner(run.path.parent, runs, run.owner, asked=run)

    def overrun(self, run: Record, runs: Iterable[Record]) -> str:
        """Return the reason why a visitor's run has to stop while it trains; "" if it may go on."""
        begun = written(run.path / "process.json")
        if begun and time.time() - begun > 60 * self.minutes:
            text = "this host lets a visitor's run train for at most {most} minutes"
            return message("overrun_minutes", text, most=self.minutes)
        try:
            self._check_disk(run.path.parent, [one for one in runs if one.guest and one.owner == run.owner])
        except BoundError as error:
            return message_of(error)
        return ""

    def _check_disk(self, folder: Path, own: Sequence[Record], more: int = 0) -> None:
        taken = taken_by(own) + more
        if taken > self.disk:
            raise BoundError(
                message(
                    "bound_disk",
                    "your runs and uploads take {taken}, and this host lets each visitor take {most}; delete some of "
                    "your runs",
                    taken=shown_bytes(taken),
                    most=shown_bytes(self.disk),
                )
            )
        free = free_bytes(folder)
        if free - more < self.reserve:
            raise BoundError(
                message(
                    "bound_reserve",
                    "this host's disk has {free} left, and visitors leave {reserve} free; try again later",
                    free=shown_bytes(free),
                    reserve=shown_bytes(self.reserve),
                )
            )

    def _check_new(self, config: RunConfig) -> None:
        from training.loop.build import new_config  # here, as it imports torch

        shape = new_config(config)
        patches = shape.grid[0] * shape.grid[1]
        block = 4 * shape.width**2 + 2 * shape.width * shape.mlp_width
        self.check_model(
            shape.depth * block + (patches + 3 * shape.patch_size[0] * shape.patch_size[1]) * shape.width, patches
        )

    def _check(self, field: str, value: float, most: float, each: str = "") -> None:
        if value > most:
            shown = (f"{value:,}" if isinstance(value, int) else f"{value:,g}") + each
            raise BoundError(_bound_message(field, shown, f"{most:,}"))


def _bound_message(field: str, value: str, most: str) -> Message:
    """More of something than a visitor may have."""
    text = "{field} is {value}, and this host lets visitors have at most {most}"
    return message("bound_field", text, field=field, value=value, most=most)


VISITOR = Bounds.of({"VIT_EXPLORER_VISITOR_PATCHES": os.environ.get("VIT_EXPLORER_MAX_PATCHES", "")} | os.environ)


def taken_by(runs: Sequence[Record]) -> int:
    """Count the bytes of the runs' folders and of the uploads that they were made from."""
    uploads = {path for run in runs for path in _uploads(run)}
    return sum(size_of(path) for path in [*(run.path for run in runs), *uploads])


def size_of(path: Path) -> int:
    """Count the bytes of a file, or of all files below a folder; a file that has gone meanwhile counts 0."""
    total = 0
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            return sum(size_of(Path(entry.path)) for entry in os.scandir(path))
        total = path.lstat().st_size
    return total


def prefer_for_ending() -> None:
    """Have the system end this process first if memory runs out: rather a visitor's run than the page. (Linux)"""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _uploads(run: Record) -> list[Path]:
    """Return the places in the folder of uploads that a run's config names."""
    shelf, found = run.path.parent / "uploads", []
    config = run.read("run.json").get("config")
    for name in ("data", "model"):
        source = config.get(name) if isinstance(config, dict) else None
        if isinstance(source, str) and shelf in Path(source).parents:
            found.append(shelf / Path(source).relative_to(shelf).parts[0])
    return found
