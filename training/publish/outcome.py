"""How well one checkpoint did, from the results and events of its run. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from training.runs.metrics import MetricEvent
from training.runs.record import CheckpointInfo, Record, is_number
from training.storage.jsonfile import read_json

MOST_CLASSES = 2000


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
        """Pictures, 0 where that is not known."""
        return sum(map(sum, self.confusion))

    @property
    def where(self) -> str:
        return {"val": "held-out part of the training set", "test": "test set"}[self.split]


def outcomes(run: Record, checkpoint: CheckpointInfo, curve: Sequence[MetricEvent]) -> list[Outcome]:
    """What was measured of this very checkpoint: held-out part first, then test set. A file that somebody damaged
    counts as missing."""
    found = []
    for split in ("val", "test"):
        one = _from_results(run, split, checkpoint.step) or _from_events(curve, split, checkpoint.step, run)
        found += [one] if one else []
    return found


def _from_results(run: Record, split: str, step: int) -> Outcome | None:
    told = _read(run, split)
    if _checkpoint(run, split, told) != step:
        return None
    classes, confusion, loss = told.get("classes"), told.get("confusion"), told.get("loss")
    if not isinstance(classes, list) or not 0 < len(classes) <= MOST_CLASSES or not _is_square(confusion, len(classes)):
        return None
    total = sum(map(sum, confusion))
    if not total:
        return None
    right = sum(row[index] for index, row in enumerate(confusion))
    return Outcome(
        split,
        right / total,
        float(loss) if is_number(loss) else None,
        tuple(map(str, classes)),
        tuple(tuple(row) for row in confusion),
    )


def _from_events(curve: Sequence[MetricEvent], split: str, step: int, run: Record) -> Outcome | None:
    """The events of the test set do not say which checkpoint read it, where a best one did at the end of the run."""
    for event in curve:
        accuracy, loss = event.values.get("accuracy"), event.values.get("loss")
        if event.split == split and event.step == step and is_number(accuracy):
            if split == "test" and _checkpoint(run, split, {"step": step}) != step:
                return None
            return Outcome(split, accuracy, loss if is_number(loss) else None)
    return None


def _checkpoint(run: Record, split: str, told: dict[str, Any]) -> int | None:
    """The step whose checkpoint was measured: at the end of a run the best one reads the test set, not the last."""
    step = told.get("checkpoint", told.get("step"))
    best = run.read("best.json").get("step")
    if split == "test" and "checkpoint" not in told and best is not None and run.progress.get("step") == step:
        return best
    return step


def _read(run: Record, split: str) -> dict[str, Any]:
    try:
        return read_json(run.path / "results" / f"{split}.json", largest=64 * 2**20) or {}
    except ValueError:
        return {}


def _is_square(matrix: Any, count: int) -> TypeGuard[list[list[int]]]:
    return (
        isinstance(matrix, list)
        and len(matrix) == count
        and all(isinstance(row, list) and len(row) == count for row in matrix)
        and all(type(cell) is int and 0 <= cell < 2**53 for row in matrix for cell in row)
    )
