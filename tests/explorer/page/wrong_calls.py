"""Wrong calls of every kind, for every function of a page, and what each way into Gradio answers them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

TYPE = {"_type": "gradio.FileData"}
DEEP, DEEPEST = 200, 50_000  # lists in lists: as deep as Gradio reads, and deeper than any program does


@dataclass(frozen=True)
class Raw:
    """A body as it is sent, where JSON cannot say it."""

    text: str


VALUES: dict[str, Any] = {
    "nothing": None,
    "a text": "no such thing",
    "a long text": "x" * 100_000,
    "markup": "<img src=x onerror=alert(1)>",
    "a path": "/etc/passwd",
    "true": True,
    "a number": 3.7,
    "a negative number": -1,
    "the largest number": 1.7e308,
    "a number of 400 digits": 10**400,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "a list": [1, "a", None],
    "lists in lists": json.loads("[" * DEEP + "]" * DEEP),
    "a text of lists in lists": "[" * DEEPEST + "]" * DEEPEST,
    "an object": {"a": 1},
    "a file without meta": {"path": "/etc/passwd"},
    "a file of the host": {"path": "/etc/passwd", "meta": TYPE},
    "a file that is none": {"path": 5, "url": [], "size": "x", "meta": TYPE},
    "a file of nowhere": {"path": None, "url": "http://127.0.0.1:9/x", "meta": TYPE},
    "files": [{"path": "/etc/passwd", "meta": TYPE}, 7],
}

BODIES: dict[str, Raw] = {
    "no JSON": Raw("{"),
    "no body": Raw(""),
    "a JSON list": Raw("[1]"),
    "no data": Raw("{}"),
    "data of another kind": Raw('{"data": "x"}'),
    "a long text for data": Raw(json.dumps({"data": "x" * 100_000})),
    "data that is null": Raw('{"data": null}'),
    "no UTF-8": Raw("\udcff"),
    "lists deeper than JSON": Raw('{"data": ' + "[" * DEEPEST + "]" * DEEPEST + "}"),
}


FEW = (
    "nothing",
    "a long text",
    "true",
    "a number of 400 digits",
    "not a number",
    "lists in lists",
    "an object",
    "files",
)
"""Kinds for where there are many places: one for each way in which code stumbled."""


def wrong(inputs: int, each: list[Any] | None = None, kinds: Iterable[str] = VALUES) -> Iterator[tuple[str, list[Any]]]:
    """(kind, data): too few and too many values, and VALUES of these kinds in every place at once; with `each`, values
    that would do, the FEW also in one place after the other."""
    if inputs:
        yield "none of the values", []
        yield "one value too few", [None] * (inputs - 1)
    yield "too many values", [None] * (inputs + 5)
    for kind in kinds:
        value = VALUES[kind]
        if inputs:
            yield f"{kind} everywhere", [value] * inputs
        for place in range(inputs) if each and kind in FEW else ():
            yield f"{kind} at {place}", [*each[:place], value, *each[place + 1 :]]


@dataclass(frozen=True)
class Answer:
    """`refused`: whether it is a refusal, `text`: its words as Gradio's clients find them, `body`: all that came."""

    refused: bool
    text: str | None
    body: str


def posted(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    content = body.text.encode("utf-8", "surrogateescape") if isinstance(body, Raw) else json.dumps(body)
    return client.post(path, content=content, headers={"content-type": "application/json"})


def direct(client: httpx.Client, path: str, body: Any) -> Answer:
    """What a call that waits for its answer gets."""
    return answer_of(posted(client, path, body))


def answer_of(response: httpx.Response) -> Answer:
    if response.status_code < 400:
        return Answer(False, None, response.text)
    return Answer(True, _words(response.text), response.text)


def queued(client: httpx.Client, fn_index: int, calls: list[list[Any]], **more: Any) -> list[Answer]:
    """What the page's own way answers, all calls of one function in one session."""
    session, answers, waiting = uuid.uuid4().hex, {}, {}
    for number, data in enumerate(calls):
        response = posted(
            client, "/gradio_api/queue/join", {"fn_index": fn_index, "data": data, "session_hash": session} | more
        )
        if response.status_code < 400:
            waiting[response.json()["event_id"]] = number
        else:
            answers[number] = answer_of(response)
    if waiting:
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "unexpected_error":
                    raise AssertionError(message)
                if message.get("msg") == "process_completed":
                    refused, output = not message["success"], message["output"]
                    said = json.dumps(output)
                    answers[waiting.pop(message["event_id"])] = Answer(refused, _words(said) if refused else None, said)
                if not waiting:
                    break
    return [answers[number] for number in range(len(calls))]


def simple(client: httpx.Client, path: str, body: Any) -> Answer:
    """What a client that asks by /call/NAME and reads the event gets."""
    response = posted(client, path, body)
    if response.status_code >= 400:
        return answer_of(response)
    event = None
    with client.stream("GET", f"{path}/{response.json()['event_id']}") as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event in ("error", "complete"):
                data = line.removeprefix("data: ")
                return Answer(event == "error", _words(data) if event == "error" else None, data)
    raise AssertionError("the stream ended without an answer")


def _words(body: str) -> str | None:
    """The words of a refusal: `error` for Gradio's clients, `detail` for FastAPI's."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    if isinstance(told, dict):
        told = told.get("error") or told.get("detail")
    return told if isinstance(told, str) and told.strip() else None
