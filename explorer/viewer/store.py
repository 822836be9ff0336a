"""ViewerStore: what viewers on open pages may still ask for, bounded in bytes and in age."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from explorer.viewer.source import Source


class ViewerStore:
    """Unguessable token -> source, shared by all visitors of a process and safe to use from many threads.

    A token is a capability: who holds it may read that source and no other. Sources leave when they are older than
    `max_age_seconds`, or, least recently used first, when all together would exceed `max_bytes`.
    """

    def __init__(
        self,
        max_bytes: int = 2 << 30,
        max_age_seconds: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        if max_bytes < 1 or max_age_seconds <= 0:
            raise ValueError(f"bounds must be positive, got {max_bytes} bytes and {max_age_seconds} seconds")
        self.max_bytes, self.max_age_seconds = max_bytes, max_age_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: OrderedDict[str, tuple[Source, float]] = OrderedDict()

    def put(self, source: Source) -> str:
        """Keep `source` and return its token. ValueError where it alone is larger than the store."""
        if source.nbytes > self.max_bytes:
            raise ValueError(
                f"this picture's numbers take {source.nbytes / 2**20:.0f} MiB and the store holds "
                f"{self.max_bytes / 2**20:.0f} MiB; use a smaller image size or a larger store"
            )
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._drop_expired()
            self._sources[token] = (source, self._clock())
            while self._nbytes() > self.max_bytes:
                self._sources.popitem(last=False)
        return token

    def get(self, token: str) -> Source | None:
        """The source of a token; None where it is unknown, was evicted or has expired."""
        with self._lock:
            self._drop_expired()
            if token not in self._sources:
                return None
            self._sources.move_to_end(token)
            return self._sources[token][0]

    @property
    def nbytes(self) -> int:
        with self._lock:
            return self._nbytes()

    def __len__(self) -> int:
        with self._lock:
            return len(self._sources)

    def _nbytes(self) -> int:
        return sum(source.nbytes for source, _ in self._sources.values())

    def _drop_expired(self) -> None:
        oldest = self._clock() - self.max_age_seconds
        for token in [token for token, (_, made) in self._sources.items() if made < oldest]:
            del self._sources[token]
