"""Arrays -> pictures and Plotly figures: the only place that normalises, and it says on which scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

WORDS = {
    "en": {
        "layer": "layer",
        "head": "head",
        "distance": "mean attention distance (pixels)",
        "entropy": "attention entropy (nats)",
    },
    "zh": {"layer": "层", "head": "头", "distance": "平均注意力距离（像素）", "entropy": "注意力熵（nat）"},
}


def distance_figure(distance: np.ndarray, language: str = "en") -> dict:
    """Plotly figure of attention distance [layers, heads] in pixels: one point a head."""
    return _by_layer(distance, "distance", language)


def entropy_figure(entropy: np.ndarray, language: str = "en") -> dict:
    """Plotly figure of attention entropy [layers, heads] in nats: one point a head."""
    return _by_layer(entropy, "entropy", language)


def _by_layer(values: np.ndarray, quantity: str, language: str) -> dict:
    """Heads as points over layers; `customdata` holds (layer, head), so that a click can be followed."""
    words = WORDS[language]
    values = np.asarray(values, np.float32)
    layers, heads = (index.ravel() for index in np.indices(values.shape))
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": layers,
        "y": values.ravel(),
        "customdata": np.stack([layers, heads], axis=1),
        "marker": {"size": 8, "color": heads, "colorscale": "Viridis", "showscale": False, "opacity": 0.85},
        "hovertemplate": f"{words['layer']} %{{x}}, {words['head']} %{{customdata[1]}}: %{{y:.4g}}<extra></extra>",
    }
    layout = {
        "title": {"text": words[quantity], "font": {"size": 14}},
        "xaxis": {"title": {"text": words["layer"]}, "dtick": 1 if len(values) <= 16 else 2, "zeroline": False},
        "yaxis": {"rangemode": "tozero"},
        "height": 300,
        "margin": {"l": 50, "r": 12, "t": 40, "b": 44},
        "showlegend": False,
    }
    return {"data": [points], "layout": layout}


def overlay(picture: Image.Image, values: np.ndarray, opacity: float = 0.55, signed: bool = False) -> Image.Image:
    """A map [gh, gw] over the picture that the model saw. Scale: 0 to the map's maximum (starting at the minimum would
    hide how flat a map is), and for signed maps minus to plus the largest magnitude."""
    values = np.asarray(values, np.float32)
    if values.ndim != 2:
        raise ValueError(f"expected a map [rows, columns], got an array of shape {list(values.shape)}")
    colours = colour(values, signed)
    heat = Image.fromarray(colours, "RGB").resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture.convert("RGB"), heat, opacity)


def colour(values: np.ndarray, signed: bool = False) -> np.ndarray:
    """[rows, columns] -> RGB uint8 on the scale of `overlay`: viridis, or blue-white-red for signed maps."""
    largest = float(np.abs(values).max()) or 1.0
    share = (values / largest + 1) / 2 if signed else np.clip(values / largest, 0, 1)
    stops = _DIVERGING if signed else _VIRIDIS
    at = np.linspace(0, 1, len(stops))
    channels = [np.interp(share, at, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def filter_tile(filters: np.ndarray, across: int = 7, scale: int = 4, gap: int = 2) -> Image.Image:
    """Filters [count, ph, pw, 3] as one picture. Scale: each filter by itself, minus to plus its largest magnitude, so
    that grey is zero."""
    filters = np.asarray(filters, np.float32)
    count, ph, pw, channels = filters.shape
    if channels != 3:
        raise ValueError(f"expected RGB filters [count, ph, pw, 3], got {list(filters.shape)}")
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = ((filters / np.where(largest > 0, largest, 1) + 1) * 127.5).round().astype(np.uint8)
    down = -(-count // across)
    tile = Image.new("RGB", (across * (pw * scale + gap) - gap, down * (ph * scale + gap) - gap), "white")
    for index, pixels in enumerate(scaled):
        cell = Image.fromarray(pixels, "RGB").resize((pw * scale, ph * scale), Image.Resampling.NEAREST)
        tile.paste(cell, (index % across * (pw * scale + gap), index // across * (ph * scale + gap)))
    return tile


def _table(hexes: str) -> np.ndarray:
    return np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in hexes.split()], np.float32)


_VIRIDIS = _table("440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725")
_DIVERGING = _table("17366f 2b5fae 6d9bd6 b9cfe9 f4f2ef f0c2a8 de8259 b84727 6f1d12")
