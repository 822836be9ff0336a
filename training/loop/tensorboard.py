"""TensorBoard: a run's events as event files in its folder, for those who watch their runs there. The JSON lines stay
the record; these files are a copy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from training.config import ConfigError, RunConfig
from training.runs.metrics import MetricEvent
from vit_model.messages import message

FOLDER = "tensorboard"


class Board:
    """A writer of `split/name` scalars, such as "val/accuracy", by step into `folder`/tensorboard."""

    def __init__(self, folder: Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                message(
                    "no_tensorboard",
                    "the recipe asks for TensorBoard files, but the package tensorboard is not installed here; run "
                    "`python -m pip install tensorboard`, or leave the field tensorboard out (events.jsonl is always "
                    "written)",
                )
            ) from error
        self._make, self._folder, self._writer = SummaryWriter, folder / FOLDER, None

    def add(self, events: Iterable[MetricEvent]) -> None:
        """Write events, on the disk when this returns. What a killed attempt had written from the first event's step on
        is hidden in TensorBoard, as those steps are measured again."""
        for event in events:
            if self._writer is None:
                self._writer = self._make(str(self._folder), purge_step=event.step)
            for name, value in event.values.items():
                if math.isfinite(value):
                    self._writer.add_scalar(f"{event.split}/{name}", value, event.step)
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def board(folder: Path, config: RunConfig) -> Board | None:
    """Return the board of the run in `folder`; None unless its config asks for one. ConfigError if tensorboard is
    missing."""
    return Board(folder) if config.tensorboard else None
