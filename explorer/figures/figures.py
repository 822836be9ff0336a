"""Arrays -> pictures and Plotly figures. The only place that normalises, and what it draws says on which scale.

Scales: an unsigned map runs from 0 to its largest value (to start at its smallest would hide how flat it is), a signed
one from minus to plus its largest magnitude; `limit` sets that end, so that several maps can share a scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from explorer.analysis.explain.explanation import Explanation
from explorer.device import on_host
from vit_model.errors import quoted

_STOPS = {  # evenly spaced, the same as the viewer's in the browser
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "magma": "000004 180f3d 440f76 721f81 9e2f7f cd4071 f1605d fd9668 feca8d fcfdbf",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0402",
    "grey": "000000 ffffff",
    "diverging": "17366f 2b5fae 6d9bd6 b9cfe9 f4f2ef f0c2a8 de8259 b84727 6f1d12",
}
COLOUR_MAPS = tuple(_STOPS)
PAPER = "#ffffff"
WORDS = {
    "en": {
        "layer": "layer",
        "head": "head",
        "distance": "mean attention distance (pixels)",
        "entropy": "mean attention entropy (nats)",
    },
    "zh": {"layer": "层", "head": "头", "distance": "平均注意力距离（像素）", "entropy": "平均注意力熵（nat）"},
}


def colour(values: ArrayLike, colours: str = "viridis", signed: bool = False, limit: float | None = None) -> np.ndarray:
    """Colour values of any shape as RGB uint8 [..., 3] on the module's scale; beyond `limit` they get the end's colour.

    Raises ValueError for an unknown colour map, NaN or infinity, and a limit that is not positive.
    """
    values = on_host(values, np.float32)
    limit = scale_limit(values) if limit is None else limit
    if not np.isfinite(values).all():
        raise ValueError("the map holds NaN or infinite values; check the model's weights")
    if not limit > 0:
        raise ValueError(f"limit must be above 0, got {limit}")
    table = colour_table(colours)
    share = (values / limit + 1) / 2 if signed else values / limit
    return table[np.rint(np.clip(share, 0, 1) * (len(table) - 1)).astype(np.intp)]


def scale_limit(values: ArrayLike) -> float:
    """Return the end of the scale that a map has by itself: its largest magnitude, or 1 if all of it is 0."""
    return float(np.abs(on_host(values)).max()) or 1.0


def colour_table(colours: str) -> np.ndarray:
    """Return a colour map as RGB uint8 [256, 3], from its low end."""
    if colours not in _STOPS:
        raise ValueError(f"unknown colour map {quoted(colours)}; there are {', '.join(COLOUR_MAPS)}")
    stops = np.array([list(bytes.fromhex(code)) for code in _STOPS[colours].split()], np.float64)
    at, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    return np.stack([np.interp(at, places, channel) for channel in stops.T], axis=-1).round().astype(np.uint8)


def overlay(
    picture: Image.Image,
    explanation: Explanation,
    colours: str | None = None,
    opacity: float = 0.6,
    smooth: bool = False,
    limit: float | None = None,
) -> Image.Image:
    """Draw a map over the picture that the model saw, patch by patch; `smooth` interpolates between patches.

    `colours`: viridis, and diverging for a signed map, unless named. `opacity` from 0 (picture) to 1 (map).
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be from 0 to 1, got {opacity}")
    limit = scale_limit(explanation.values) if limit is None else limit
    values = Image.fromarray(on_host(explanation.values, np.float32))
    values = values.resize(picture.size, Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST)
    heat = colour(np.asarray(values), colours or _default_colours(explanation.signed), explanation.signed, limit)
    return Image.blend(picture.convert("RGB"), Image.fromarray(heat), opacity)


def filter_tile(filters: ArrayLike, across: int = 7, zoom: int = 4, gap: int = 2) -> Image.Image:
    """Draw filters [count, ph, pw, channels] of one or three channels, row by row. Scale: each filter from minus to
    plus its own largest magnitude, so that mid-grey is 0."""
    filters = np.asarray(filters, np.float32)
    if filters.ndim != 4 or filters.shape[-1] not in (1, 3):
        raise ValueError(f"expected filters [count, ph, pw, 1 or 3 channels], got {list(filters.shape)}")
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    pixels = ((filters / np.where(largest > 0, largest, 1) + 1) * 127.5).round().astype(np.uint8)
    return _mosaic(np.broadcast_to(pixels, (*pixels.shape[:3], 3)), across, zoom, gap)


