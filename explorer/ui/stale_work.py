"""Latest: which answer a browser waits for, so that long work for an earlier question ends by itself.

Gradio can cancel an event too, but drops one that begins again before the cancel has come through: a click on Run soon
after Stop is lost. So work finds out here, between its steps, whether it is still wanted. Buttons that begin it have
`trigger_mode="multiple"`: a newer run ends an older one.

Events of different controls run side by side, and the one that began first may end last: it finds out here as well. So
do events that bring data of their own, which are `multiple` too: `always_last` gives a later one the first one's data.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

MOST = 1000  # askers that are remembered; work for one that is forgotten runs to its end

BEGUN = itertools.count(1)  # numbers events in the order in which they begin

Asker = tuple[str | None, Hashable]
Ended = Literal["", "stale", "stopped"]


@dataclass(frozen=True, eq=False)  # each is a question of its own
class Question:
    """What an asker asks; `of`: what everything in sight is of, None where that is not known."""

    of: Any = None
    stopped: bool = False


class Latest:
    """The latest question of each asker."""

    def __init__(self) -> None:
        self._asked: OrderedDict[Asker, Question] = OrderedDict()
        self._newest: OrderedDict[Asker, int] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, asker: Asker, of: Any = None, stopped: bool = False, begun: int | None = None) -> Question | None:
        """A new question, which makes earlier ones stale; with `stopped` none is asked, and work is to say so. Of an
        event that `begun` then, None where it is not the newest."""
        with self._lock:
            if begun is not None and self._newest.get(asker, 0) > begun:
                return None
            self._asked.pop(asker, None)
            self._asked[asker] = question = Question(of, stopped)
            _bound(self._asked)
            return question

    def newest(self, asker: Asker, begun: int) -> bool:
        """Whether of the events that have come to this line for this asker none began later (see `BEGUN`). One that did
        knows what was chosen since: what an older one, whose work took longer, has to show is not shown."""
        with self._lock:
            self._newest[asker] = newest = max(begun, self._newest.pop(asker, 0))
            _bound(self._newest)
            return newest == begun

    def settled(self, asker: Asker, of: Any) -> bool:
        """Whether nothing has been asked since but what is `of` this, and it was not stopped."""
        question = self._asked.get(asker)
        return question is None or (question.of == of and not question.stopped)

    def sees(self, asker: Asker, of: Any) -> bool:
        """What is in sight is `of` this now, so work for anything else is stale; whether that is news. It is not where
        the click that began work for it came first."""
        before = self._asked.get(asker)
        if before is not None and not before.stopped and before.of == of:
            return False
        self.ask(asker, of)
        return True

    def answer(self, asker: Asker, of: Any, steps: Generator) -> Generator[Any, None, Ended]:
        """Asks, yields what `steps` yield as long as nothing else is asked, and closes them; how that ended. Nothing is
        done where what is in sight is no longer what this is `of`: it stood in a queue."""
        with closing(steps):
            before = self._asked.get(asker)
            if before is not None and before.of not in (None, of):
                return "stale"
            question = self.ask(asker, of)
            for step in steps:
                now = self._asked.get(asker)
                if now not in (question, None):
                    return "stopped" if now.stopped else "stale"
                yield step
        return ""


def _bound(kept: OrderedDict) -> None:
    if len(kept) > MOST:
        kept.popitem(last=False)


LATEST = Latest()


def asker(request: gr.Request | None, name: Hashable) -> Asker:
    """One browser page's work of that name."""
    return request and request.session_hash, name


def stopping(*names: Hashable) -> Callable[[gr.Request], None]:
    """What a Stop button does: work of these names ends at its next step, and says that it was stopped."""

    def stop(request: gr.Request) -> None:
        for name in names:
            LATEST.ask(asker(request, name), stopped=True)

    return stop
