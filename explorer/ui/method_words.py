"""method_words: what people read of the methods of explanation, in both languages."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.analysis.explain import methods


def method_words() -> dict[str, dict[str, str]]:
    """Language -> "name_METHOD", "about_METHOD", "read_METHOD", "paper_METHOD" and "link_METHOD" of every method, from
    `methods.words.json`. A method without any goes by its name."""
    words = json.loads(Path(methods.__file__).with_name("methods.words.json").read_text("utf-8"))
    for texts in words.values():
        for method in methods.METHODS:
            texts.setdefault(f"name_{method}", method.replace("-", " ").capitalize())
            for kind in ("about", "read", "paper", "link"):
                texts.setdefault(f"{kind}_{method}", "")
    return words
