"""Who counts as this computer, and whose requests are refused whatever they ask for."""

import asyncio
import json
from types import SimpleNamespace

import gradio as gr
import pytest
from starlette.datastructures import Headers

from explorer.page import request_guard
from explorer.page.page import open_to_others
from explorer.page.request_guard import MOST_BYTES, RequestGuard
from explorer.ui.visitors.local_request import from_elsewhere, is_local


def request(peer: str | None = "127.0.0.1", host: str | None = "127.0.0.1:7860", **headers: str) -> SimpleNamespace:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client = SimpleNamespace(host=peer, port=5) if peer else None
    return SimpleNamespace(client=client, headers=Headers(named | ({"host": host} if host else {})))


@pytest.fixture(autouse=True)
def no_space(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.8.8.8"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_request_that_came_from_this_computer_directly_is_local(peer, host):
    assert is_local(request(peer, host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7860",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "0.0.0.0:7860",
        "192.168.1.7:7860",
        "[::]:7860",
        "user@127.0.0.1@evil.example",
        "[::1",
        "",
        None,
    ],
)
def test_a_foreign_host_is_not_this_computer(host):
    assert not is_local(request(host=host))


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.7", "2001:db8::1", "testclient", "", None])
def test_another_peer_is_not_this_computer(peer):
    assert not is_local(request(peer))


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Prefix",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Ray",
        "Fly-Client-IP",
        "Fastly-Client-IP",
        "X-Envoy-External-Address",
        "X-Amzn-Trace-Id",
        "X-Original-Host",
    ],
)
def test_what_came_through_a_proxy_is_not_local(name):
    assert not is_local(request(**{name: "x"}))


def test_nothing_is_local_on_a_space(monkeypatch):
    assert not is_local(None)
    monkeypatch.setenv("SPACE_ID", "a/b")
    assert not is_local(request())


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({}, False),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:7860"}, False),
        ({"Host": "vit.example", "Origin": "https://vit.example"}, False),
        ({"Host": "127.0.0.1:7860", "X-Forwarded-Host": "vit.example, inner", "Origin": "https://vit.example"}, False),
        ({"Host": "127.0.0.1:7860", "Origin": "https://vit.example", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Host": "127.0.0.1:7860", "Sec-Fetch-Site": "none"}, False),
        ({"Host": "127.0.0.1:7860", "Origin": "http://evil.example"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:9999"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": "null"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": ""}, True),
        ({"Host": "127.0.0.1:7860", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Host": "127.0.0.1:7860", "Sec-Fetch-Site": "same-site"}, True),
        ({"Host": "127.0.0.1:7860", "Origin": "http://127.0.0.1:7860", "Sec-Fetch-Site": "cross-site"}, True),
    ],
)
def test_requests_of_another_sites_page_are_told_apart(headers, elsewhere):
    assert from_elsewhere(Headers(headers)) is elsewhere


async def app(scope, receive, send):
    """Answers with what it was sent."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def answer(method="POST", path="/gradio_api/queue/join", pieces=(b"{}",), **headers):
    """(status, body, how many pieces were read) of a request to the guarded app."""
    sent, waiting = [], list(pieces)

    async def receive():
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(RequestGuard(app, most_upload=1000)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], len(pieces) - len(waiting)


def words(body):
    said = json.loads(body)
    assert said["error"] == said["detail"]
    return said["error"]


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/run/predict", "/login"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_another_sites_page_sends_is_refused(method, path):
    status, body, read = answer(method, path, Host="127.0.0.1:7860", Origin="http://evil.example")
    assert (status, read) == (403, 0)
    assert "another web site's page" in words(body)


def test_own_requests_and_those_of_programs_pass():
    assert answer(Host="127.0.0.1:7860", Origin="http://127.0.0.1:7860")[:2] == (200, b"{}")
    assert answer(Host="127.0.0.1:7860")[:2] == (200, b"{}")
    assert answer("GET", "/", (b"",), Host="127.0.0.1:7860", Origin="http://evil.example")[0] == 200


def test_a_body_comes_through_piece_by_piece():
    assert answer(pieces=(b"a", b"", b"bc"))[:2] == (200, b"abc")


def test_an_endless_body_is_read_no_further_than_its_bound():
    pieces = (bytes(2**20),) * 40
    status, body, read = answer(pieces=pieces)
    assert status == 413
    assert f"{MOST_BYTES:,} bytes" in words(body)
    assert read == MOST_BYTES // 2**20 + 1
    assert answer(pieces=pieces, content_length=str(40 * 2**20))[::2] == (413, 0)


def test_an_upload_says_its_size_and_keeps_to_the_bound(monkeypatch):
    path = "/gradio_api/upload"
    assert answer(path=path, content_length="2")[0] == 200
    assert answer(path=path)[::2] == (411, 0)
    assert answer(path=path, content_length="٣")[0] == 411
    status, body, read = answer(path=path, content_length="1001")
    assert (status, read) == (413, 0)
    assert "at most 1,000" in words(body)
    monkeypatch.setattr(request_guard, "free_bytes", lambda _: 2**30 + 1)
    status, body, read = answer(path=path, content_length="2")
    assert (status, read) == (507, 0)
    assert "1,073,741,825 bytes left" in words(body)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.com/x",
        "/gradio_api/file=http://169.254.169.254/latest",
        "/gradio_api/proxy=https://example.com",
        "/gradio_api/process_recording",
        "/gradio_api/deep_link",
        "/gradio_api/stream/x",
        "/gradio_api/vibe-edit",
        "/root/path/gradio_api/run-history/connect",
        "/monitoring/summary",
    ],
)
def test_what_gradio_offers_and_the_page_does_not_use_is_closed(path):
    for method in ("GET", "POST", "HEAD"):
        assert answer(method, path, Host="127.0.0.1:7860")[0] == 404
    assert answer("GET", "/gradio_api/file=/tmp/gradio/a/b.png", (b"",))[0] == 200


@pytest.mark.parametrize(("language", "words"), [("en", "open to others"), ("zh", "按对他人开放处理")])
def test_a_page_reached_by_another_name_says_what_it_is_taken_for(language, words):
    def asking(host):
        asked = gr.Request()
        headers = {"host": host, "accept-language": language}
        asked.request = SimpleNamespace(client=SimpleNamespace(host="127.0.0.1"), headers=headers, cookies={})
        return open_to_others(asked)

    assert words in asking("vit.example:7860").value
    assert asking("vit.example:7860").visible
    assert not asking("127.0.0.1:7860").visible
