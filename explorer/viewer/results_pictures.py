"""PictureGrid: small pictures with what they are and what the model took them for, each a button."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, component_script


class PictureGrid(gr.HTML):
    """Value: {"seq", "title": Caption, "note": Caption, "openable": bool, "total", "offset", "items": [{"position",
    "file" (or None with "error"), "name", "true", "predicted", "probability", "right"}, ...]} or None; all names are
    shown as text.

    Events, their data to be validated by who listens: `show` {"position"} for a picture, `more` {"offset"}, `fetch` for
    the button that a value with "fetch" has: its pictures have to be downloaded first.
    """

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "results_pictures.html").read_text("utf-8"),
            css_template=(HERE / "results_pictures.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "results_pictures.js", text=HERE / "results_pictures.text.json"),
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
