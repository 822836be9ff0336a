"""PlotlyView: a plain Plotly figure in the page, with the plotly.js that the Python package carries.

`gr.Plot` bundles an older plotly.js that loses the zoom at each update and stays white in dark mode. This one is loaded
from this server when the first plot is shown, keeps the zoom, and follows the theme.
"""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from explorer.viewer.kit.component import Caption, Component

_FOUND = find_spec("plotly")  # without importing it
PLOTLY_JS = Path((_FOUND and _FOUND.origin) or "").parent / "package_data" / "plotly.min.js"

_DTYPES = {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"} | {
    "float32": "f4",
    "float64": "f8",
}
_PACKED_FROM = 1024  # numbers; below, a list is as fast and easier to read in the browser's tools


def plot_value(figure: dict, link: dict | None = None, caption: Caption = "") -> dict:
    """Return a value for `PlotlyView`.

    `figure` is {"data": [...], "layout": {...}} as plotly.js takes it; numpy arrays may stand anywhere in it, and
    {"en": ..., "zh": ...} in place of any text.

    `link` ties the plot to another component: {"event": "vit:select", "viewer": "attention", "fields": ["layer",
    "panel"]}. A click on a point then sends that event with detail {"viewer": "attention", "layer": ..., "panel": ...},
    the fields read from the point's `customdata` in this order, and the point that a `vit:state` event of that viewer
    names has a ring.

    `caption` goes with a saved picture (say the model there).

    Raises ValueError where the figure has no list of traces, or the link lacks a key.
    """
    if not isinstance(figure, dict) or not isinstance(figure.get("data"), (list, tuple)):
        raise ValueError('expected a figure {"data": [traces], "layout": {...}}, got ' + _described(figure))
    if link is not None and (missing := {"event", "viewer", "fields"} - set(link)):
        raise ValueError(f"a plot's link needs event, viewer and fields; missing: {', '.join(sorted(missing))}")
    safe = json_safe({"data": figure["data"], "layout": figure.get("layout") or {}})
    return {"figure": safe, "link": link, "caption": caption}


def json_safe(value: Any, key: str = "") -> Any:
    """Convert numpy arrays and scalars anywhere in a structure to what JSON and plotly.js both take.

    Large numeric arrays become plotly.js's own {"dtype", "bdata", "shape"} (base64: 30 times faster than lists), all
    others lists; NaN and infinities in a list become null, which plotly.js draws as a gap. `customdata` stays a list.
    """
    if isinstance(value, dict):
        return {name: json_safe(item, name) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        dtype = _DTYPES.get(value.dtype.name)
        if dtype and key != "customdata" and value.ndim in (1, 2) and value.size >= _PACKED_FROM:
            data = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            packed = {"dtype": dtype, "bdata": base64.b64encode(data.tobytes()).decode()}
            return packed | ({"shape": ", ".join(map(str, value.shape))} if value.ndim > 1 else {})
        return json_safe(value.tolist())
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


class PlotlyView(Component):
    """A Plotly figure that follows the page's theme and keeps its zoom; value: `plot_value(...)` or None.

    `height` is in CSS pixels. `label` names the plot for screen readers where the figure has no title.
    """

    html, css, words = "plot.html", ("plot.css",), "plot.words.json"
    script = "plot.js"

    def __init__(self, value: dict | None = None, *, height: int = 360, **kwargs: Any):
        gr.set_static_paths([PLOTLY_JS])
        super().__init__(value, height=height, **kwargs)

    def postprocess(self, value: dict | None) -> dict | None:
        if value is None:
            return None
        return value | {"library": gr.FileData(path=str(PLOTLY_JS)).model_dump()}


def _described(value: Any) -> str:
    return f"keys {sorted(value)}" if isinstance(value, dict) else type(value).__name__
