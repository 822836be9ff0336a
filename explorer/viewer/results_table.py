"""RunTable: the runs as a table that keeps itself up to date, to open, overlay, rename, resume and delete them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.viewer.viewer import HERE, component_script

STATES = ("queued", "running", "stopping", "stopped", "finished", "failed", "damaged")


class RunTable(gr.HTML):
    """Value: {"stamp": str, "opened": id or None, "more": int, "rows": [row, ...]} with rows {"id", "name", "recipe",
    "data", "model", "state" (of STATES), "reason", "step", "steps", "best", "test", "started" (seconds since 1970),
    "seconds", "resumable"}; a number that is not known is None. All texts are shown as text.

    Events, their data to be validated by who listens: `refresh` {"stamp"} while it is in sight, `open` {"run"},
    `compare` {"runs"}, `rename` {"run", "name"}, `resume` {"run"}, `remove` {"run"} (confirmed).
    """

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=(HERE / "results_table.html").read_text("utf-8"),
            css_template=(HERE / "results_table.css").read_text("utf-8"),
            js_on_load=component_script("base.js", "results_table.js", text=HERE / "results_table.text.json"),
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
