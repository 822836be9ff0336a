"""A run's curves for a model card: a few marks as numbers, and a drawing. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.runs.metrics import MetricEvent

Point = tuple[int, float]  # step, value

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 760, 250, 52, 34, 30, 40
MOST_POINTS, MOST_DOTS = 400, 60  # of one line
SMOOTHING = 0.9
COLOURS = {"train": "#4c6fbf", "val": "#c8442f", "test": "#2e8b57"}
NAMES = {"train": "training", "val": "held out", "test": "test"}


def line(events: Sequence[MetricEvent], split: str, name: str) -> list[Point]:
    """Return the finite values of one measure."""
    points = ((event.step, event.values.get(name, math.nan)) for event in events if event.split == split)
    return [(step, value) for step, value in points if math.isfinite(value)]


def marks(curve: Sequence[MetricEvent], most: int = 12) -> list[MetricEvent]:
    """Choose at most `most` of the curve's held-out events (the training events where there are none), spread evenly,
    the first and the last among them."""
    chosen = [event for event in curve if event.split == "val"] or [e for e in curve if e.split == "train"]
    if len(chosen) <= most:
        return chosen
    return [chosen[round(index * (len(chosen) - 1) / (most - 1))] for index in range(most)]


def smoothed(points: Sequence[Point], factor: float = SMOOTHING) -> list[Point]:
    """Smooth by the exponential moving average s_t = f s_{t-1} + (1 - f) x_t, divided by 1 - f^t as it begins at 0."""
    total, weight, made = 0.0, 0.0, []
    for step, value in points:
        total, weight = factor * total + (1 - factor) * value, factor * weight + (1 - factor)
        made.append((step, total / weight))
    return made


def curves_svg(curve: Sequence[MetricEvent]) -> str | None:
    """Draw loss and accuracy over the steps, as an SVG that needs no style of its surroundings; None without any
    event."""
    last = max((event.step for event in curve), default=0)
    if not last:
        return None
    panel = (WIDTH - GAP) // 2
    drawn = [
        _panel(_Frame(0, panel, last), "loss", curve, "{:.3g}".format),
        _panel(_Frame(panel + GAP, panel, last), "accuracy", curve, "{:.0%}".format),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="sans-serif" font-size="11" fill="#333">',
            "<title>Loss and accuracy of this run</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


@dataclass(frozen=True)
class _Frame:
    """The place of a panel, and the scale from steps and values to its pixels."""

    left: int
    width: int
    last: int
    low: float = 0.0
    high: float = 1.0

    def x(self, step: float) -> float:
        return self.left + LEFT + step / self.last * (self.width - LEFT - 8)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - BOTTOM - TOP)


def _panel(frame: _Frame, name: str, curve: Sequence[MetricEvent], shown: Callable[[float], str]) -> str:
    lines = {split: points for split in COLOURS if (points := line(curve, split, name))}
    if not lines:
        return ""
    values = [value for points in lines.values() for _, value in points]
    if name == "accuracy":
        low, high = 0.0, 1.0
    else:  # the few largest of the beginning would press the rest to the floor
        low, high = 0.0, sorted(values)[int(0.99 * (len(values) - 1))] * 1.05 or 1.0
    frame = _Frame(frame.left, frame.width, frame.last, low, high)
    parts = [_axes(frame, name, shown)]
    for order, (split, points) in enumerate(lines.items()):
        colour = COLOURS[split]
        if split == "train" and len(points) > 8:
            parts.append(_polyline(frame, points, colour, 'stroke-width="1" opacity="0.25"'))
            points = smoothed(points)
        if len(points) > 1:
            parts.append(_polyline(frame, points, colour, 'stroke-width="1.8"'))
        if split != "train" and len(points) <= MOST_DOTS:
            parts += [
                f'<circle cx="{frame.x(step):.1f}" cy="{frame.y(value):.1f}" r="2.5" fill="{colour}"/>'
                for step, value in points
            ]
        at = frame.left + LEFT + 62 * order
        parts.append(f'<text x="{at + 10}" y="{TOP - 8}">{NAMES[split]}</text>')
        parts.append(f'<rect x="{at}" y="{TOP - 15}" width="7" height="7" fill="{colour}"/>')
    return "\n".join(parts)


def _axes(frame: _Frame, name: str, shown: Callable[[float], str]) -> str:
    parts = [f'<text x="{frame.left + LEFT}" y="12" font-weight="bold">{name}</text>']
    for index in range(5):
        value = frame.low + index / 4 * (frame.high - frame.low)
        y = frame.y(value)
        parts.append(
            f'<line x1="{frame.x(0):.1f}" x2="{frame.x(frame.last):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{frame.x(0) - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{shown(value)}</text>')
    for step, anchor in ((0, "start"), (frame.last, "end")):
        words = f"{step:,}" + (" steps" if step else "")
        parts.append(f'<text x="{frame.x(step):.1f}" y="{HEIGHT - 12}" text-anchor="{anchor}">{words}</text>')
    return "\n".join(parts)


def _polyline(frame: _Frame, points: Sequence[Point], colour: str, style: str) -> str:
    drawn = " ".join(f"{frame.x(step):.1f},{frame.y(value):.1f}" for step, value in _thinned(points))
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" {style}/>'


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= MOST_POINTS:
        return points
    return [points[round(index * (len(points) - 1) / (MOST_POINTS - 1))] for index in range(MOST_POINTS)]
