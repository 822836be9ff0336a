"""FieldFacts: what is known of one field of a run beside its type and its default. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vit_model.messages import Message


@dataclass(frozen=True)
class FieldFacts:
    """Of one field of a dataclass, in its metadata: the command line, the checks and the page's form read it.

    - `group`: of the form; "main" is always in sight, "source" and "length" have places of their own
    - `label`, `help`: in English; `explorer/tabs/train/fields.zh.json` has them in Chinese
    - `low`, `high`: the valid range; with `below` less than `high`, with `positive` more than 0
    - `new_only`: whether it shapes a model with random weights and means nothing to any other
    - `parse`, `expects`: how a value that is neither a number nor a word is read, and what an error says of it
    """

    group: str
    label: str
    help: str = ""
    low: float = -math.inf
    high: float = math.inf
    below: bool = False
    positive: bool = False
    new_only: bool = False
    parse: Callable[[str], Any] | None = None
    expects: Message | None = None

    @property
    def limited(self) -> bool:
        return self.low > -math.inf

    def contains(self, value: float) -> bool:
        """Whether the range has this value, whether or not it is `positive`."""
        return math.isfinite(value) and self.low <= value and (value < self.high if self.below else value <= self.high)


def run_field(default: Any, group: str, label: str, help: str = "", **facts: Any) -> Any:
    """A field of a dataclass with its facts."""
    return field(default=default, metadata={"facts": FieldFacts(group, label, help, **facts)})


def facts_of(kind: type) -> Mapping[str, FieldFacts]:
    """The facts of every field of a dataclass, in its order."""
    return {each.name: each.metadata["facts"] for each in fields(kind)}
