"""method_words: what people read of the methods of explanation and of their choices, in both languages."""

from __future__ import annotations

import json
from pathlib import Path

from explorer.analysis.explain import methods
from explorer.analysis.explain.method import OneOf


def method_words() -> dict[str, dict[str, str]]:
    """Return language -> "name_METHOD", "about_METHOD", "read_METHOD", "paper_METHOD" and "link_METHOD" of every
    method, and "choice_NAME" and "choice_NAME_OPTION" of what the Explain tab offers, from `methods.words.json`. A
    method and a choice without any go by their names."""
    words = json.loads(Path(methods.__file__).with_name("methods.words.json").read_text("utf-8"))
    for texts in words.values():
        for name, method in methods.METHODS.items():
            texts.setdefault(f"name_{name}", name.replace("-", " ").capitalize())
            for kind in ("about", "read", "paper", "link"):
                texts.setdefault(f"{kind}_{name}", "")
            for choice in (each for each in method.choices if each.offered):
                texts.setdefault(f"choice_{choice.name}", choice.name.replace("_", " ").capitalize())
                for option in choice.options if isinstance(choice, OneOf) else ():
                    texts.setdefault(f"choice_{choice.name}_{option}", str(option))
    return words
