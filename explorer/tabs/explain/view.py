"""ExplainViewer: maps of several methods over one picture, one of them large, with its legend and advice on reading
it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from explorer.analysis.explain.explanation import Explanation
from explorer.ui.method_words import method_words
from explorer.viewer.kit.component import Caption, Component
from explorer.viewer.kit.files import cached_file
from explorer.viewer.matrix.viewer import STYLE, encoded_picture


class ExplainViewer(Component):
    """Value: what `explain_value` returns, or None. Which map is large is chosen in the browser, with no request; it
    sends `vit:state` ({viewer: elem_id, method}) and shows the element "PREFIX-METHOD" alone of those whose id starts
    with `choices_prefix`."""

    html, css, words = "view.html", (STYLE, "view.css"), "view.words.json"
    script = "view.js"

    def __init__(self, value: dict | None = None, *, elem_id: str, choices_prefix: str, **kwargs: Any):
        self._constants = {"viewer": elem_id, "groups": choices_prefix}
        super().__init__(value, elem_id=elem_id, **kwargs)

    def constants(self) -> dict[str, Any]:
        return self._constants

    @classmethod
    def strings(cls) -> str:
        own = json.loads(super().strings())
        for language, words in method_words().items():  # the choices have controls of the page
            own[language] |= {key: text for key, text in words.items() if not key.startswith("choice_")}
        return json.dumps(own, ensure_ascii=False)


def explain_value(
    methods: Sequence[str],
    maps: Mapping[str, Explanation],
    off: Mapping[str, Caption],
    grid: tuple[int, int],
    *,
    picture: Image.Image,
    title: Caption = "",
    caption: Caption = "",
    notice: Caption = "",
    facts: Mapping[str, Caption] | None = None,
) -> dict[str, Any]:
    """Return a viewer's value: `methods` in their order, each with its map of `grid` [gh, gw], or with the reason in
    `off`.

    - `picture`: what the model sees; `title`: of what this is an explanation; `caption`: under a saved picture;
      `notice`: what to know first; `facts`: a sentence under a method's map.
    """
    facts = facts or {}
    return {
        "grid": list(grid),
        "methods": [
            {
                "name": name,
                "values": _float32(maps[name]) if name in maps else None,
                "signed": name in maps and maps[name].signed,
                "off": off.get(name, ""),
                "fact": facts.get(name, ""),
            }
            for name in methods
        ],
        "picture": cached_file(*encoded_picture(picture)),
        "title": title,
        "caption": caption,
        "notice": notice,
    }


def _float32(explanation: Explanation) -> str:
    """Encode a map row by row, little-endian, base64: 7 kB for 37 x 37 patches."""
    return base64.b64encode(np.ascontiguousarray(explanation.values.numpy(), "<f4")).decode()
