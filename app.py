"""ViT Explorer: `python app.py [--model M] [--host H] [--port P] [--share]` builds the page and serves it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

if cache := os.environ.get("VIT_EXPLORER_CACHE"):  # one writable folder for everything that is written
    Path(cache, "tmp").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TMPDIR", str(Path(cache) / "tmp"))
    os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(cache) / "gradio"))
    os.environ.setdefault("HF_HOME", str(Path(cache) / "huggingface"))
    os.environ.setdefault("VIT_EXPLORER_RUNS", str(Path(cache) / "runs"))

import gradio as gr
from starlette.middleware import Middleware

from explorer.allocator import keep_freed_memory
from explorer.device import on_space
from explorer.tabs.head import EarlyHead
from explorer.tabs.page import CSS, build_page, theme
from explorer.tabs.text import TRANSLATIONS
from explorer.tabs.train import dispatcher

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.py", description="See what a Vision Transformer sees.")
    parser.add_argument(
        "--model", default="bundled", help="what the page opens with: bundled, a Hugging Face id, a folder or a file"
    )
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space() else "127.0.0.1"),
        help="address to listen on; on any but loopback, visitors cannot name local paths",
    )
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's tunnel (for notebooks)")
    return parser.parse_args(words)


options = arguments(sys.argv[1:] if __name__ == "__main__" else [])
shared = options.share or os.environ.get("GRADIO_SHARE", "").lower() == "true"
demo = build_page(options.model, local_paths=options.host in LOOPBACK and not shared and not on_space())


def launch(page: gr.Blocks, **choices: object) -> tuple:
    """`page.launch` with everything that this page needs of it, and the thread that starts its runs."""
    dispatcher().start()
    return page.queue(default_concurrency_limit=4, max_size=64).launch(
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        max_file_size=os.environ.get("VIT_EXPLORER_MAX_UPLOAD", "4gb"),
        theme=theme(),
        css=CSS,
        i18n=TRANSLATIONS,
        footer_links=["api"],
        app_kwargs={"middleware": [Middleware(EarlyHead)]},
        **choices,
    )


if __name__ == "__main__":
    keep_freed_memory()
    launch(demo, server_name=options.host, server_port=options.port, share=options.share or None)
