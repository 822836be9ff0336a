"""ViewerStore: the sources that viewers on open pages may still request, bounded in bytes and in age."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from explorer.viewer.matrix.source import Source

MOST_TOKENS = 10_000


@dataclass
class _Kept:
    """An entry. `source` is None once it was evicted; then `again` makes it anew."""

    source: Source | None
    again: Callable[[], Source] | None
    made: float


class ViewerStore:
    """Unguessable token -> source, shared by all visitors of a process and safe to use from many threads.

    A token is a capability: who holds it may read that source and no other. Tokens end when they are older than
    `max_age_seconds`. Before that, sources leave, least recently used first, when all together would exceed `max_bytes`
    or be more than `most`; a token whose source can be made `again` lives on.
    """

    def __init__(
        self,
        max_bytes: int = 2 << 30,
        max_age_seconds: float = 3600.0,
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        if max_bytes < 1 or max_age_seconds <= 0:
            raise ValueError(f"bounds must be positive, got {max_bytes} bytes and {max_age_seconds} seconds")
        self.max_bytes, self.max_age_seconds, self.most = max_bytes, max_age_seconds, most
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the least recently used first

    def put(self, source: Source, again: Callable[[], Source] | None = None) -> str:
        """Keep `source` and return its token. ValueError if it alone is larger than the store. `again` makes the same
        source from the visitor's own files; it may be slow, and should hold nothing large."""
        if source.nbytes > self.max_bytes:
            raise ValueError(
                f"this picture's numbers take {source.nbytes / 2**20:.0f} MiB and the store holds "
                f"{self.max_bytes / 2**20:.0f} MiB; use a smaller image size or a larger store"
            )
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._drop_expired()
            self._kept[token] = _Kept(source, again, self._clock())
            self._shrink()
        return token

    def get(self, token: str) -> Source | None:
        """Return the source of a token; None if it is unknown, was evicted or has expired, or cannot be made again
        since the visitor's files are gone."""
        with self._lock:
            self._drop_expired()
            kept = self._kept.get(token)
            if kept is None:
                return None
            self._kept.move_to_end(token)
            if kept.source is not None:
                return kept.source
        assert kept.again is not None  # else `_shrink` lets go of the token too
        try:
            source = kept.again()
        except (ValueError, OSError):
            with self._lock:
                self._kept.pop(token, None)
            return None
        with self._lock:
            kept.source = source
            self._shrink()
        return source

    def __contains__(self, token: str) -> bool:
        """Return whether the token has a source, or one can be made again."""
        with self._lock:
            self._drop_expired()
            return token in self._kept

    @property
    def nbytes(self) -> int:
        with self._lock:
            return sum(source.nbytes for _, source in self._held())

    def __len__(self) -> int:
        """Count the sources that are held."""
        with self._lock:
            return len(self._held())

    def _held(self) -> list[tuple[_Kept, Source]]:
        return [(kept, kept.source) for kept in self._kept.values() if kept.source is not None]

    def _shrink(self) -> None:
        held = self._held()
        nbytes, count = sum(source.nbytes for _, source in held), len(held)
        for kept, source in held[:-1]:
            if nbytes <= self.max_bytes and count <= (self.most or count):
                break
            nbytes, count = nbytes - source.nbytes, count - 1
            kept.source = None
        for token in [token for token, kept in self._kept.items() if kept.source is None and kept.again is None]:
            del self._kept[token]
        while len(self._kept) > MOST_TOKENS:
            self._kept.popitem(last=False)

    def _drop_expired(self) -> None:
        oldest = self._clock() - self.max_age_seconds
        for token in [token for token, kept in self._kept.items() if kept.made < oldest]:
            del self._kept[token]
