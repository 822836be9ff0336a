"""Sentences that people read, with what a program needs to say them in another language. Standard library only.

A sentence is written once, in English, where it is made; its code selects the same sentence of another language, and
its details fill the gaps of both. The English text is all that a terminal, a log or an older file needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, overload

MOST_DETAILS = 16
MOST_LETTERS = 2000  # of one detail in a file
DEPTH = 4  # messages within messages
CODED = "_coded"  # after the name of a text in a file: where its code and details are
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class Message(str):
    """An English sentence. `code` names it ("" where it has no name), `details` are the values in its gaps, of which
    some may be messages of their own. Joined with other text it becomes a plain string."""

    code: str
    details: Mapping[str, object]

    def __new__(cls, text: str, code: str = "", details: Mapping[str, object] | None = None) -> Message:
        made = super().__new__(cls, text)
        made.code, made.details = code, dict(details or {})
        return made


def message(code: str, template: str, /, **details: object) -> Message:
    """The sentence that `template` makes with `details` in its gaps, {name}. What is no text is written as one, so that
    every language shows the same."""
    texts = {name: value if isinstance(value, str) else str(value) for name, value in details.items()}
    return Message(template.format_map(texts), code, texts)


def message_of(error: BaseException) -> Message:
    """The message of an error, with its code and details where it has them."""
    code, details = getattr(error, "code", ""), getattr(error, "details", None)
    known = isinstance(code, str) and isinstance(details, dict)
    return Message(str(error), code, details) if known else Message(str(error))


@overload
def rewrite(text: Message, change: Callable[[str], str]) -> Message: ...
@overload
def rewrite(text: str, change: Callable[[str], str]) -> str: ...
def rewrite(text: str, change: Callable[[str], str]) -> str:
    """`change` of the sentence and of each of its details."""
    if not isinstance(text, Message):
        return change(text)
    details = {
        name: rewrite(value, change) if isinstance(value, str) else value for name, value in text.details.items()
    }
    return Message(change(text), text.code, details)


def to_json(text: str, depth: int = DEPTH) -> dict[str, Any] | None:
    """Code and details of a message, bounded, for a file that holds its text beside them; None for a plain text."""
    if not isinstance(text, Message) or not text.code:
        return None
    details = {name: _detail(value, depth) for name, value in list(text.details.items())[:MOST_DETAILS]}
    return {"code": text.code, "details": details}


def from_json(text: str, value: object, depth: int = DEPTH) -> str:
    """The message that `to_json` wrote, of the text beside it. The text alone where `value` is anything else: older
    files hold none, and others may have been changed by hand."""
    if not isinstance(value, dict) or set(value) != {"code", "details"}:
        return text
    code, details = value["code"], value["details"]
    if not isinstance(code, str) or not _CODE.fullmatch(code) or not isinstance(details, dict):
        return text
    read = {name: _read_detail(detail, depth) for name, detail in list(details.items())[:MOST_DETAILS]}
    return text if None in read.values() else Message(text, code, read)


def add_codes(record: Mapping[str, Any]) -> dict[str, Any]:
    """`record`, for a JSON file, with codes and details beside the English that it holds: for a message or a list
    of messages under NAME, they come as NAME_coded."""
    coded: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Message) and value.code:
            coded[name + CODED] = to_json(value)
        elif isinstance(value, list | tuple) and any(isinstance(text, Message) and text.code for text in value):
            coded[name + CODED] = [to_json(text) if isinstance(text, Message) else None for text in value]
    return dict(record) | coded


def read_message(record: Mapping[str, Any], name: str, most: int = MOST_LETTERS) -> str:
    """The message that `add_codes` put under `name`, at most `most` letters of it; "" where there is no text of that
    name."""
    text = record.get(name)
    return from_json(text[:most], record.get(name + CODED)) if isinstance(text, str) else ""


def read_messages(record: Mapping[str, Any], name: str) -> list[str]:
    """As `read_message`, for a list."""
    texts, coded = record.get(name), record.get(name + CODED)
    texts = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    coded = coded if isinstance(coded, list) and len(coded) == len(texts) else [None] * len(texts)
    return [from_json(text, value) for text, value in zip(texts, coded, strict=True)]


def _detail(value: object, depth: int) -> Any:
    text = str(value)[:MOST_LETTERS]
    inner = to_json(value, depth - 1) if isinstance(value, Message) and depth else None
    return text if inner is None else {"text": text} | inner


def _read_detail(value: object, depth: int) -> str | None:
    """None for what is no detail."""
    if isinstance(value, str):
        return value[:MOST_LETTERS]
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or not depth:
        return None
    inner = {name: part for name, part in value.items() if name != "text"}
    return from_json(value["text"][:MOST_LETTERS], inner, depth - 1)
