"""translate: what the trainer wrote in English, in the visitor's language.

What went wrong in a run lies on disk as a sentence (ended.json, data.json, progress.json), and the trainer knows no
languages. `trainer_messages.zh.json` holds its sentences with gaps, {name}, and theirs in Chinese: a sentence that fits
is said with the same values in the gaps, of which some are sentences of their own. Any other stays as it is.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_GAP = re.compile(r"\{(\w+)\}")
_FIELD = re.compile(r"\w+")  # what the gap {field} takes: or the whole of another sentence would be one
MOST = 4000  # characters of a sentence that is looked at
DEPTH = 4  # sentences within sentences
INNER = {"reason", "hint", "where", "state", "what", "kind", "found"}  # gaps that hold sentences, not somebody's names


def translate(text: str, language: str) -> str:
    """`text` in this language, "en" or "zh"."""
    return text if language != "zh" or len(text) > MOST else _translate(text, DEPTH)


def translate_both(text: str) -> dict[str, str]:
    """`text` for a component that chooses in the browser."""
    return {"en": text, "zh": translate(text, "zh")}


def _translate(text: str, depth: int) -> str:
    whole, gapped = _known()
    if text in whole:
        return whole[text]
    for pieces, names, theirs in gapped:
        values = _values(pieces, text)
        found = dict(zip(names, values, strict=True)) if values is not None else None
        if found is not None and _FIELD.fullmatch(found.get("field", "field")):
            if depth:
                found |= {name: _translate(found[name], depth - 1) for name in INNER & found.keys()}
            return _GAP.sub(lambda gap: found[gap[1]], theirs)  # noqa: B023 - used at once
    return text


def _values(pieces: tuple[str, ...], text: str) -> list[str] | None:
    """What stands between the pieces, each gap as short as it can be; None where they do not fit. Linear in the text,
    as its values may be anybody's."""
    first, *middle, last = pieces
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return None
    rest, values = text[len(first) : len(text) - len(last)], []
    for piece in middle:
        value, found, rest = rest.partition(piece)
        if not found:
            return None
        values.append(value)
    return [*values, rest]


@cache
def _known() -> tuple[dict[str, str], list[tuple[tuple[str, ...], list[str], str]]]:
    """(sentences without gaps, (pieces, names of the gaps between them, in Chinese) with the most words first)."""
    table = json.loads((_FOLDER / "trainer_messages.zh.json").read_text("utf-8"))
    names = json.loads((_FOLDER.parent / "errors.zh.json").read_text("utf-8"))["names"]
    whole, gapped = dict(names), []
    for ours, theirs in table.items():
        pieces = _GAP.split(ours)
        if len(pieces) == 1:
            whole[ours] = theirs
        else:
            gapped.append((tuple(pieces[::2]), pieces[1::2], theirs))
    gapped.sort(key=lambda one: -sum(map(len, one[0])))
    return whole, gapped
