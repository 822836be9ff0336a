"""The pictures behind a run's results: found in its data set, and made small for the page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from explorer.session.cache import ByteCache
from explorer.tabs.train.runs.evaluation import Answers, Evaluation
from explorer.viewer.kit.files import cached_file
from training.data.datasets import open_dataset
from training.data.picture_set import PictureSet, Split
from training.runs.run import Run

PAGE = 24  # pictures shown at a time
SIDE = 160  # pixels of a thumbnail's longer side
_SETS: ByteCache[PictureSet] = ByteCache(4, 1800, lambda _: 1)  # the last four data sets that somebody looked at


def split_of(run: Run, evaluation: Evaluation, progress: Any = None) -> Split:
    """Open the pictures that the answers' indices refer to. A held-out part that was taken from the training pictures
    counts there. DataError or ConfigError where the data has gone."""
    source = run.config.data
    opened = _SETS.get((source, run.guest), lambda: open_dataset(source, progress=progress, guest=run.guest))
    return opened.splits.get(evaluation.split) or opened.splits["train"]


def fits(split: Split, answers: Answers) -> bool:
    """Return whether the pictures still have the labels that they had when they were answered."""
    within = answers.index < len(split.labels)
    return bool(within.all()) and bool((np.asarray(split.labels)[answers.index] == answers.label).all())


def thumbnails(split: Split, evaluation: Evaluation, positions: np.ndarray, unreadable: str) -> list[dict[str, Any]]:
    """Return items for `PictureGrid`, at most PAGE of them. A picture that cannot be read (any more) has an error in
    its place."""
    answers, items = evaluation.answers, []
    for position in positions[:PAGE].tolist():
        index = int(answers.index[position])
        label, predicted = int(answers.label[position]), int(answers.predicted[position])
        item = {
            "position": position,
            "name": str(index),
            "true": evaluation.classes[label],
            "predicted": evaluation.classes[predicted],
            "probability": float(answers.probability[position]),
            "right": label == predicted,
            "file": None,
            "error": "",
        }
        try:
            item["name"] = split.names[index]
            item["file"] = cached_file(*_small(split.read(index)))
        except (ValueError, OSError, IndexError):
            item["error"] = unreadable
        items.append(item)
    return items


def _small(picture: Image.Image) -> tuple[bytes, str]:
    picture = picture.convert("RGB")
    tiny = max(picture.size) <= 96
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    if tiny:  # pixels that would be blurred
        picture.save(file, "PNG")
    else:
        picture.save(file, "JPEG", quality=85)
    return file.getvalue(), "picture.png" if tiny else "picture.jpg"
