"""Labels and explanations of a run's fields: English as the trainer defines them, Chinese from `fields.zh.json`.

Importing this module gives them to the page.
"""

from __future__ import annotations

import json
from pathlib import Path

from explorer.ui.words import add_words
from training.config import FACTS

OWN_WORDS = ("source", "length")  # groups whose boxes are labelled by the form


def field_words() -> dict[str, dict[str, str]]:
    """Language -> "field_NAME" and, where there is something to explain, "field_NAME_info"."""
    english = {}
    for name, facts in FACTS.items():
        if facts.group not in OWN_WORDS:
            english |= {f"field_{name}": facts.label} | ({f"field_{name}_info": facts.help} if facts.help else {})
    chinese = json.loads(Path(__file__).with_name("fields.zh.json").read_text("utf-8"))
    return {"en": english, "zh": chinese}


def label_key(name: str) -> str | None:
    """The key of a field's label; None for what is no field, and for those that the form labels itself."""
    return f"field_{name}" if name in FACTS and FACTS[name].group not in OWN_WORDS else None


def help_key(name: str) -> str | None:
    """The key of a field's explanation, None where it needs none."""
    return f"field_{name}_info" if label_key(name) and FACTS[name].help else None


add_words(field_words())
