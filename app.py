"""ViT Explorer: `python app.py [--model M] [--host H] [--port P] [--share]` builds the page and serves it."""

from __future__ import annotations

import sys

from explorer.page.serving.environment import prepare_environment

if fault := prepare_environment():  # before torch and Gradio are imported
    sys.exit(f"app.py: error: {fault}")

from explorer.page.serving.launch import arguments, build, launch, serve

__all__ = ["demo", "launch", "options"]

options = arguments(sys.argv[1:] if __name__ == "__main__" else [])
demo = build(options, listen=__name__ == "__main__")

if __name__ == "__main__":
    serve(demo, options)
