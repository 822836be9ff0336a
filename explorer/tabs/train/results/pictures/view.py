"""PictureGrid: small pictures with what they are and what the model took them for, each a button."""

from __future__ import annotations

from explorer.viewer.kit.component import Component


class PictureGrid(Component):
    """Value: {"seq", "title": Caption, "note": Caption, "openable": bool, "total", "offset", "items": [{"position",
    "file" (or None with "error"), "name", "true", "predicted", "probability", "right"}, ...]} or None; all names are
    shown as text.

    Events, their data to be validated by who listens: `show` {"position"} for a picture, `more` {"offset"}, `fetch` for
    the button that a value with "fetch" has: its pictures have to be downloaded first.
    """

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"
    script_events = ("fetch", "more", "show")
