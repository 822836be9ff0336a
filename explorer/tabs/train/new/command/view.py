"""TrainCommandView: the form's run as a command to copy, what is wrong with it, and marks on the boxes that differ."""

from __future__ import annotations

from explorer.viewer.kit.component import Component


class TrainCommandView(Component):
    """Value: {"command": str, "changed": [field], "groups": {group: [field]}, "problem": {"field", "text"} or None}.

    A field's box has the elem_id `field-NAME`, a folded group of boxes `group-NAME`. All strings are shown as text.
    While there is a problem, the last command stays, greyed.
    """

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"
