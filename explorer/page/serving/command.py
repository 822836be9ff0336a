"""`vit-explorer`: the page, with the options of `python app.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from explorer.page.serving.environment import prepare_environment

PROGRAM = "vit-explorer"


def main(words: Sequence[str] | None = None) -> None:
    """Serve the page until it is stopped; `words` are the command line's by default."""
    if fault := prepare_environment():
        sys.exit(f"{PROGRAM}: error: {fault}")
    from explorer.page.serving import launch  # with torch and Gradio, after the environment

    options = launch.arguments(sys.argv[1:] if words is None else words, PROGRAM)
    launch.serve(launch.build(options, listen=True), options)
