"""Picture: an upload whose file reaches us untouched, so that our own reader judges it."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import ImageData


class Picture(gr.Image):
    """`gr.Image` that hands on the path of the uploaded file. Gradio's own preprocessing opens the picture first, which
    turns hostile or unusual files into errors without words, and re-encodes what it can open. No `__init__` of its own:
    Gradio tells the browser only what stands in that signature."""

    is_template = True  # drawn in the browser by gr.Image's own component

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None or not payload.path:
            return None
        return payload.path
