"""Full: refuses requests while too many wait, and says when to come again."""

from __future__ import annotations

import json
import math

import gradio as gr
from gradio.queueing import Queue
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.ui.words import say

LONGEST_SECONDS = 600
UNKNOWN_SECONDS = 1.0  # of work that has not been done yet


class Full:
    """ASGI middleware that answers "full, about N s" with Retry-After to questions for the queue of `page` while `most`
    are waiting there. The status is 503; to a browser 429, since for a 503 Gradio's page has general words of its own.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks, most: int):
        self.app, self.page, self.most = app, page, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        queue = self.page._queue
        if not _asks(scope) or len(queue) < self.most:
            await self.app(scope, receive, send)
            return
        request, seconds = Request(scope), wait_seconds(queue)
        words = say(gr.Request(request), "full", seconds=seconds, waiting=len(queue))
        body = json.dumps({"error": words, "detail": words, "retry_after": seconds}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), "retry-after": str(seconds)}
        status = 429 if "sec-fetch-mode" in request.headers else 503
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def wait_seconds(queue: Queue) -> int:
    """Estimate how long it takes until everything in the queue has begun, by the mean time of such work so far."""
    longest = 0.0
    for line in queue.event_queue_per_concurrency_id.values():
        known = [queue.process_time_per_fn.get(event.fn) for event in line.queue]
        total = sum(time.avg_time if time and time.count else UNKNOWN_SECONDS for time in known)
        longest = max(longest, total / (line.concurrency_limit or max(len(known), 1)))
    return min(max(math.ceil(longest), 1), LONGEST_SECONDS)


def _asks(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].rstrip("/")
    return path.endswith("/gradio_api/queue/join") or "/gradio_api/call/" in path
