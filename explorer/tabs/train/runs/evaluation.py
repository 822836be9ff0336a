"""Evaluation: a run's results on a split as arrays, with what its checkpoint answered to each picture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from training.runs.results import LARGEST, read_results
from vit_model.errors import CodedError
from vit_model.messages import message, message_of

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
        """Find the positions of the pictures of one cell, most confident first. None is any class; with both None, and
        with a true class alone, only wrong answers count."""
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
        """The accuracy of each class [K]; NaN for a class without pictures."""
        total = self.confusion.sum(1)
        return np.where(total > 0, np.diag(self.confusion) / np.maximum(total, 1), np.nan)

    @property
    def cells(self) -> list[list[int]]:
        """Return [row, column, count] of every cell that is not empty."""
        rows, columns = np.nonzero(self.confusion)
        counts = self.confusion[rows, columns]
        return np.stack([rows, columns, counts], 1).tolist()


def read_evaluation(folder: Path, split: str) -> Evaluation | None:
    """The results of the run in `folder`, with results/<split>.safetensors; None where the run has not been evaluated
    on that split. ValueError says what is wrong with a file that somebody changed."""
    found = read_results(folder, split)
    if found is None:
        return None
    answers, missing = None, ""
    try:
        answers = _answers(folder / "results" / f"{split}.safetensors", len(found.classes))
    except ValueError as error:
        missing = message_of(error)
    known = {each.name: getattr(found, each.name) for each in fields(found) if each.name != "confusion"}
    return Evaluation(**known, confusion=np.array(found.confusion, np.int64), answers=answers, missing=missing)


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
