"""ConfusionView: what a model takes for what, as a matrix from 2 to 2,000 classes, and how well it knows each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from explorer.viewer.viewer import HERE, Caption, component_script


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
    """A value for `ConfusionView`. `confusion` [K, K]: rows true, columns predicted. `stamp` changes with the results;
    `pictures`: whether single answers are known, so that cells can be opened; `note` is shown below the title."""
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


class ConfusionView(gr.HTML):
    """Value: `confusion_value(...)`, or {"stamp", "message"} where there is nothing to show. Names are shown as text.

    Events, their data to be validated by who listens: `refresh` {"stamp"} now and then while it is in sight, `cell`
    {"split", "true", "predicted"} for a cell, with predicted null for all wrong answers of one class.
    """

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "results_matrix.html").read_text("utf-8"),
            css_template=(HERE / "results_matrix.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "results_matrix.js", text=HERE / "results_matrix.text.json"),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
