"""The one door for files that visitors name: it opens to this page's upload cache, and to nothing else of the host.

A visitor's program may put a path wherever the page expects a file, and wherever it does not. Gradio 6.31 looks only at
objects that carry its `meta` mark, and its Image component demands no mark. So `GuardedBlocks` looks at everything that
a call sends before anything else does; whoever reads a file opens it with `open_regular`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder

from vit_model.errors import CodedError
from vit_model.messages import message

MOST_LETTERS = 4096  # of a path


class VisitorFileError(CodedError):
    """A visitor named a file that is not theirs to name. The message is the same for every such file, there or not."""


class GuardedBlocks(gr.Blocks):
    """A `gr.Blocks` that refuses every call in which any value, at any depth, names a file outside the upload cache."""

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        try:
            check_files(inputs)
        except VisitorFileError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def check_files(sent: Any) -> None:
    """Raise VisitorFileError if anything in `sent`, as JSON, names a file outside the upload cache: any object with a
    `path` counts, whatever else it holds. Whether a file in the cache is (still) there is for its reader to find
    out."""
    for path in _paths(sent):
        visitor_path(path)


def visitor_path(path: Any) -> Path:
    """Check a path in the upload cache, spelt as the page spells it: absolute, without `..`, and through no link.
    VisitorFileError for any other."""
    if isinstance(path, str) and len(path) <= MOST_LETTERS and "\0" not in path and os.path.normpath(path) == path:
        folder = os.path.abspath(get_upload_folder())
        real_folder = os.path.realpath(folder)
        for root in {folder, real_folder}:
            inside = path.removeprefix(root + os.sep)
            if inside != path and os.path.realpath(path) == os.path.join(real_folder, inside):
                return Path(path)
    raise VisitorFileError(
        message(
            "not_uploaded",
            "expected a file that was uploaded to this page; upload it here, or send it with handle_file('photo.jpg') "
            "(addresses on the web and paths of this host are not opened)",
        )
    )


def _paths(sent: Any) -> Iterator[Any]:
    """Yield the `path` of every object in JSON, however deep."""
    waiting = [sent]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("path") not in (None, ""):
                yield value["path"]
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
