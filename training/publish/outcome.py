"""Accuracy and loss of one checkpoint, from the results and events of its run. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.runs.metrics import MetricEvent
from training.runs.record import CheckpointInfo, Record, is_number
from training.runs.results import answering_checkpoint, read_results


@dataclass(frozen=True)
class Outcome:
    """Accuracy (0 to 1) and loss (nats) on "val" or "test". `confusion` has a row for each true class, a column for
    each answer; it is () where only the two numbers are known."""

    split: str
    accuracy: float
    loss: float | None
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    @property
    def count(self) -> int:
        """Number of pictures, 0 if unknown."""
        return sum(map(sum, self.confusion))

    @property
    def where(self) -> str:
        return {"val": "held-out part of the training set", "test": "test set"}[self.split]


def outcomes(run: Record, checkpoint: CheckpointInfo, curve: Sequence[MetricEvent]) -> list[Outcome]:
    """Return the measurements of this very checkpoint: held-out part first, then test set. A file that somebody damaged
    counts as missing."""
    found = []
    for split in ("val", "test"):
        one = _from_results(run, split, checkpoint.step) or _from_events(curve, split, checkpoint.step, run)
        found += [one] if one else []
    return found


def _from_results(run: Record, split: str, step: int) -> Outcome | None:
    try:
        found = read_results(run.path, split)
    except ValueError:
        return None
    if found is None or found.checkpoint != step or math.isnan(found.accuracy):
        return None
    loss = None if math.isnan(found.loss) else found.loss
    return Outcome(split, found.accuracy, loss, found.classes, tuple(map(tuple, found.confusion)))


def _from_events(curve: Sequence[MetricEvent], split: str, step: int, run: Record) -> Outcome | None:
    """Return the outcome from the events alone, which do not say whether the best checkpoint read the test set at the
    end."""
    for event in curve:
        accuracy, loss = event.values.get("accuracy"), event.values.get("loss")
        if event.split == split and event.step == step and is_number(accuracy):
            if answering_checkpoint(run.path, split, step) != step:
                return None
            return Outcome(split, accuracy, loss if is_number(loss) else None)
    return None
