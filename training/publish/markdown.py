"""Text by others as parts of a Markdown document, shown literally, whatever it holds. Standard library only."""

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
    """Escape words for Markdown: one line, cut after `longest` characters, nothing that Markdown or HTML acts upon."""
    line = printable(" ".join(str(words).split())).strip()
    cut = line if len(line) <= longest else line[: longest - 1] + "…"
    return _SPECIAL.sub(r"\\\g<0>", cut) or "—"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """Write a table of cells as they come: escape those with words first. `numbers`: align all but the first column
    right."""
    lines = [head, ["---:" if numbers and column else "---" for column in range(len(head))], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def front_matter(values: dict[str, Any]) -> str:
    """Write the YAML block that opens a model card, as JSON by key, which YAML reads alike."""
    lines = [f"{key}: {json.dumps(_plain(value), ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return printable(" ".join(value.split())) if isinstance(value, str) else value
