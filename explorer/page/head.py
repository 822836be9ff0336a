"""EarlyHead: our script in the page before Gradio's own, so that a chosen language holds for all of it."""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.viewer import AttentionViewer
from explorer.viewer.kit.served import preload_html, script_address
from explorer.viewer.plot.plot import PlotlyView
from explorer.viewer.scene_bar.scene_bar import SceneBar

HERE = Path(__file__).parent
SCRIPT = (HERE / "head.html").read_bytes()
FIRST = (SceneBar, AttentionViewer, PlotlyView)
"""Components of the tab that a page opens with."""
PRELOAD = preload_html(
    [script_address(HERE / "header.js")], [address for kind in FIRST for address in kind.addresses()]
).encode()
"""The header's module and theirs, which the browser fetches while Gradio starts."""


class EarlyHead:
    """ASGI middleware that puts `head.html` and the list of modules that the page opens with first into its <head>.
    `launch(head=...)` will not do: Gradio adds it when its language is already chosen. Any other answer passes as it
    is: files that happen to be HTML (parts of them, attachments), compressed ones, errors, and the headers that answer
    a HEAD."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        body = b""

        async def edited(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                if _is_page(message):
                    start = message  # held back until its length is known
                    return
            elif start is not None and message["type"] == "http.response.body":
                body += message.get("body", b"")
                if message.get("more_body"):
                    return
                body = body.replace(b"<head>", b"<head>" + SCRIPT + PRELOAD, 1)
                MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        page = scope["type"] == "http" and scope["method"] == "GET"
        await self.app(scope, receive, edited if page else send)


def _is_page(start: Message) -> bool:
    headers = MutableHeaders(raw=start["headers"])
    whole = start["status"] == 200 and not any(
        name in headers for name in ("content-range", "content-disposition", "content-encoding", "accept-ranges")
    )
    return whole and headers.get("content-type", "").startswith("text/html")
