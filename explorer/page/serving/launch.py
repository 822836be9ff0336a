"""Command line, checks and launch of the page, for `app.py` and the command `vit-explorer`.

Imports torch and Gradio: call `prepare_environment` first.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import _parse_file_size, get_upload_folder
from starlette.middleware import Middleware

from explorer.device import on_space
from explorer.page.full import Full
from explorer.page.head import EarlyHead
from explorer.page.lighter_gradio import MOST_SESSIONS, keep_sessions_light
from explorer.page.page import CSS, build_page, theme
from explorer.page.refusals import HANDLERS
from explorer.page.request_guard import RequestGuard
from explorer.session.allocator import keep_freed_memory
from explorer.session.scenes import ModelChoice, get_model
from explorer.tabs.train.tab import dispatcher
from explorer.ui.words import TRANSLATIONS
from explorer.viewer.kit.served import ROUTES
from vit_model.files.private import fault_of

MOST_WAITING = int(os.environ.get("VIT_EXPLORER_MAX_WAITING", 128))
"""Events of all visitors in the queue; whoever comes then is told when to come again."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def arguments(words: Sequence[str], program: str = "app.py") -> argparse.Namespace:
    """The options of a command line; `program` is the name that errors begin with."""
    parser = argparse.ArgumentParser(prog=program, description="See what a Vision Transformer sees.")
    parser.set_defaults(program=program)
    parser.add_argument(
        "--model", default="bundled", help="what the page opens with: bundled, a Hugging Face id, a folder or a file"
    )
    parser.add_argument(
        "--host",
        default=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space() else "127.0.0.1"),
        help="address to listen on; on any but loopback, visitors cannot name local paths",
    )
    parser.add_argument("--port", type=_port, help="port to listen on (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's tunnel (for notebooks)")
    return parser.parse_args(words)


def address_fault(host: str, port: int | None) -> str:
    """Why the server cannot listen there, naming the flag to change; empty where it can."""
    flag, named = "--host", repr(host)
    try:
        (family, kind, *_, address), *_ = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
        for number in (0, port or 0):
            with socket.socket(family, kind) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((address[0], number, *address[2:]))
            flag, named = "--port", str(port)
    except OSError as error:
        return f"argument {flag}: cannot listen on {named} ({error.strerror}); choose another, or leave it out"
    return ""


def upload_fault() -> str:
    """Why uploads cannot be kept, naming the setting to change; empty where they can. Gradio's folder is in the
    system's temporary one, where another user's server may have made it."""
    try:
        fault = fault_of(Path(get_upload_folder()))
    except OSError as error:  # there is no temporary folder at all
        fault = error.strerror or str(error)
    advice = "set GRADIO_TEMP_DIR, or VIT_EXPLORER_CACHE for all that is written, to a folder that this user may write"
    return f"uploads cannot be kept: {fault}; {advice}" if fault else ""


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 6 and 1 <= int(word) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, got {word!r}")
    return int(word)


def build(options: argparse.Namespace, listen: bool) -> gr.Blocks:
    """The page that `options` ask for. Exits with one line for an address that cannot be listened on, where it is going
    to `listen` there, and for uploads that cannot be kept."""
    if listen and (fault := address_fault(options.host, options.port)):
        sys.exit(f"{options.program}: error: {fault}")
    if fault := upload_fault():  # before Gradio makes the folder, which all users of this computer could read then
        sys.exit(f"{options.program}: error: {fault}")
    shared = options.share or os.environ.get("GRADIO_SHARE", "").lower() == "true"
    return build_page(options.model, local_paths=options.host in LOOPBACK and not shared and not on_space())


def launch(page: gr.Blocks, **choices: Any) -> tuple:
    """`page.launch` with everything that this page needs of it, and the thread that starts its runs."""
    dispatcher().start()
    keep_sessions_light()
    most_upload = os.environ.get("VIT_EXPLORER_MAX_UPLOAD", "4gb")
    guard = Middleware(RequestGuard, most_upload=_parse_file_size(most_upload))
    full = Middleware(Full, page=page, most=MOST_WAITING)
    return page.queue(default_concurrency_limit=4, max_size=2 * MOST_WAITING).launch(
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        state_session_capacity=MOST_SESSIONS,
        max_file_size=most_upload,
        max_threads=80,  # most of them wait for their turn, see explorer/session/turns.py
        theme=theme(),
        css=CSS,
        i18n=TRANSLATIONS,
        footer_links=["api"],
        app_kwargs={
            "middleware": [guard, full, Middleware(EarlyHead)],
            "routes": ROUTES,
            "exception_handlers": HANDLERS,
        },
        **choices,
    )


def load_ahead(source: str, program: str = "app.py") -> None:
    """Load the model that the page opens with, and say in the terminal where that fails; the page says it too."""
    try:
        get_model(ModelChoice(source, source, token=None))
    except (ValueError, OSError) as error:
        print(f"{program}: --model {source}: {error}", file=sys.stderr, flush=True)


def serve(page: gr.Blocks, options: argparse.Namespace) -> None:
    """Serve the page until it is stopped, and load its first model meanwhile."""
    keep_freed_memory()
    threading.Thread(target=load_ahead, args=(options.model, options.program), daemon=True).start()
    launch(page, server_name=options.host, server_port=options.port, share=options.share or None)
