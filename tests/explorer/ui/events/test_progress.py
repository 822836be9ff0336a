"""Long work in a thread: what it returns and reports, whose request it sees, and its end when it is closed."""

import threading
from contextvars import ContextVar

import gradio as gr
import pytest

from explorer.session.turns import VISITOR as VISITOR_SERVED
from explorer.session.turns import Visitor
from explorer.ui.events.progress import StoppedError, follow_progress, only_changes, tell_progress

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
        if seen[-1] == [2, 5]:
            told_of_two.set()
    assert [2, 5] in seen


def test_the_work_sees_the_request_of_its_visitor():
    VISITOR.set("a visitor")
    steps = tell_progress(lambda progress: VISITOR.get(), lambda done, total: [])
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


def test_only_what_changes_is_sent():
    """Buttons came with every message, which a slow browser could not keep up with: nobody could click Stop."""

    def steps():
        for done in (1, 2, 2):
            yield [f"{done} of 2", gr.Button(visible=False), gr.Button(visible=True), {"maps": [1]}, gr.skip()]
        yield ["all", gr.Button(visible=True), gr.Button(visible=False), {"maps": [done]}, "at last"]
        return "made"

    following, sent = only_changes(steps()), []
    with pytest.raises(StopIteration) as end:
        while True:
            sent.append(next(following))
    assert end.value.value == "made"
    news = [[place for place, value in enumerate(values) if value != gr.skip()] for values in sent]
    assert news == [[0, 1, 2, 3], [0], [], [0, 1, 2, 3, 4]]
    assert sent[3][1].visible is True and sent[3][2].visible is False


def test_closing_what_sends_changes_closes_its_steps():
    ended = []

    def steps():
        try:
            yield ["begun"]
            yield ["never"]
        finally:
            ended.append(True)

    following = only_changes(steps())
    next(following)
    following.close()
    assert ended
