"""cached_file: bytes for the browser, as a file of the app's cache, which is bounded in bytes as well as in age."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.data_classes import FileData
from gradio.processing_utils import hash_bytes
from gradio.utils import get_upload_folder

from vit_model.files.private import private_folder


def cached_file(data: bytes, name: str) -> dict[str, Any]:
    """Write bytes to a file of the app's cache, and return the entry for a component's value; Gradio adds its `url`.

    The address holds a hash of the content: unguessable, but not bound to a visitor. It expires with the app's cache,
    or when newer files need its room.
    """
    return FileData(path=FILES.write(data, name)).model_dump()


class FileShelf:
    """Files of at most `max_bytes` together: the oldest are deleted first, but none that was written in the last
    `safe_seconds`, as a browser may be about to fetch it. The same content under the same name is one file, and writing
    it again makes it new. A file that something else has deleted costs nothing."""

    def __init__(self, max_bytes: int, safe_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic):
        if max_bytes < 1:
            raise ValueError(f"the bound must be positive, got {max_bytes} bytes")
        self.max_bytes, self.safe_seconds = max_bytes, safe_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._files: OrderedDict[str, tuple[int, float]] = OrderedDict()  # path -> bytes, when written; oldest first
        self.bytes = 0

    def write(self, data: bytes, name: str) -> str:
        """Write a file and return its path."""
        with self._lock:  # with the writing inside, a file is never deleted as the older one of the same content
            path = written_once(data, name)
            self._forget(path)
            self._files[path] = (len(data), self._clock())
            self.bytes += len(data)
            self._delete_oldest()
        return path

    def _delete_oldest(self) -> None:
        newest = self._clock() - self.safe_seconds
        while self.bytes > self.max_bytes:
            path, (_, written) = next(iter(self._files.items()))
            if written > newest:
                return
            self._forget(path)
            Path(path).unlink(missing_ok=True)

    def _forget(self, path: str) -> None:
        size, _ = self._files.pop(path, (0, 0.0))
        self.bytes -= size


def written_once(data: bytes, name: str) -> str:
    """Write a file of the app's cache and return its path; the same content and name give the same file, made new. It
    is there whole or not at all: Gradio's `save_bytes_to_cache` empties a file that is there and writes it again, and
    whoever fetches it meanwhile is promised fewer bytes than come ("Too much data for declared Content-Length"), or
    gets half of it."""
    folder = Path(get_upload_folder()) / hash_bytes(data)
    path = folder / Path(name).name
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
        if path.stat().st_size == len(data):
            return str(path.resolve())
    private_folder(folder)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as draft:
        draft.write(data)
    os.replace(draft.name, path)
    return str(path.resolve())


FILES = FileShelf(int(os.environ.get("VIT_EXPLORER_VIEWER_BYTES", 2 << 30)))
