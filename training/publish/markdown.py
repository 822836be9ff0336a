"""Words that others wrote, as parts of a Markdown document: shown as they are, whatever they hold. Standard library
only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from training.runs.record import printable

LONGEST = 120
# What Markdown, tables, links, HTML, mentions and formulas begin with; a backslash makes it plain.
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~!&$@:.^]")


def escaped(words: Any, longest: int = LONGEST) -> str:
    """On one line, cut after `longest` characters, and with nothing that Markdown or HTML would act upon."""
    line = printable(" ".join(str(words).split())).strip()
    cut = line if len(line) <= longest else line[: longest - 1] + "…"
    return _SPECIAL.sub(r"\\\g<0>", cut) or "—"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """Cells as they come: escape those with words in them. `numbers`: all columns but the first are to the right."""
    lines = [head, ["---:" if numbers and column else "---" for column in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def front_matter(values: dict[str, Any]) -> str:
    """The YAML block that opens a model card. Written as JSON by key, which YAML reads alike."""
    lines = [f"{key}: {json.dumps(_plain(value), ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return printable(" ".join(value.split())) if isinstance(value, str) else value
