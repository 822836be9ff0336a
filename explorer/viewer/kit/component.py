"""Component: what all components drawn by our own JavaScript share."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from explorer.viewer.kit.served import script_address, text_address

HERE = Path(__file__).parent
MOUNT = HERE / "scripts" / "mount.js"
Caption = str | Mapping[str, str]
"""Text for people: one string, or {"en": ..., "zh": ...}."""

STUB = """const root = window.gradio_config?.root ?? ".";
const modules = Promise.all({addresses}.map((address) => import(`${{root}}/${{address}}`)));
modules.catch(() => {{}}); // reported below, in its turn
window.vitMounted = Promise.resolve(window.vitMounted).then(() => modules).then(([kit, script, {{ parts }}]) => {{
  kit.mountComponent(script, parts, {about}, {{ element, props, trigger, server, upload, watch }});
}}).catch((error) => {{
  element.innerHTML ||= '<a href="">↻ Reload / 重新加载</a>';
  reportError(error);
}});"""
"""What stands in the page for each component: fetch its modules, and start it when those before it have started. Where
a module cannot be had, since the server has another version by now or the connection is lost, a link to load the page
again stands in its place."""


class Component(gr.HTML):
    """A `gr.HTML` of files that a subclass names; its value goes to the script as it is, and back.

    - `html`, `css`, `words`: HTML with one outermost element, style sheets after base.css, and visible strings: names
      of files beside the class that says so, or paths
    - `script`: the ES module whose `mount` starts it (kit/scripts/mount.js: what it is given)
    - `script_events`: names of the events that its script triggers
    - `lang`: "en" or "zh" in place of the browser's own

    The page holds none of these files but their addresses, so that it stays small and a browser fetches each once. A
    subclass with parameters of its own keeps them under private names: Gradio sends the browser every attribute that
    is called like a parameter.
    """

    html: str
    css: tuple[str | Path, ...]
    script: str
    words: str
    script_events: tuple[str, ...] = ()

    def __init__(self, value: dict | None = None, *, lang: str | None = None, **kwargs: Any):
        super().__init__(
            value,
            html_template="",
            js_on_load=self._stub(),
            apply_default_css=False,
            lang=lang,
            **kwargs,
        )

    def constants(self) -> dict[str, Any]:
        """What its script is to know of this one of its kind, as `constants`."""
        return {}

    @classmethod
    def strings(cls) -> str:
        """Its visible strings as JSON: {language: {key: string}}."""
        (words,) = cls.files("words")
        return read(words)

    @classmethod
    def addresses(cls) -> list[str]:
        """Addresses below the app's root: of the kit, of its script, and of its markup, style and words."""
        (script,) = cls.files("script")
        return [script_address(MOUNT), script_address(script), _parts_address(cls)]

    @classmethod
    def files(cls, attribute: str) -> list[Path]:
        """The files that `html`, `css`, `script` or `words` names."""
        home = next(kind for kind in cls.__mro__ if attribute in vars(kind))
        folder, named = Path(sys.modules[home.__module__].__file__ or "").parent, vars(home)[attribute]
        return [folder / name for name in ((named,) if isinstance(named, str | Path) else named)]

    # gr.HTML takes and gives text, these take and give what their scripts read
    def postprocess(self, value: dict | None) -> dict | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return value

    def preprocess(self, payload: dict | None) -> dict | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def _stub(self) -> str:
        """Gradio looks in it for the names of events in quotes."""
        about = {"events": self.script_events, "constants": self.constants()}
        return STUB.format(addresses=json.dumps(self.addresses()), about=json.dumps(about, ensure_ascii=False))


def script_stub(script: Path) -> str:
    """JavaScript for a `gr.HTML` with markup of its own: it imports a script and calls its `mount`."""
    address = f'`${{window.gradio_config?.root ?? "."}}/{script_address(script)}`'
    return f"import({address}).then(({{ mount }}) => mount({{ element, props }}), reportError);"


@cache  # Gradio makes a component for every event that sets it
def _parts_address(kind: type[Component]) -> str:
    return text_address(kind.__name__, parts_module(kind))


def parts_module(kind: type[Component]) -> str:
    """The ES module of what a component has besides its script: {name, style, markup, words}."""
    (markup,) = kind.files("html")
    style = "".join(map(read, (HERE / "base.css", *kind.files("css"))))
    parts = {"name": kind.__name__, "style": style, "markup": read(markup), "words": json.loads(kind.strings())}
    return f"export const parts = {json.dumps(parts, ensure_ascii=False)};\n"


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
