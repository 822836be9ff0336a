"""ScoreTable: numbers in a table whose cells are shaded by their size, with progress while they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, Caption, component_script


def cell(text: Caption, strength: float | None = None, *, mark: bool = False, title: Caption = "") -> dict:
    """One cell. `strength` from -1 (shaded in one colour) over 0 (not shaded) to 1 (in the other), None for none;
    `mark`: it stands out as a warning; `title`: said on hovering."""
    strength = None if strength is None or strength != strength else max(-1.0, min(1.0, float(strength)))
    return {"text": text, "strength": strength, "mark": mark, "title": title}


def scores_value(
    *,
    title: Caption = "",
    note: Caption = "",
    corner: Caption = "",
    head: Sequence[Caption] = (),
    rows: Sequence[dict] = (),
    turned: bool = False,
    caption: str = "",
    name: str = "table",
    progress: dict | None = None,
) -> dict:
    """A value for `ScoreTable`. `rows`: {"head": Caption, "quiet": bool, "cells": [`cell`, ...]}, as many cells as
    `head` has columns. `turned`: column heads stand upright, for a matrix. `caption` is written under a saved picture,
    called `name`. `progress`: {"done": 0 to 1, "text": Caption, "running": bool}."""
    if wrong := [row for row in rows if len(row["cells"]) != len(head)]:
        raise ValueError(f"{len(head)} columns, but a row of {len(wrong[0]['cells'])} cells")
    return {
        "title": title,
        "note": note,
        "corner": corner,
        "head": list(head),
        "rows": list(rows),
        "turned": turned,
        "caption": caption,
        "name": name,
        "progress": progress,
    }


class ScoreTable(gr.HTML):
    """Value: `scores_value(...)` or None. Everything in it is shown as text."""

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "scores.html").read_text("utf-8"),
            css_template=(HERE / "scores.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "scores_png.js", "scores.js", text=HERE / "scores.text.json"),
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
