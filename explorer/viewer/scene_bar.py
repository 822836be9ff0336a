"""SceneBar: the top-5 prediction, the model in one line, and a note; stays in sight while tabs change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

_HERE = Path(__file__).parent


class SceneBar(gr.HTML):
    """Value: {"seq": str, "top": [[label, probability], ...], "card": str, "note": str}; all shown as text."""

    def __init__(self, **kwargs: Any):
        super().__init__(
            html_template=(_HERE / "scene_bar.html").read_text("utf-8"),
            css_template=(_HERE / "scene_bar.css").read_text("utf-8"),
            js_on_load=(_HERE / "scene_bar.js").read_text("utf-8"),
            apply_default_css=False,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
