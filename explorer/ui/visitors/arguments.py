"""Arguments of named endpoints: parsed, or refused by a ValueError that says what is expected."""

from __future__ import annotations

import json

from vit_model.errors import quoted


def json_object(name: str, text: str | None) -> dict:
    """Parse the JSON object in a text, an empty one for no text."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be a JSON object, got {quoted(text)}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a JSON object, got {quoted(text)}")
    return found


def whole(name: str, value: float | None, low: int, high: int) -> int:
    """Check a whole number within bounds."""
    if not isinstance(value, int | float) or value != value or not low <= value <= high or value != int(value):
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {quoted(value)}")
    return int(value)
