"""Our script in the page's head, and nothing else touched."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from explorer.page.head import PRELOAD, SCRIPT, EarlyHead

PAGE = b"<html><head><title>x</title></head></html>"


def finish(coroutine):
    """Run it to its end, in a thread: this one may have a browser's event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def answer(status=200, body=PAGE, method="GET", chunks=1, **headers):
    """(status, headers, body) that arrive of an app's answer."""
    headers = {"content-type": "text/html; charset=utf-8", "content-length": str(len(body))} | headers
    sent = []

    async def app(scope, receive, send):
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        size = max(-(-len(body) // chunks), 1)
        parts = [body[at : at + size] for at in range(0, len(body), size)] if method != "HEAD" else []
        for part in parts or [b""]:
            await send({"type": "http.response.body", "body": part, "more_body": bool(parts) and part is not parts[-1]})

    async def send(message):
        sent.append(message)

    finish(EarlyHead(app)({"type": "http", "method": method, "headers": []}, None, send))
    got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
    return sent[0]["status"], got, b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize("chunks", [1, 7])
def test_the_page_gets_our_script_before_all_others(chunks):
    status, headers, body = answer(chunks=chunks)
    assert status == 200 and body == PAGE.replace(b"<head>", b"<head>" + SCRIPT + PRELOAD)
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "told",
    [
        {"status": 206, "content_range": "bytes 0-41/900"},
        {"status": 304, "body": b"", "content_length": "900"},
        {"status": 404},
        {"content_encoding": "br"},
        {"content_disposition": "attachment; filename=mine.html"},
        {"accept_ranges": "bytes"},  # a file
        {"method": "HEAD", "content_length": "900"},
        {"content-type": "application/json"},
    ],
)
def test_any_other_answer_passes_as_it_is(told):
    headers = {name: value for name, value in told.items() if name not in ("status", "body", "method")}
    status, got, body = answer(**told)
    assert status == told.get("status", 200)
    assert body == (b"" if told.get("method") == "HEAD" else told.get("body", PAGE))
    for name, value in headers.items():
        assert got[name.replace("_", "-")] == value
    if "content_length" not in told:
        assert got["content-length"] == str(len(PAGE))


def test_an_answer_that_breaks_off_promises_nothing():
    async def app(scope, receive, send):
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]}
        await send(start)
        await send({"type": "http.response.body", "body": b"<html><head>", "more_body": True})
        raise RuntimeError("in the middle")

    sent = []

    async def send(message):
        sent.append(message)

    with pytest.raises(RuntimeError, match="in the middle"):
        finish(EarlyHead(app)({"type": "http", "method": "GET", "headers": []}, None, send))
    assert sent == [], "so that the server can still answer with an error"
