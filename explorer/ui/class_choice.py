"""The class that a visitor names: from the list of the model's classes, by number, or typed."""

from __future__ import annotations

from explorer.analysis.explain.classes import Class
from explorer.ui.errors import reason_of
from explorer.ui.words import TEXT, say_both


def instead(error: ValueError) -> dict[str, str]:
    """Say why the predicted class is explained in place of the one that was named."""
    return say_both("explain_instead", reason={language: reason_of(error, language) for language in TEXT})


def named_class(text: str | None) -> Class | None:
    """Parse a class: "#7", as the list gives it, or a label that was typed."""
    text = (text or "").strip()
    if not text:
        return None
    number = text.removeprefix("#")
    return int(number) if text != number and number.isascii() and number.isdigit() and len(number) < 10 else text
