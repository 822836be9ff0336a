"""RequestOrder: which of one page's events began last, so that a slow early one does not undo a quick late one.

Events of different controls run side by side, and the one that began first may end last: it finds out here, before it
answers. So do events that bring data of their own, which have `trigger_mode="multiple"`: with `always_last` Gradio
gives a later event the data of the first one.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import gradio as gr

MOST = 1000  # askers that are remembered

BEGUN = itertools.count(1)
"""Numbers events in the order in which they begin: `begun = next(BEGUN)` is an event's first line."""

Asker = tuple[str | None, Hashable]
"""(session of a browser page, name of what it asks for)."""


def asker(request: gr.Request | None, name: Hashable) -> Asker:
    """Return who asks for `name`: the page that sent `request`."""
    return request and request.session_hash, name


class RequestOrder:
    """The number of the newest event of each asker."""

    def __init__(self) -> None:
        self._newest: OrderedDict[Asker, int] = OrderedDict()
        self._lock = threading.Lock()

    def newest(self, asker: Asker, begun: int) -> bool:
        """Return whether no event that began later has come here for this asker. A later one knows what was chosen
        since, so an older one, whose work took longer, must not be shown after it."""
        with self.holding(asker, begun) as newest:
            return newest

    @contextmanager
    def holding(self, asker: Asker, begun: int) -> Iterator[bool]:
        """`newest`, and no later event comes here before the block ends."""
        with self._lock:
            self._newest[asker] = newest = max(begun, self._newest.pop(asker, 0))
            if len(self._newest) > MOST:
                self._newest.popitem(last=False)
            yield newest == begun


ORDER = RequestOrder()
