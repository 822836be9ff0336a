"""ByteCache: a cache for all visitors that is bounded in bytes and in age, and makes each value once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Making:
    """A value in the making, and how many threads wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asking: int = 0


class ByteCache(Generic[Value]):
    """Least-recently-used values, at most `max_bytes` of them as `size(value)` counts, none unused for `max_seconds`,
    and not more than `most`.

    Keys are made from content (checksums), so a value found here tells a visitor nothing that they did not bring. Two
    threads asking for the same missing key wait for one making of it. A value larger than the whole cache is handed out
    and not kept. An error of `make` reaches everyone who asked, and nothing is kept.
    """

    def __init__(
        self,
        max_bytes: int,
        max_seconds: float,
        size: Callable[[Value], int],
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.max_bytes, self.max_seconds, self.most = max_bytes, max_seconds, most
        self._size, self._clock = size, clock
        self._entries: OrderedDict[Hashable, tuple[Value, int, float]] = OrderedDict()  # value, bytes, last use
        self._making: dict[Hashable, _Making] = {}
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, making it now if it is not there."""
        with self._lock:
            self._drop_expired()
            if key in self._entries:
                return self._use(key)
            making = self._making.setdefault(key, _Making())
            making.asking += 1
        try:
            with making.lock:
                with self._lock:
                    if key in self._entries:
                        return self._use(key)
                value = make()
                with self._lock:
                    self._keep(key, value)
                return value
        finally:
            with self._lock:
                making.asking -= 1
                if not making.asking:  # whoever asks while others still wait is one of them, also after an error
                    self._making.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def _use(self, key: Hashable) -> Value:
        value, size, _ = self._entries[key]
        self._entries[key] = (value, size, self._clock())
        self._entries.move_to_end(key)
        return value

    def _keep(self, key: Hashable, value: Value) -> None:
        size = self._size(value)
        if size > self.max_bytes:
            return
        while self._entries and (self.bytes + size > self.max_bytes or len(self._entries) == self.most):
            self._drop(next(iter(self._entries)))
        self._entries[key] = (value, size, self._clock())
        self.bytes += size

    def _drop_expired(self) -> None:
        oldest_allowed = self._clock() - self.max_seconds
        while self._entries:
            key, (_, _, last_use) = next(iter(self._entries.items()))
            if last_use >= oldest_allowed:
                return
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        _, size, _ = self._entries.pop(key)
        self.bytes -= size
