"""SceneBar: the top-5 prediction, the model in one line, and a note; stays in sight while tabs change."""

from __future__ import annotations

from explorer.viewer.kit.component import Component


class SceneBar(Component):
    """Value: {"seq": str, "top": [[label, probability], ...], "card": str, "note": str}; all shown as text."""

    html, css, script = "scene_bar.html", ("scene_bar.css",), "scene_bar.js"

    @classmethod
    def strings(cls) -> str:
        """Return no strings: Python sends the sentences in the visitor's language."""
        return "{}"
