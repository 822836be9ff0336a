"""TrainCheckView: a run's data report, its first batch as the model will see it, and the cost of a few steps."""

from __future__ import annotations

import base64

from explorer.viewer.kit.component import Component
from explorer.viewer.kit.files import cached_file


def picture_files(encoded: list[str]) -> list[dict]:
    """Write base64 PNGs as files of the app's cache."""
    return [cached_file(base64.b64decode(text), "picture.png") for text in encoded]


class TrainCheckView(Component):
    """Value: any of {"step": `Preflight.to_dict()`, "batch": {"files", "names", "patch"}, "data": the data report with
    its "name" and sample "files"}; all strings are shown as text. None shows nothing."""

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"
