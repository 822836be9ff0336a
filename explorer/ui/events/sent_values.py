"""SentValues: what a tab shows in one visitor's browser, so that to open it again runs and sends nothing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.ui.viewer_store import STORE


@dataclass(frozen=True)
class SentValues:
    """Kept in a `gr.State`, so per page load, and written by the same event that sends the values. A server that has
    restarted knows of none, and then shows the tab again.

    - `key`: everything the values depend on: scene, language and controls
    - `labels`: the classes to choose from, one of which may be in the key
    - `files`, `tokens`: what the browser may still fetch: cache files, and sources in the viewers' store
    """

    key: Hashable
    labels: tuple[str, ...]
    files: tuple[str, ...]
    tokens: tuple[str, ...]

    @classmethod
    def of(cls, key: Hashable, labels: tuple[str, ...], values: Any) -> SentValues:
        return cls(key, labels, tuple(_entries(values, "path")), tuple(_entries(values, "token")))

    def still(self, key: Hashable) -> bool:
        """Whether the browser shows this and nothing of it has expired."""
        return (
            self.key == key
            and all(Path(file).exists() for file in self.files)
            and all(token in STORE for token in self.tokens)
        )


def _entries(value: Any, name: str) -> Iterator[str]:
    """Every text called `name` anywhere in dicts and lists."""
    if isinstance(value, dict):
        if isinstance(value.get(name), str):
            yield value[name]
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from _entries(item, name)
