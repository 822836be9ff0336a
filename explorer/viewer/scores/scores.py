"""ScoreTable: numbers in a table whose cells are shaded by their size, with progress while they are measured."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.viewer.kit.component import Caption, Component


def cell(text: Caption, strength: float | None = None, *, mark: bool = False, title: Caption = "") -> dict:
    """Return one cell. `strength` from -1 (shaded in one colour) over 0 (not shaded) to 1 (in the other), None for
    none; `mark`: it stands out as a warning; `title`: its tooltip."""
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
    """Return a value for `ScoreTable`. `rows`: {"head": Caption, "quiet": bool, "cells": [`cell`, ...]}, as many cells
    as `head` has columns. `turned`: column heads stand upright, for a matrix. `caption` is written under a saved
    picture, called `name`. `progress`: {"done": 0 to 1, "text": Caption, "running": bool}."""
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


class ScoreTable(Component):
    """Value: `scores_value(...)` or None. Everything in it is shown as text."""

    html, css, words = "scores.html", ("scores.css",), "scores.words.json"
    script = "scores.js"
