"""CurrentWork: which work each page waits for now, so that long work for anything else ends by itself.

Gradio can cancel an event too, but drops one that begins again before the cancel has come through: a click on Run soon
after Stop is lost. So work finds out here, between its steps, whether it is still wanted. Buttons that begin it have
`trigger_mode="multiple"`: a newer run ends an older one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from explorer.ui.events.request_order import Asker, asker

MOST = 1000  # askers that are remembered; work for one that is forgotten runs to its end

Ended = Literal["", "stale", "stopped"]


@dataclass(frozen=True, eq=False)  # each is a piece of its own
class Work:
    """One piece of work; `of`: the model, picture and controls that it is for, None where they are not known."""

    of: Any = None
    stopped: bool = False


class CurrentWork:
    """The newest piece of work of each asker."""

    def __init__(self) -> None:
        self._current: OrderedDict[Asker, Work] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, asker: Asker, of: Any = None) -> Work:
        """Make new work the current one. Whatever ran before is stale."""
        return self._put(asker, Work(of))

    def stop(self, asker: Asker) -> None:
        """End the current work at its next step. It will say that it was stopped."""
        self._put(asker, Work(stopped=True))

    def is_settled(self, asker: Asker, of: Any) -> bool:
        """Return whether nothing but work `of` this has begun, and it was not stopped."""
        current = self._current.get(asker)
        return current is None or (current.of == of and not current.stopped)

    def show(self, asker: Asker, of: Any) -> bool:
        """Record what the page shows now. Return True if that makes running work stale; it does not where the click
        that began work for it came first."""
        current = self._current.get(asker)
        if current is not None and not current.stopped and current.of == of:
            return False
        self.begin(asker, of)
        return True

    def run(self, asker: Asker, of: Any, steps: Generator) -> Generator[Any, None, Ended]:
        """Begin work, yield from `steps` as long as it is current, and close them. Return how it ended. Nothing runs
        where the page shows something else by now: the event stood in a queue."""
        with closing(steps):
            before = self._current.get(asker)
            if before is not None and before.of not in (None, of):
                return "stale"
            work = self.begin(asker, of)
            for step in steps:
                current = self._current.get(asker)
                if current not in (work, None):
                    return "stopped" if current.stopped else "stale"
                yield step
        return ""

    def _put(self, asker: Asker, work: Work) -> Work:
        with self._lock:
            self._current.pop(asker, None)
            self._current[asker] = work
            if len(self._current) > MOST:
                self._current.popitem(last=False)
        return work


CURRENT_WORK = CurrentWork()


def stop_handler(*names: Hashable) -> Callable[[gr.Request], None]:
    """Return what a Stop button calls: work of these names ends at its next step and says that it was stopped."""

    def stop(request: gr.Request) -> None:
        for name in names:
            CURRENT_WORK.stop(asker(request, name))

    return stop
