"""Component: what all components drawn by our own JavaScript share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
Caption = str | Mapping[str, str]
"""Text for people: one string, or {"en": ..., "zh": ...}."""


class Component(gr.HTML):
    """A `gr.HTML` of this folder's files, which a subclass names; its value goes to the script as it is, and back.

    - `html`, `css`, `scripts`, `words`: HTML, style sheets after base.css, scripts after base.js, and visible strings
    - `lang`: "en" or "zh" in place of the browser's own

    A subclass with parameters of its own keeps them under private names: Gradio sends the browser every attribute that
    is called like a parameter.
    """

    html: str
    css: tuple[str, ...]
    scripts: tuple[str, ...]
    words: str

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template=read(self.html),
            css_template="".join(map(read, ("base.css", *self.css))),
            js_on_load=self.script(),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def script(self) -> str:
        """Its files one after another, with its visible strings as `TEXT`."""
        return "\n".join([f"const TEXT = {self.strings()};", *map(read, ("base.js", *self.scripts))])

    def strings(self) -> str:
        """Its visible strings as JSON: {language: {key: string}}."""
        return read(self.words)

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
