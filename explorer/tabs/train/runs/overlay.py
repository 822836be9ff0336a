"""Several runs side by side: their curves in one linked figure, and the fields in which they differ."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from explorer.session.cache import ByteCache
from training.runs.metrics import MetricEvent

MOST_RUNS = 6
MOST_POINTS = 2000  # of a curve in the browser
# Readable on white and on the dark theme (contrast of 3 to both), and apart from each other also for colour-blind eyes
# (a search for the largest least distance in Oklab, as seen with and without each cone); the marks differ too.
COLOURS = ("#354efd", "#f76104", "#3197ee", "#b93347", "#8554a3", "#ac8894")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
AXES = ("step", "epoch", "seconds")
_PANELS = (("loss", "loss"), ("accuracy", "accuracy"), ("lr", "learning rate"))


@dataclass(frozen=True)
class Curve:
    """One value of one split: x positions by step, epoch and seconds, and y, all [n]."""

    step: np.ndarray
    epoch: np.ndarray
    seconds: np.ndarray
    value: np.ndarray


Curves = Mapping[tuple[str, str], Curve]
"""(split, value) -> its curve."""

_CURVES: ByteCache[tuple[Curves, tuple[MetricEvent, ...]]] = ByteCache(
    64 * 2**20, 3600, lambda kept: 1000 + 300 * len(kept[1])
)


def events_of(run: Any) -> tuple[MetricEvent, ...]:
    """All events of a run in order, what was measured twice after a resume once."""
    return _read(run)[1]


def curves_of(run: Any) -> Curves:
    """Return the curves of a run, read again only when its file has grown."""
    return _read(run)[0]


def overlay_figure(
    named: Sequence[tuple[str, Curves]], axis: str, words: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Make a Plotly figure of three panels over one axis: loss (thin: training; marked: held-out), held-out accuracy,
    and learning rate. `named`: up to MOST_RUNS (name, curves); `words`: texts as {"en": ..., "zh": ...} by key."""
    if axis not in AXES:
        raise ValueError(f"axis must be one of {', '.join(AXES)}, got {str(axis)[:40]!r}")
    data = []
    for index, (name, curves) in enumerate(named[:MOST_RUNS]):
        colour, mark = COLOURS[index], MARKS[index]
        common = {"legendgroup": str(index), "name": html.escape(name, quote=False) or "-"}
        for panel, (split, value, style) in enumerate(
            (
                ("train", "loss", {"mode": "lines", "line": {"color": colour, "width": 1}, "opacity": 0.75}),
                ("val", "accuracy", _marked(colour, mark)),
                ("train", "lr", {"mode": "lines", "line": {"color": colour, "width": 2}}),
            )
        ):
            data.append(_trace(curves.get((split, value)), axis, panel, **style, **common, showlegend=panel == 1))
        data.append(_trace(curves.get(("val", "loss")), axis, 0, **_marked(colour, mark), **common, showlegend=False))
    layout: dict[str, Any] = {
        "title": {"text": words["overlay_title"]},
        "height": 640,
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.12, "x": 0, "xanchor": "left"},
        "margin": {"l": 60, "r": 14, "t": 46, "b": 60},
        "xaxis": {"title": {"text": words[f"axis_{axis}"]}, "anchor": "y3", "rangemode": "tozero"},
    }
    for panel, (bottom, top) in enumerate(((0.60, 1.0), (0.26, 0.54), (0.0, 0.20))):
        key = "yaxis" if panel == 0 else f"yaxis{panel + 1}"
        layout[key] = {"domain": [bottom, top], "title": {"text": words[f"panel_{_PANELS[panel][0]}"]}}
    layout["yaxis2"]["tickformat"] = ".0%"
    layout["yaxis3"]["exponentformat"] = "e"
    return {"data": data, "layout": layout}


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """Thin a curve to at most `most` points: of each stretch of steps its lowest and its highest value, so that spikes
    stay. First and last point stay too."""
    count = len(curve.value)
    if count <= most:
        return curve
    edges = np.linspace(0, count, most // 2, dtype=int)
    kept = {0, count - 1}
    for start, end in pairwise(edges):
        part = np.where(np.isnan(curve.value[start:end]), np.inf, curve.value[start:end])
        kept.add(start + int(part.argmin()))
        kept.add(start + int(np.where(np.isinf(part), -np.inf, part).argmax()))
    chosen = np.array(sorted(kept))
    return Curve(*(getattr(curve, name)[chosen] for name in ("step", "epoch", "seconds", "value")))


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return field -> its value in each run, for the fields that differ; a missing field counts as None."""
    names = dict.fromkeys(name for config in configs for name in config)
    table = {name: [config.get(name) for config in configs] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}


def curves_csv(named: Sequence[tuple[str, Sequence[MetricEvent]]]) -> str:
    """Write all events as a table for spreadsheets, one line for each."""
    values = sorted({name for _, events in named for event in events for name in event.values})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "split", "step", "epoch", "seconds", *map(plain_cell, values)])
    for name, events in named:
        for event in events:
            cells = [event.values.get(value, "") for value in values]
            writer.writerow([plain_cell(name), plain_cell(event.split), event.step, event.epoch, event.seconds, *cells])
    return out.getvalue()


def plain_cell(text: str) -> str:
    """Quote a text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _read(run: Any) -> tuple[Curves, tuple[MetricEvent, ...]]:
    path = run.path / "events.jsonl"
    try:
        found = path.stat()
    except OSError:
        return {}, ()

    def make() -> tuple[Curves, tuple[MetricEvent, ...]]:
        events = tuple(run.curve())
        return _curves(events), events

    return _CURVES.get((str(path), found.st_size, found.st_mtime_ns), make)


def _curves(events: Sequence[MetricEvent]) -> Curves:
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for event in events:
        for name, value in event.values.items():
            rows.setdefault((event.split, name), []).append((event.step, event.epoch, event.seconds, value))
    return {key: thinned(Curve(*np.array(found, np.float64).T)) for key, found in rows.items()}


def _trace(curve: Curve | None, axis: str, panel: int, **style: Any) -> dict[str, Any]:
    x, y = ([], []) if curve is None else (getattr(curve, axis), curve.value)
    hover = "%{x:.6g}: %{y:.4g}"
    y_axis = "y" if panel == 0 else f"y{panel + 1}"
    return {"type": "scatter", "x": x, "y": y, "xaxis": "x", "yaxis": y_axis, "hovertemplate": hover, **style}


def _marked(colour: str, mark: str) -> dict[str, Any]:
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"symbol": mark, "size": 7, "maxdisplayed": 30},
    }


def shown_value(value: Any) -> str:
    """A config's value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else "-"
    if isinstance(value, list | tuple):
        return ", ".join(":".join(map(str, part)) if isinstance(part, list | tuple) else str(part) for part in value)
    return str(value)
