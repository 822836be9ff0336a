"""visiting: the visitor for whom an event works, until they leave."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import gradio as gr
from gradio.context import LocalContext

from explorer.session.turns import VISITOR, Visitor

Value = TypeVar("Value")


def visitor_of(request: gr.Request | None) -> Visitor:
    """Return the visitor whose event this thread works for. They are gone when their event is: Gradio drops it when the
    stream of its answers is closed from the other side, and when it is cancelled. Outside of the queue nobody
    leaves."""
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if request is None or blocks is None or event_id is None:
        return Visitor(request and request.session_hash)
    events = blocks._queue.event_ids_to_events

    def gone() -> bool:
        event = events.get(event_id)
        return event is None or not event.alive

    return Visitor(request.session_hash, gone)


@contextmanager
def visiting(visitor: Visitor) -> Iterator[None]:
    """Do the work inside for this visitor."""
    before = VISITOR.set(visitor)
    try:
        yield
    finally:
        VISITOR.reset(before)


def each_for(visitor: Visitor, values: Generator[Value, None, None]) -> Iterator[Value]:
    """Iterate a generator, each step of it for this visitor: Gradio runs every step in a context of its own."""
    with closing(values):
        while True:
            with visiting(visitor):
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value
