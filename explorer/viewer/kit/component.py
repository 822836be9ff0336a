"""Component: what all components drawn by our own JavaScript share."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.viewer.kit.served import served

HERE = Path(__file__).parent
Caption = str | Mapping[str, str]
"""Text for people: one string, or {"en": ..., "zh": ...}."""

STUB = """const file = (name) => import(`${{window.gradio_config?.root ?? "."}}/${{name}}`);
const files = Promise.all([file("{base}"), file("{own}")]); // {events}
window.vitMounted = Promise.resolve(window.vitMounted).then(() => files).then(
  ([{{ mount }}, own]) => mount(own, element, trigger, props, server, upload, watch)).catch((error) => {{
  element.innerHTML ||= '<a href="">↻ Reload / 重新加载</a>';
  reportError(error);
}});"""
"""What stands in the page for each component: fetch its files, and start it when those before it have started. Gradio
looks here for the names of events in quotes. Where a file cannot be had, since the server has another version by now or
the connection is lost, a link to load the page again stands in its place."""


class Component(gr.HTML):
    """A `gr.HTML` of files that a subclass names; its value goes to the script as it is, and back.

    - `html`, `css`, `scripts`, `words`: HTML, style sheets after base.css, scripts after base.js, and visible strings:
      names of files beside the class that says so, or paths
    - `lang`: "en" or "zh" in place of the browser's own

    The page holds none of these files but the address of one that has them all, so that it stays small and a browser
    fetches them once. A subclass with parameters of its own keeps them under private names: Gradio sends the browser
    every attribute that is called like a parameter.
    """

    html: str
    css: tuple[str | Path, ...]
    scripts: tuple[str | Path, ...]
    words: str

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template="",
            js_on_load=_stub(type(self), self.constants()),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def constants(self) -> str:
        """What its script is to know of this one of its kind, as JavaScript."""
        return ""

    @classmethod
    def strings(cls) -> str:
        """Its visible strings as JSON: {language: {key: string}}."""
        (words,) = cls.files("words")
        return read(words)

    @classmethod
    def files(cls, attribute: str) -> list[Path]:
        """The files that `html`, `css`, `scripts` or `words` names."""
        home = next(kind for kind in cls.__mro__ if attribute in vars(kind))
        folder, named = Path(sys.modules[home.__module__].__file__).parent, vars(home)[attribute]
        return [folder / name for name in ((named,) if isinstance(named, str) else named)]

    def postprocess(self, value: dict | None) -> dict | None:
        return value

    def preprocess(self, payload: dict | None) -> dict | None:
        return payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}


def module(kind: type[Component], constants: str = "") -> str:
    """The ES module that the browser fetches: a component's files, which base.js's `mount` puts into the page."""
    style = "".join(map(read, (HERE / "base.css", *kind.files("css"))))
    script = "\n".join([constants, f"const TEXT = {kind.strings()};", *map(read, kind.files("scripts"))])
    (markup,) = kind.files("html")
    return (
        f"export const name = {json.dumps(kind.__name__)};\n"
        f"export const style = {json.dumps(style, ensure_ascii=False)};\n"
        f"export const markup = {json.dumps(read(markup), ensure_ascii=False)};\n"
        f"export default (vit, element, trigger, props, server, upload, watch) => {{\n{script}\n}};\n"
    )


@cache  # Gradio makes a component for every event that sets it
def _stub(kind: type[Component], constants: str) -> str:
    text = module(kind, constants)
    events = ", ".join(f'"{name}"' for name in sorted(set(re.findall(r'trigger\("(\w+)"', text))))
    base = served("base", read(HERE / "base.js") + "\nexport { vit, mount };\n")
    return STUB.format(base=base, own=served(kind.__name__, text), events=events)


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
