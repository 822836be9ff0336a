"""Long work for a generator event: its progress, and an end when the visitor stops it or closes the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import copy_context
from typing import Any, TypeVar

from explorer.analysis.explain.gradients import Progress
from explorer.session.turns import VISITOR, StoppedError, Visitor

Result = TypeVar("Result")


def follow_progress(
    work: Callable[[Progress], Result], seconds: float = 0.2
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


def tell_progress(work: Callable[[Progress], Result], tell: Callable[[int, int], Any]) -> Generator[Any, None, Result]:
    """`follow_progress`, yielding tell(done, of how many)."""
    with closing(follow_progress(work)) as following:
        while True:
            try:
                yield tell(*next(following))
            except StopIteration as end:
                return end.value
