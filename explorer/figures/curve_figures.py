"""Plotly figures of deletion curves and of the weight randomisation check. Texts may be {"en": ..., "zh": ...}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from explorer.analysis.faithfulness.sanity import STAYS, Sanity

Text = str | Mapping[str, str]
PALETTE = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#72b7b2", "#ff9da6", "#9d755d", "#8a8f2d", "#2f9e9e")
DASHES = ("solid", "dash", "dot")
GREY = "#8c8c8c"


def style_of(index: int) -> dict:
    """Return a line style unlike the others: colours first, then dashes."""
    return {"color": PALETTE[index % len(PALETTE)], "dash": DASHES[index // len(PALETTE) % len(DASHES)], "width": 2}


def curves_figure(
    share: np.ndarray,
    curves: np.ndarray,
    names: Sequence[Text],
    *,
    baselines: Sequence[int] = (),
    shown: Sequence[int] | None = None,
    title: Text = "",
    x: Text = "",
    y: Text = "",
    probability: bool = True,
) -> dict:
    """Curves [M, P] over the share of patches left out, [P]. Those of `baselines` are grey and dashed; those not in
    `shown` (None: all are) wait in the legend."""
    data = []
    for index, (name, curve) in enumerate(zip(names, curves, strict=True)):
        line = style_of(index)
        if index in baselines:
            line = {"color": GREY, "dash": DASHES[1 + list(baselines).index(index) % 2], "width": 2}
        data.append(_line(100 * share, curve, name, line))
        if shown is not None and index not in shown:
            data[-1]["visible"] = "legendonly"
    layout = _layout(title, x, y)
    layout["xaxis"] |= {"range": [0, 100], "ticksuffix": "%"}
    layout["yaxis"] |= {"range": [-0.02, 1.02]} if probability else {}
    return {"data": data, "layout": layout}


def sanity_figure(
    found: Sanity, names: Sequence[Text], steps: Sequence[Text], *, title: Text = "", x: Text = "", y: Text = ""
) -> dict:
    """Rank correlation with the map of the trained weights after each step, a line a method; the threshold dashed.
    `names`: of `found.methods`; `steps`: what to call the trained weights, then each step of `found.planned`."""
    places = list(range(len(found.steps) + 1))
    data = []
    for index, name in enumerate(names):
        values = np.concatenate([[1.0], found.correlation[index]])
        data.append(_line(np.array(places), values, name, style_of(index)))
    layout = _layout(title, x, y)
    layout["xaxis"] |= {"tickvals": list(range(len(steps))), "ticktext": list(steps), "range": [-0.2, len(steps) - 0.8]}
    layout["yaxis"] |= {"range": [-1.05, 1.05], "zeroline": True}
    layout["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": STAYS, "y1": STAYS}
        | {"line": {"color": GREY, "dash": "dash", "width": 1}}
    ]
    return {"data": data, "layout": layout}


def _line(x: np.ndarray, y: np.ndarray, name: Text, line: dict) -> dict:
    told = {"en": name, "zh": name} if isinstance(name, str) else name
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": x,
        "y": y,
        "name": name,
        "line": line,
        "marker": {"size": 4, "color": line["color"]},
        "hovertemplate": {language: f"{text}: %{{y:.3f}}<extra></extra>" for language, text in told.items()},
    }


def _layout(title: Text, x: Text, y: Text) -> dict:
    return {
        "title": {"text": title, "font": {"size": 14}},
        "xaxis": {"title": {"text": x}, "zeroline": False},
        "yaxis": {"title": {"text": y}, "zeroline": False},
        "height": 420,
        "margin": {"l": 50, "r": 12, "t": 40, "b": 44},
        "legend": {"orientation": "h", "y": -0.22, "yanchor": "top", "font": {"size": 11.5}},
        "hovermode": "closest",
    }
