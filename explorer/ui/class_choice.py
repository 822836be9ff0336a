"""A class as a visitor names it: from the list of the model's classes, by its number, or as it was typed."""

from __future__ import annotations

from explorer.analysis.explain.classes import Class
from explorer.ui.errors import reason_of
from explorer.ui.words import TEXT, say_both


def instead(error: ValueError) -> dict[str, str]:
    """Why a class that was named is not the one explained."""
    return say_both("explain_instead", reason={language: reason_of(error, language) for language in TEXT})


def named_class(text: str | None) -> Class | None:
    """A class as the list gives it, "#7", or as it was typed."""
    text = (text or "").strip()
    if not text:
        return None
    number = text.removeprefix("#")
    return int(number) if text != number and number.isascii() and number.isdigit() and len(number) < 10 else text
