"""Long work in a thread: what it returns and reports, whose request it sees, and its end when it is closed."""

import threading
from contextvars import ContextVar

import pytest

from explorer.session.turns import VISITOR as VISITOR_SERVED
from explorer.session.turns import Visitor
from explorer.ui.events.progress import StoppedError, follow_progress, tell_progress

VISITOR = ContextVar("VISITOR", default="nobody")


def test_it_yields_progress_and_returns_what_the_work_returned():
    told_of_two, seen = threading.Event(), []

    def work(progress):
        progress(2, 5)
        told_of_two.wait(20)
        return "made"

    steps = tell_progress(work, lambda done, total: (done, total))
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            assert end.value == "made"
            break
        if seen[-1] == (2, 5):
            told_of_two.set()
    assert (2, 5) in seen


def test_the_work_sees_the_request_of_its_visitor():
    VISITOR.set("a visitor")
    steps = tell_progress(lambda progress: VISITOR.get(), lambda done, total: None)
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    assert end.value.value == "a visitor"


def test_closing_it_ends_the_work_at_its_next_report():
    begun, ended = threading.Event(), threading.Event()

    def work(progress):
        try:
            while True:
                progress(0, 1)
                begun.set()
        except StoppedError:
            ended.set()
            raise

    steps = follow_progress(work, 0.01)
    next(steps)
    begun.wait(20)
    steps.close()
    assert ended.wait(20)


def test_closing_it_does_not_wait_for_the_work():
    """Gradio closes generators in the thread that serves everyone: nobody was answered until the step had ended."""
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def work(progress):
        begun.set()
        release.wait(20)
        ended.set()

    steps = follow_progress(work, 0.01)
    next(steps)
    assert begun.wait(20)
    steps.close()
    assert not ended.is_set()
    release.set()
    assert ended.wait(20)


def test_work_ends_when_its_visitor_has_left_though_nobody_closes_it():
    left, begun, ended = threading.Event(), threading.Event(), threading.Event()

    def work(progress):
        try:
            while True:
                progress(0, 1)
                begun.set()
        except StoppedError:
            ended.set()
            raise

    before = VISITOR_SERVED.set(Visitor("one", left.is_set))
    try:
        steps = follow_progress(work, 0.01)
        next(steps)
    finally:
        VISITOR_SERVED.reset(before)
    assert begun.wait(20)
    left.set()
    assert ended.wait(20)
    with pytest.raises(StoppedError):
        list(steps)
