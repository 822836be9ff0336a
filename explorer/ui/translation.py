"""translate: a message of vit_model, of the trainer or of the explorer in the visitor's language.

`errors.zh.json` holds, for every code, the sentence in Chinese with the gaps of the English one, and the names of kinds
of files and models. What has no code, such as another library's error or a record of an older version, stays as it is.
"""

from __future__ import annotations

import json
from pathlib import Path

from vit_model.messages import DEPTH, Message

MOST_OF_A_VALUE = 1000  # letters; the last lines of a log are the longest
_TABLES = {"zh": json.loads(Path(__file__).with_name("errors.zh.json").read_text("utf-8"))}
"""Language -> {"reasons": code of a message -> its sentence, "names": kinds of files and models -> theirs}."""


def translate(text: str, language: str) -> str:
    """`text` in this language, "en" or "zh"."""
    return _translate(text, language, DEPTH) if language in _TABLES else str(text)


def translate_both(text: str) -> dict[str, str]:
    """`text` for a component that chooses in the browser."""
    return {"en": str(text), "zh": translate(text, "zh")}


def _translate(text: str, language: str, depth: int) -> str:
    reasons, names = _TABLES[language]["reasons"], _TABLES[language]["names"]
    template = reasons.get(text.code) if isinstance(text, Message) else None
    if template is None or not isinstance(text, Message):
        return str(text)
    values = {name: _value(value, language, depth) for name, value in text.details.items()}
    if "kind" in values:
        values["kind"] = names.get(values["kind"], values["kind"])
    try:
        return template.format_map(values)
    except KeyError:  # of another version, read from a file
        return str(text)


def _value(value: object, language: str, depth: int) -> str:
    """One value of a message, translated where it is a message itself, and cut: some may be anybody's text."""
    text = _translate(value, language, depth - 1) if isinstance(value, Message) and depth else str(value)
    return text if len(text) <= MOST_OF_A_VALUE else f"{text[:MOST_OF_A_VALUE]}..."
