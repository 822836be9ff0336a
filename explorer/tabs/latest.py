"""Latest: which answer a browser waits for, so that long work for an earlier question can end by itself."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

MOST = 1000  # browsers and tabs; work of one that is forgotten runs to its end


class Latest:
    """Counts the questions of each asker. (Gradio could cancel the event of an earlier one, but loses track of an event
    that begins again while it does.)"""

    def __init__(self) -> None:
        self._asked: OrderedDict[Hashable, int] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, asker: Hashable) -> None:
        """A new question, which makes earlier ones stale."""
        with self._lock:
            self._asked[asker] = self._asked.pop(asker, 0) + 1
            if len(self._asked) > MOST:
                self._asked.popitem(last=False)

    def still(self, asker: Hashable) -> Callable[[], bool]:
        """Whether the asker has asked nothing else since now."""
        now = self._asked.get(asker)
        return lambda: self._asked.get(asker) in (now, None)
