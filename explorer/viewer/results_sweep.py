"""SweepView: one small curve for each learning rate that was tried, the picked one marked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, component_script


class SweepView(gr.HTML):
    """Value: {"stamp", "trials": [{"rate", "accuracy" or None, "picked", "state", "steps": [..], "values": [..]}, ...],
    "note": Caption} or None. `values` are held-out accuracies, 0 to 1, after `steps` steps. Event `npz`: somebody wants
    the numbers as a file."""

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=_HTML,
            css_template=(HERE / "results_sweep.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "results_sweep.js", text=HERE / "results_sweep.text.json"),
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


_HTML = """<section class="sweep" data-state="empty" data-seq="0">
  <div class="head"><h4 data-text="title"></h4><button type="button" class="csv" data-text="csv"></button>
    <button type="button" class="npz" data-text="npz"></button></div>
  <p class="note"></p>
  <ul></ul>
</section>"""
