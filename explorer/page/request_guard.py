"""RequestGuard: refuses requests of other web sites' pages, without bounds, or to addresses that this page does not
use."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.ui.visitors.local_request import from_elsewhere
from training.storage.disk import free_bytes

READING = ("GET", "HEAD", "OPTIONS")
MOST_BYTES = 16 * 2**20
"""Most bytes of a request that is no upload. Gradio reads these whole."""
FREE_BYTES = 2**30
"""Bytes that an upload must leave free on the disk of the upload cache."""
UNUSED = re.compile(
    r"/gradio_api/(file=https?:|proxy=|stream/|deep_link|process_recording|vibe-|undo-vibe|dev/|run-history|profiling)"
    r"|/monitoring"
)
"""Addresses of Gradio 6.31 that fetch from other servers, write to the disk or run ffmpeg for whoever asks."""


class RequestGuard:
    """ASGI middleware in front of everything. It answers 403 to a request that changes something and that another web
    site's page sent (a browser sends a visitor's cookies along, and reaches servers on the visitor's own computer); 413
    or 411 to a body without bounds; 507 to an upload for which the disk has no room; 404 to UNUSED addresses.

    `most_upload`: bytes of a whole upload.
    """

    def __init__(self, app: ASGIApp, most_upload: int):
        self.app, self.most_upload = app, most_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif UNUSED.search(scope["path"]):
            await _refuse(send, 404, "this page has no use for this address")
        elif scope["method"] in READING:
            await self.app(scope, receive, send)
        elif from_elsewhere(headers := Headers(scope=scope)):
            await _refuse(send, 403, "another web site's page sent this request; open ViT Explorer's own page instead")
        elif scope["path"].rstrip("/").endswith("/upload"):
            await self._upload(scope, receive, send, _length(headers))
        else:
            await self._call(scope, receive, send, _length(headers) or 0)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, told: int | None) -> None:
        """Pass on an upload that says how large it is, and read no more than that."""
        if told is None:
            await _refuse(send, 411, "an upload has to say its size: send a Content-Length")
        elif told > self.most_upload:
            await _refuse(send, 413, f"this upload has {told:,} bytes, at most {self.most_upload:,} are taken")
        elif (free := free_bytes(Path(get_upload_folder()))) < told + FREE_BYTES:
            words = f"the disk of this server has {free:,} bytes left, too few for this upload; try again later"
            await _refuse(send, 507, words)
        else:
            await self.app(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send, told: int) -> None:
        """Read the body, no further than MOST_BYTES, then pass it on to the app."""
        read: list[Message] = []
        taken = 0
        while max(told, taken) <= MOST_BYTES and (not read or read[-1].get("more_body")):
            read.append(await receive())
            if read[-1]["type"] != "http.request":  # the visitor has left
                return
            taken += len(read[-1].get("body", b""))
        if max(told, taken) > MOST_BYTES:
            await _refuse(send, 413, f"this request has more than {MOST_BYTES:,} bytes; upload large files first")
            return

        async def again() -> Message:
            return read.pop(0) if read else await receive()

        await self.app(scope, again, send)


def _length(headers: Headers) -> int | None:
    """Return the bytes of the body, if the request says how many."""
    told = headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else None


async def _refuse(send: Send, status: int, words: str) -> None:
    """Answer in words, under both names by which Gradio's clients look for them."""
    body = json.dumps({"error": words, "detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
