"""Long work for a generator event: its progress, and an end when the visitor stops it or closes the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import copy_context
from typing import Any, TypeVar

import gradio as gr
from gradio.components import Component

from explorer.analysis.explain.gradients import Progress
from explorer.session.turns import VISITOR, StoppedError, Visitor

Result = TypeVar("Result")


def follow_progress(
    work: Callable[[Progress], Result], seconds: float = 0.4
) -> Generator[tuple[int, int], None, Result]:
    """Runs work(progress) in a thread, where it sees the request as the caller does (ZeroGPU's quota is the visitor's);
    yields the latest (done, of how many) every few moments and returns what it returned.

    When the generator is closed, which is what Gradio does on a cancel, the work ends at its next report, or in the
    queue for its turn. Closing does not wait for that: Gradio closes generators in the thread that serves everyone."""
    stop, latest, visitor = threading.Event(), [(0, 1)], VISITOR.get()

    def gone() -> bool:
        return stop.is_set() or visitor.gone()

    def progress(done: int, total: int) -> None:
        if gone():
            raise StoppedError
        latest[0] = (done, total)

    context = copy_context()
    context.run(VISITOR.set, Visitor(visitor.key, gone))
    pool = ThreadPoolExecutor(1)
    future = pool.submit(context.run, work, progress)
    pool.shutdown(wait=False)
    try:
        while not wait([future], seconds).done:
            yield latest[0]
    finally:
        stop.set()
    return future.result()


def tell_progress(
    work: Callable[[Progress], Result], tell: Callable[[int, int], Sequence]
) -> Generator[list, None, Result]:
    """`follow_progress`, yielding what has changed of tell(done, of how many)."""

    def steps() -> Generator[Sequence, None, Result]:
        with closing(follow_progress(work)) as following:
            while True:
                try:
                    yield tell(*next(following))
                except StopIteration as end:
                    return end.value

    return (yield from only_changes(steps()))


def only_changes(steps: Generator[Sequence, None, Result]) -> Generator[list, None, Result]:
    """Replace in each list of output values those that were sent before by `gr.skip()`, and return what `steps` return.

    Each value costs a browser work, and a button that is sent again and again is hard to click on a slow one."""
    last: dict[int, Any] = {}
    with closing(steps):
        while True:
            try:
                values = next(steps)
            except StopIteration as end:
                return end.value
            news = []
            for place, value in enumerate(values):
                settings = _settings(value)
                unchanged = settings == _SKIP or (place in last and last[place] == settings)
                news.append(gr.skip() if unchanged else value)
                if not unchanged:
                    last[place] = settings
            yield news


_SKIP = gr.skip()


def _settings(value: Any) -> Any:
    """What a browser would be sent: of a component that is set anew, its class and what is set."""
    return (type(value), value.constructor_args) if isinstance(value, Component) else value