def position_mosaic(
    similarity: ArrayLike, colours: str | None = None, limit: float | None = None, zoom: int = 3, gap: int = 2
) -> Image.Image:
    """Draw position similarity [gh, gw, gh, gw] as gh x gw small maps, one for each position (ViT paper, Figure 7). One
    scale for all, signed unless `colours` names another map than "diverging" and nothing is below 0."""
    similarity = np.asarray(similarity, np.float32)
    gh, gw = similarity.shape[:2]
    if similarity.shape != (gh, gw, gh, gw):
        raise ValueError(f"expected similarities [gh, gw, gh, gw], got {list(similarity.shape)}")
    signed = colours in (None, "diverging") or bool(similarity.min() < 0)
    pixels = colour(similarity, colours or "diverging", signed, limit)
    return _mosaic(pixels.reshape(gh * gw, gh, gw, 3), gw, zoom, gap)


def rollout_sheet(seen: Sequence[tuple[Image.Image, Explanation]], across: int = 3, side: int = 150) -> Image.Image:
    """Draw pairs of a picture and the same picture times its map, so that unattended parts are dark (ViT paper,
    Figure 6). Scale: the map over its largest value, interpolated. `across` pairs to a row, each half at most `side`
    pixels wide and high; nothing, and so the page, between them."""
    if not seen:
        raise ValueError("expected at least one picture with its map")
    gap, cells = max(side // 20, 2), []
    for picture, explanation in seen:
        scale = side / max(picture.size)
        size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
        small = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
        values = Image.fromarray(on_host(explanation.values, np.float32) / scale_limit(explanation.values))
        mask = np.asarray(values.resize(size, Image.Resampling.BILINEAR)).clip(0, 1)[..., None]
        cells.append((small, Image.fromarray((np.asarray(small) * mask).round().astype(np.uint8))))
    pair, down = 2 * side + gap // 2, math.ceil(len(cells) / across)
    sheet = Image.new("RGBA", (min(across, len(cells)) * (pair + gap) - gap, down * (side + gap) - gap))
    for index, both in enumerate(cells):
        row, column = divmod(index, across)
        for half, cell in enumerate(both):
            left = column * (pair + gap) + half * (side + gap // 2) + (side - cell.width) // 2
            sheet.paste(cell, (left, row * (side + gap) + (side - cell.height) // 2))
    return sheet


def distance_figure(distance: ArrayLike, language: str = "en") -> dict:
    """Make a Plotly figure of attention distances [L, H] in pixels: a point for each head, over its layer."""
    return _by_layer(distance, "distance", language)


def entropy_figure(entropy: ArrayLike, language: str = "en") -> dict:
    """Make a Plotly figure of attention entropies [L, H] in nats: a point for each head, over its layer."""
    return _by_layer(entropy, "entropy", language)


def _by_layer(values: ArrayLike, quantity: str, language: str) -> dict:
    """{"data", "layout"} as plotly.js takes them; a point's `customdata` is [layer, head], so that a click can be
    followed."""
    if language not in WORDS:
        raise ValueError(f"language must be one of {', '.join(WORDS)}, got {quoted(language)}")
    values, words = on_host(values, np.float32), WORDS[language]
    if values.ndim != 2:
        raise ValueError(f"expected values [layers, heads], got {list(values.shape)}")
    layers, heads = (index.ravel() for index in np.indices(values.shape))
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": layers,
        "y": values.ravel(),
        "customdata": np.stack([layers, heads], axis=1),
        "marker": {
            "size": 8,
            "color": heads,
            "colorscale": "Viridis",
            "showscale": False,
            "opacity": 0.85,
            "line": {"width": 1, "color": "#8a8f98"},  # head 0 on a dark page, the last head on a light one
        },
        "hovertemplate": f"{words['layer']} %{{x}}, {words['head']} %{{customdata[1]}}: %{{y:.4g}}<extra></extra>",
    }
    layout = {
        "title": {"text": words[quantity], "font": {"size": 14}},
        "xaxis": {"title": {"text": words["layer"]}, "dtick": math.ceil(len(values) / 16), "zeroline": False},
        "yaxis": {"title": {"text": words[quantity]}, "rangemode": "tozero"},
        "height": 300,
        "margin": {"l": 50, "r": 12, "t": 40, "b": 44},
        "showlegend": False,
    }
    return {"data": [points], "layout": layout}


def _mosaic(cells: np.ndarray, across: int, zoom: int, gap: int) -> Image.Image:
    """Lay out RGB cells [count, h, w, 3], `across` to a row, each pixel drawn `zoom` wide, `gap` pixels of paper
    between."""
    count, height, width = cells.shape[0], cells.shape[1] * zoom, cells.shape[2] * zoom
    down = math.ceil(count / across)
    sheet = Image.new("RGB", (across * (width + gap) - gap, down * (height + gap) - gap), PAPER)
    for index, cell in enumerate(np.ascontiguousarray(cells)):
        row, column = divmod(index, across)
        enlarged = Image.fromarray(cell).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (column * (width + gap), row * (height + gap)))
    return sheet


def _default_colours(signed: bool) -> str:
    return "diverging" if signed else "viridis"
