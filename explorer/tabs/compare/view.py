"""CompareViewer: two stacks of maps side by side, moved together, with their difference and the numbers under it."""

from __future__ import annotations

from typing import Any

from explorer.viewer.kit.component import Caption
from explorer.viewer.matrix.viewer import STYLE, AttentionViewer


class CompareViewer(AttentionViewer):
    """Value: what `compare_value` returns, or None. Store, requests and keys are those of `AttentionViewer`."""

    html, css, words = "view.html", (STYLE, "view.css"), "view.words.json"
    script = "view.js"


def compare_value(
    a: dict[str, Any],
    b: dict[str, Any],
    names: tuple[Caption, Caption],
    *,
    notices: tuple[Caption, Caption] = ("", ""),
    by_query: tuple[bool, bool],
    same_unit: bool,
) -> dict[str, Any]:
    """Two values of `viewer_value` as one.

    - `names`: what stands over each side; `notices`: what to know of it, such as that it is not what was asked for
    - `by_query`: whether a side has a map for each token, or one for the picture, whatever is hovered
    - `same_unit`: whether both sides are in one unit, so that A - B means something as it stands. Otherwise, or where
      the grids differ (B is then resampled bilinearly to A's), each map is first divided by the sum of its magnitudes.
    """
    sides = [
        side | {"name": name, "notice": notice, "by_query": query}
        for side, name, notice, query in zip((a, b), names, notices, by_query, strict=True)
    ]
    return {"a": sides[0], "b": sides[1], "same_unit": same_unit}
