"""Evaluation: what a run's checkpoint answered on a split, read from disk and checked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from training.storage.jsonfile import unread
from vit_model.errors import CodedError
from vit_model.messages import message, message_of

SPLITS = ("val", "test")
LARGEST = 64 * 2**20  # bytes of a results file; a thousand classes take a tenth of it
MOST_CLASSES = 2000  # above, a matrix is neither readable nor small
_ARRAYS = {"index": np.int64, "label": np.int64, "predicted": np.int64, "probability": np.float32}


@dataclass(frozen=True)
class Answers:
    """One entry for each picture, [n]: its index in the data set's split, true and predicted class, and the softmax
    probability of the prediction."""

    index: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray

    def where(self, true: int | None, predicted: int | None) -> np.ndarray:
        """Positions of the pictures of one cell, most confident first. None is any class; with both None, and with a
        true class alone, only wrong answers count."""
        chosen = np.ones(len(self.label), bool) if predicted is not None else self.label != self.predicted
        if true is not None:
            chosen &= self.label == true
        if predicted is not None:
            chosen &= self.predicted == predicted
        found = np.flatnonzero(chosen)
        return found[np.argsort(-self.probability[found], kind="stable")]


@dataclass(frozen=True)
class Evaluation:
    """One split's results, measured after `step` steps on the checkpoint of step `checkpoint`. `confusion` [K, K]
    int64: rows true, columns predicted. `answers` is None, and `missing` says why, where single pictures are not known.
    """

    split: str
    step: int
    checkpoint: int
    loss: float
    accuracy: float
    classes: tuple[str, ...]
    confusion: np.ndarray
    answers: Answers | None
    missing: str = ""

    @property
    def per_class(self) -> np.ndarray:
        """Share of each class's pictures that were named right [K]; NaN for a class without pictures."""
        total = self.confusion.sum(1)
        return np.where(total > 0, np.diag(self.confusion) / np.maximum(total, 1), np.nan)

    @property
    def cells(self) -> list[list[int]]:
        """[row, column, count] of every cell that is not empty."""
        rows, columns = np.nonzero(self.confusion)
        counts = self.confusion[rows, columns]
        return np.stack([rows, columns, counts], 1).tolist()


def read_evaluation(folder: Path, split: str) -> Evaluation | None:
    """results/<split>.json and .safetensors of the run in `folder`; None where the run has not been evaluated on it.
    ValueError says what is wrong with a file that somebody changed."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {str(split)[:40]!r}")
    found = read_object(folder / "results" / f"{split}.json")
    if found is None:
        return None
    where = f"results/{split}.json"
    classes = found.get("classes")
    if not isinstance(classes, list) or not 1 <= len(classes) <= MOST_CLASSES:
        text = "{file} should name 1 to {most} classes"
        raise CodedError(message("results_classes", text, file=where, most=MOST_CLASSES))
    count = len(classes)
    confusion = _matrix(found.get("confusion"), count, where)
    step = whole(found.get("step")) or 0
    right, total = int(np.trace(confusion)), int(confusion.sum())
    answers, missing = None, ""
    try:
        answers = _answers(folder / "results" / f"{split}.safetensors", count)
    except ValueError as error:
        missing = message_of(error)
    return Evaluation(
        split,
        step=step,
        checkpoint=_checkpoint(folder, found, step),
        loss=number(found.get("loss")),
        accuracy=right / total if total else math.nan,
        classes=tuple(str(name) for name in classes),
        confusion=confusion,
        answers=answers,
        missing=missing,
    )


def stamp(folder: Path, split: str) -> str:
    """Changes when the results of a split do; empty where there are none."""
    try:
        found = (folder / "results" / f"{split}.json").stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"


def test_accuracy(folder: Path) -> float | None:
    """Of the run in `folder`, 0 to 1; None where it was not measured, or its file is damaged."""
    try:
        found = number((read_object(folder / "results" / "test.json") or {}).get("accuracy"))
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


def read_object(path: Path, largest: int = LARGEST) -> dict[str, Any] | None:
    """The JSON object in a file of a run, None where there is no file; ValueError names the file, never its folder."""
    name = "/".join(path.parts[-2:]) if path.parent.name in ("results", "checkpoints") else path.name
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CodedError(unread(name, str(error.strerror))) from error
    try:
        if len(content) > largest:
            raise CodedError(message("file_large", "it is larger than {size} MiB", size=largest >> 20))
        value = json.loads(content)
        if not isinstance(value, dict):
            raise CodedError(message("no_json_object", "it holds no JSON object"))
    except (ValueError, RecursionError) as error:
        raise CodedError(unread(name, message_of(error))) from error
    return value


def number(value: Any) -> float:
    """A finite number from a hand-edited file, else NaN."""
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if real and abs(value) < 1e300 else math.nan


def whole(value: Any) -> int | None:
    """A whole number of sensible size from outside, else None. A browser may send 3 as 3.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53 or value != int(value):
        return None
    return int(value)


def _checkpoint(folder: Path, found: dict[str, Any], step: int) -> int:
    """At the end of a run it is the best checkpoint that reads the test set, not the last."""
    told = whole(found.get("checkpoint"))
    if told is not None or found.get("split") != "test":
        return step if told is None else told
    try:
        best = whole((read_object(folder / "best.json") or {}).get("step"))
        ended = (read_object(folder / "progress.json") or {}).get("step")
    except ValueError:
        return step
    return step if best is None or ended != step else best


def _matrix(rows: Any, count: int, where: str) -> np.ndarray:
    text = "{file} should hold a confusion matrix of {count} rows of {count} counts"
    misfit = CodedError(message("results_matrix", text, file=where, count=count))
    if not isinstance(rows, list) or len(rows) != count:
        raise misfit
    if any(not isinstance(row, list) or len(row) != count for row in rows):
        raise misfit
    try:
        matrix = np.array(rows, np.float64)
    except (TypeError, ValueError) as error:
        raise misfit from error
    if not (np.isfinite(matrix).all() and (matrix >= 0).all() and (matrix < 2**40).all()):
        raise misfit
    return matrix.astype(np.int64)


def _answers(path: Path, classes: int) -> Answers:
    name = f"results/{path.name}"
    try:
        if path.stat().st_size > 4 * LARGEST:
            raise CodedError(message("results_large", "{file} is too large to be results", file=name))
        found = load_file(path)
    except FileNotFoundError as error:
        raise CodedError(message("results_missing", "{file} is missing", file=name)) from error
    except (SafetensorError, OSError) as error:
        raise CodedError(message("results_unread", "{file} cannot be read", file=name)) from error
    if missing := [key for key in _ARRAYS if key not in found]:
        raise CodedError(message("results_lack", "{file} lacks {names}", file=name, names=", ".join(missing)))
    arrays = {key: found[key].astype(kind) for key, kind in _ARRAYS.items() if found[key].ndim == 1}
    if len(arrays) < len(_ARRAYS) or len({len(array) for array in arrays.values()}) != 1:
        raise CodedError(message("results_lists", "{file} should hold four lists of the same length", file=name))
    known = all(((arrays[key] >= 0) & (arrays[key] < classes)).all() for key in ("label", "predicted"))
    if not known or (arrays["index"] < 0).any():
        text = "{file} names classes or pictures that do not exist"
        raise CodedError(message("results_strangers", text, file=name))
    arrays["probability"] = np.nan_to_num(arrays["probability"], nan=0.0).clip(0, 1)
    return Answers(**arrays)
