"""ConfusionView: the confusion matrix of 2 to 2,000 classes, and the accuracy of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.viewer.kit.component import Caption, Component


def confusion_value(
    classes: Sequence[str],
    confusion: np.ndarray,
    *,
    stamp: str,
    split: str,
    title: Caption,
    pictures: bool,
    note: str = "",
) -> dict:
    """Return a value for `ConfusionView`. `confusion` [K, K]: rows true, columns predicted. `stamp` changes with the
    results; `pictures`: whether single answers are known, so that cells can be opened; `note` is shown below the
    title."""
    confusion = np.asarray(confusion)
    if confusion.shape != (len(classes),) * 2:
        raise ValueError(f"{len(classes)} classes need a matrix of as many rows and columns, got {confusion.shape}")
    rows, columns = np.nonzero(confusion)
    cells = np.stack([rows, columns, confusion[rows, columns]], 1).tolist()
    return {
        "classes": list(classes),
        "cells": cells,
        "stamp": stamp,
        "split": split,
        "title": title,
        "pictures": pictures,
        "note": note,
    }


class ConfusionView(Component):
    """Value: `confusion_value(...)`, or {"stamp", "message"} where there is nothing to show. Names are shown as text.

    Events, their data to be validated by who listens: `refresh` {"stamp"} now and then while it is in sight, `cell`
    {"split", "true", "predicted"} for a cell, with predicted null for all wrong answers of one class.
    """

    html, css, words = "confusion.html", ("confusion.css",), "confusion.words.json"
    script = "confusion.js"
    script_events = ("cell", "refresh")
