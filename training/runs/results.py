"""Results: how one checkpoint of a run did on a split, read from disk and checked: the one reader of results/*.json.

Accuracy is the share of right answers in the confusion matrix, not the number that stands beside it. The checkpoint is
the one that the file names; older files name none, and there it is the best one where the test set was read at the end
of the run. Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from training.storage.jsonfile import read_json
from vit_model.errors import CodedError, quoted
from vit_model.messages import message

SPLITS = ("val", "test")
LARGEST = 64 * 2**20  # bytes of a results file; a thousand classes take a tenth of it
MOST_CLASSES = 2000  # above, a matrix is neither readable nor small


@dataclass(frozen=True)
class Results:
    """One split's results, measured after `step` steps on the checkpoint of step `checkpoint`: loss in nats and
    accuracy from 0 to 1, NaN where they are not known. `confusion` [K][K]: rows true, columns predicted."""

    split: str
    step: int
    checkpoint: int
    loss: float
    accuracy: float
    classes: tuple[str, ...]
    confusion: list[list[int]]


def read_results(folder: Path, split: str) -> Results | None:
    """results/<split>.json of the run in `folder`; None where the run has not been evaluated on it. ValueError says
    what is wrong with a file that somebody changed."""
    if split not in SPLITS:
        text, got = "split must be one of {names}, got {name}", quoted(split)
        raise CodedError(message("results_split", text, names=", ".join(SPLITS), name=got))
    found = read_object(folder / "results" / f"{split}.json")
    if found is None:
        return None
    classes = found.get("classes")
    if not isinstance(classes, list) or not 1 <= len(classes) <= MOST_CLASSES:
        text = "{file} should name 1 to {most} classes"
        raise CodedError(message("results_classes", text, file=f"results/{split}.json", most=MOST_CLASSES))
    confusion: Any = found.get("confusion")
    count = len(classes)
    if not _is_matrix(confusion, count):
        text = "{file} should hold a confusion matrix of {count} rows of {count} counts"
        raise CodedError(message("results_matrix", text, file=f"results/{split}.json", count=count))
    total, step = sum(map(sum, confusion)), whole(found.get("step")) or 0
    return Results(
        split,
        step=step,
        checkpoint=answering_checkpoint(folder, split, step, whole(found.get("checkpoint"))),
        loss=number(found.get("loss")),
        accuracy=sum(row[index] for index, row in enumerate(confusion)) / total if total else math.nan,
        classes=tuple(str(name) for name in classes),
        confusion=confusion,
    )


def answering_checkpoint(folder: Path, split: str, step: int, named: int | None = None) -> int:
    """The step of the checkpoint whose results were measured after `step` steps; `named`: what they say of it."""
    if named is not None or split != "test":
        return step if named is None else named
    try:
        best = whole((read_object(folder / "best.json") or {}).get("step"))
        ended = (read_object(folder / "progress.json") or {}).get("step")
    except ValueError:
        return step
    return step if best is None or ended != step else best


def read_accuracy(folder: Path, split: str) -> float | None:
    """The accuracy of the Results, 0 to 1, or of those with more classes than can be shown; None where it was not
    measured, or its file is damaged."""
    return _accuracy(folder, split, stamp(folder, split))


@lru_cache(maxsize=512)
def _accuracy(folder: Path, split: str, stamped: str) -> float | None:
    if not stamped:
        return None
    try:
        found = read_object(folder / "results" / f"{split}.json") or {}
        classes = found.get("classes")
        if isinstance(classes, list) and len(classes) > MOST_CLASSES:
            accuracy = number(found.get("accuracy"))
        else:
            results = read_results(folder, split)
            accuracy = math.nan if results is None else results.accuracy
    except ValueError:
        return None
    return accuracy if 0 <= accuracy <= 1 else None


def stamp(folder: Path, split: str) -> str:
    """Changes when the results of a split do; empty where there are none."""
    try:
        found = (folder / "results" / f"{split}.json").stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def read_object(path: Path, largest: int = LARGEST) -> dict[str, Any] | None:
    """The JSON object in a file of a run, None where there is no file; ValueError names the file, never its folder."""
    inside = path.parent.name in ("results", "checkpoints")
    return read_json(path, largest, "/".join(path.parts[-2:]) if inside else path.name)


def number(value: Any) -> float:
    """A finite number from a hand-edited file, else NaN."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and abs(value) < 1e300 else math.nan


def whole(value: Any) -> int | None:
    """A whole number of sensible size from outside, else None. A browser may send 3 as 3.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53 or value != int(value):
        return None
    return int(value)


def _is_matrix(rows: Any, count: int) -> bool:
    return (
        isinstance(rows, list)
        and len(rows) == count
        and all(isinstance(row, list) and len(row) == count for row in rows)
        and all(type(cell) is int and 0 <= cell < 2**40 for row in rows for cell in row)
    )
