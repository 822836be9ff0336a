"""Room: memory that all who decode pictures in this process share, first come, first served."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from vit_model.messages import message
from vit_model.picture.limits import MEMORY, PictureError

SMALL = 4_000_000
"""Bytes: pictures that take less go without asking; there are never more of them than threads."""
WAIT_SECONDS = 60.0


class Room:
    """`size` bytes, of which each takes its share for a while."""

    def __init__(self, size: int):
        self._free = size
        self._line: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def taken(self, amount: int, seconds: float | None = None) -> Iterator[None]:
        """`amount` bytes of the room, once all who came before have theirs. PictureError if that takes longer than
        `seconds` (WAIT_SECONDS)."""
        if amount < SMALL:
            yield
            return
        seconds = WAIT_SECONDS if seconds is None else seconds
        me = object()
        with self._changed:
            self._line.append(me)
            came = self._changed.wait_for(lambda: self._line[0] is me and self._free >= amount, seconds)
            self._line.remove(me)
            self._free -= amount if came else 0
            self._changed.notify_all()
        if not came:
            text = "so many pictures are being decoded that this one waited {seconds} s; try again in a minute"
            raise PictureError(message("picture_busy", text, seconds=f"{seconds:.0f}"))
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


SIZE = 2 * MEMORY + MEMORY // 5
ROOM = Room(SIZE)


def _anew() -> None:
    """A forked copy of this process has none of the threads that hold a share."""
    ROOM.__init__(SIZE)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
