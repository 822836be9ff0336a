"""Turns: whose forward pass is next, where many visitors wait for few processors.

Every forward of a visitor goes through one gate, `TURNS`. Two run at a time: a forward has serial parts, which another
one fills, and more of them push one another out of the caches. Quick work is a single picture's forward pass, slow work
a map by more than that. Slow work takes the last place only while no quick work waits, and gives it up at its next step
once some does: quick work waits for one step at most. It keeps a turn for `QUANTUM_SECONDS`, so that most maps are made
in one, and then the others have theirs.

Nothing is computed for a visitor who has left: work ends, by StoppedError, while it waits and between its steps.

A turn is taken around the computing alone, never around a question to a `ByteCache`: whoever makes the value that is
waited for there may itself be waiting for a turn.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from explorer.analysis.explain.gradients import Progress
from explorer.device import ZERO_GPU

PLACES = 2
PATIENT_SECONDS = 1.0  # slow work that has waited so long goes before quick work, in its own place
QUANTUM_SECONDS = 1.0  # slow work keeps its turn for so long where others wait
MOMENT = 0.25  # seconds between two looks at whether a waiting visitor is still there


class StoppedError(Exception):
    """Raised inside work that its visitor has stopped, or whose visitor has left."""


@dataclass(frozen=True)
class Visitor:
    """The visitor for whom work is done. Work with the same `key` shares one visitor's turns; `gone()` tells whether
    nobody waits for the work any more."""

    key: Hashable = None
    gone: Callable[[], bool] = lambda: False


VISITOR: ContextVar[Visitor] = ContextVar("VISITOR", default=Visitor())  # noqa: B039 - it is frozen


def check_wanted() -> None:
    """Raise StoppedError if the visitor for whom this runs has left."""
    if VISITOR.get().gone():
        raise StoppedError


@dataclass(eq=False)
class _Waiting:
    visitor: Visitor
    slow: bool
    arrived: int
    since: float


class Turns:
    """The gate that lets `places` pieces of work run at a time. With a single place, slow work gets it only while no
    quick work waits."""

    def __init__(
        self, places: int = PLACES, clock: Callable[[], float] = time.monotonic, quantum: float = QUANTUM_SECONDS
    ):
        self.places, self._clock, self._quantum = places, clock, quantum
        self._running = self._slow_running = 0
        self._waiting: list[_Waiting] = []
        self._count = itertools.count(1)
        self._last: dict[Hashable, int] = {}  # of visitors with slow work: when the last turn of each ended
        self._present: dict[Hashable, int] = {}  # how much slow work each has
        self._changed = threading.Condition()
        self._holds = threading.local()

    @contextmanager
    def quick(self, unless: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Take a turn for one forward pass and yield True; or yield False without one, as soon as `unless()` is
        true."""
        begun = self._take(slow=False, unless=unless)
        try:
            yield begun
        finally:
            if begun:
                self._give(slow=False)

    def look_again(self) -> None:
        """Wake those who wait, since a turn may have become needless for them."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def slow(self, progress: Progress | None = None) -> Iterator[Progress]:
        """Take turns for work of many steps. Yields the progress function for the work to call between its steps: it
        passes the report on to `progress`, and lets others run."""
        key, held, begun = VISITOR.get().key, False, 0.0

        def step(done: int, total: int) -> None:
            nonlocal held, begun
            if held and not self._goes_on(begun):
                self._give(slow=True)
                held = False
            if progress is not None:
                progress(done, total)
            check_wanted()
            if not held:
                self._take(slow=True)
                held, begun = True, self._clock()

        with self._changed:
            self._present[key] = self._present.get(key, 0) + 1
        try:
            self._take(slow=True)
            held, begun = True, self._clock()
            yield step
        finally:
            if held:
                self._give(slow=True)
            with self._changed:
                self._present[key] -= 1
                if not self._present[key]:
                    del self._present[key]
                    self._last.pop(key, None)

    def waiting(self) -> int:
        """Count the work that waits for its turn."""
        return len(self._waiting)

    def _take(self, slow: bool, unless: Callable[[], bool] = lambda: False) -> bool:
        assert not getattr(self._holds, "turn", False), "a turn within a turn could wait for itself"
        visitor, gone, needless = VISITOR.get(), False, False
        with self._changed:
            mine = _Waiting(visitor, slow, next(self._count), self._clock())
            self._waiting.append(mine)
            try:
                while not ((gone := visitor.gone()) or (needless := unless()) or self._may_begin(mine)):
                    self._changed.wait(MOMENT)
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
            if gone:
                raise StoppedError
            if needless:
                return False
            self._running += 1
            self._slow_running += slow
        self._holds.turn = True
        return True

    def _give(self, slow: bool) -> None:
        self._holds.turn, key = False, VISITOR.get().key
        with self._changed:
            self._running -= 1
            self._slow_running -= slow
            if slow:
                self._last[key] = next(self._count)
            self._changed.notify_all()

    def _may_begin(self, mine: _Waiting) -> bool:
        if self._running >= self.places:
            return False
        quick = [one for one in self._waiting if not one.slow]
        slow = [one for one in self._waiting if one.slow]
        if quick and self._slow_running >= max(self.places - 1, 1):
            slow = []
        patient = [one for one in slow if self._clock() - one.since >= PATIENT_SECONDS]
        if patient or not quick:
            return bool(slow) and mine is min(patient or slow, key=self._turn)
        return mine is min(quick, key=lambda one: one.arrived)

    def _goes_on(self, begun: float) -> bool:
        """Return whether slow work keeps the turn that it has had since `begun`."""
        with self._changed:
            if self._slow_running >= self.places and any(not one.slow for one in self._waiting):
                return False
            return self._clock() - begun < self._quantum or not any(one.slow for one in self._waiting)

    def _turn(self, one: _Waiting) -> tuple[int, int]:
        """Sort key: whoever has waited longest since their last turn, or since they came, is next."""
        return self._last.get(one.visitor.key, one.arrived), one.arrived


TURNS = Turns(1000 if ZERO_GPU else PLACES)  # a lent GPU has a queue of its own, before all of its users
