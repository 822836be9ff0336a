"""FactTable: a plain table of texts, such as the fields in which runs differ; nothing in it is ever HTML."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, component_script


class FactTable(gr.HTML):
    """Value: {"title": Caption, "note": Caption, "head": [Caption, ...], "colours": [CSS colour or "", ...] of the
    heads, "rows": [[Caption, ...], ...]}, the first cell of a row its header; or None. Captions are shown as text."""

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template='<section class="facts" data-state="empty" data-seq="0"></section>',
            css_template=(HERE / "results_facts.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "results_facts.js", text=HERE / "results_facts.text.json"),
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
