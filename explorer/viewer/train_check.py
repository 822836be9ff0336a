"""TrainCheckView: what a run would meet: its data, the batch as the model will see it, and what a few steps took."""

from __future__ import annotations

import base64
from typing import Any

import gradio as gr

from explorer.viewer.files import cached_file
from explorer.viewer.viewer import HERE, component_script


def picture_files(encoded: list[str]) -> list[dict]:
    """Base64 PNGs as files of the app's cache."""
    return [cached_file(base64.b64decode(text), "picture.png") for text in encoded]


class TrainCheckView(gr.HTML):
    """Value: any of {"step": `Preflight.to_dict()`, "batch": {"files", "names", "patch"}, "data": the data report with
    sample "files"}; all strings are shown as text. None shows nothing."""

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "train_check.html").read_text("utf-8"),
            css_template=(HERE / "train_check.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "train_check.js", text=HERE / "train_check.text.json"),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
