"""TrainCommandView: the form's run as a command to copy, what is wrong with it, and marks on the boxes that differ."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, component_script


class TrainCommandView(gr.HTML):
    """Value: {"command": str, "changed": [field], "groups": {group: [field]}, "problem": {"field", "text"} or None}.

    A field's box has the elem_id `field-NAME`, a folded group of boxes `group-NAME`. All strings are shown as text.
    While there is a problem, the last command stays, greyed.
    """

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "train_command.html").read_text("utf-8"),
            css_template=(HERE / "train_command.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "train_command.js", text=HERE / "train_command.text.json"),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}
