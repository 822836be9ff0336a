"""Component: what all components drawn by our own JavaScript share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.viewer.served import served

HERE = Path(__file__).parent
Caption = str | Mapping[str, str]
"""Text for people: one string, or {"en": ..., "zh": ...}."""

STUB = """const file = (name) => import(`${{window.gradio_config?.root ?? "."}}/${{name}}`);
const files = Promise.all([file("{base}"), file("{own}")]); // {events}
window.vitMounted = Promise.resolve(window.vitMounted).then(() => files).then(
  ([{{ mount }}, own]) => mount(own, element, trigger, props, server, upload, watch)).catch(reportError);"""
"""What stands in the page for each component: fetch its files, and start it when those before it have started. Gradio
looks here for the names of events in quotes."""


class Component(gr.HTML):
    """A `gr.HTML` of this folder's files, which a subclass names; its value goes to the script as it is, and back.

    - `html`, `css`, `scripts`, `words`: HTML, style sheets after base.css, scripts after base.js, and visible strings
    - `lang`: "en" or "zh" in place of the browser's own

    The page holds none of these files but the address of one that has them all, so that it stays small and a browser
    fetches them once. A subclass with parameters of its own keeps them under private names: Gradio sends the browser
    every attribute that is called like a parameter.
    """

    html: str
    css: tuple[str, ...]
    scripts: tuple[str, ...]
    words: str

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template="",
            js_on_load=self.stub(),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def stub(self) -> str:
        script = self.script()
        events = ", ".join(f'"{name}"' for name in sorted(set(re.findall(r'trigger\("(\w+)"', script))))
        return STUB.format(base=base(), own=served(type(self).__name__, self.module(script)), events=events)

    def module(self, script: str) -> str:
        """The file that the browser fetches, an ES module; base.js's `mount` puts it into the page."""
        style = "".join(map(read, ("base.css", *self.css)))
        return (
            f"export const name = {json.dumps(type(self).__name__)};\n"
            f"export const style = {json.dumps(style, ensure_ascii=False)};\n"
            f"export const markup = {json.dumps(read(self.html), ensure_ascii=False)};\n"
            f"export default (vit, element, trigger, props, server, upload, watch) => {{\n{script}\n}};\n"
        )

    def script(self) -> str:
        """Its files one after another, with its visible strings as `TEXT`."""
        return "\n".join([f"const TEXT = {self.strings()};", *map(read, self.scripts)])

    def strings(self) -> str:
        """Its visible strings as JSON: {language: {key: string}}."""
        return read(self.words)

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}


def base() -> str:
    """Address of base.js, which all components share."""
    return served("base", read("base.js") + "\nexport { vit, mount };\n")


@cache
def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
