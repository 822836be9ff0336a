"""FactTable: a plain table of texts, such as the fields in which runs differ; nothing in it is ever HTML."""

from __future__ import annotations

from explorer.viewer.kit.component import Component


class FactTable(Component):
    """Value: {"title": Caption, "note": Caption, "head": [Caption, ...], "colours": [CSS colour or "", ...] of the
    heads, "rows": [[Caption, ...], ...]}, the first cell of a row its header; or None. Captions are shown as text."""

    html, css, words = "facts.html", ("facts.css",), "facts.words.json"
    script = "facts.js"
