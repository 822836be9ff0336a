"""CurrentWork: stale work ends by itself, says whether it was stopped, and what is kept is bounded."""

from explorer.ui.events import stale_work
from explorer.ui.events.stale_work import CurrentWork


def ends(work):
    """(what it yielded, how it ended)"""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return steps, end.value


def counting(log, most=3):
    try:
        yield from range(most)
    finally:
        log.append("closed")


def test_work_that_is_wanted_runs_to_its_end_and_is_closed():
    current, log = CurrentWork(), []
    assert ends(current.run("one", "dog", counting(log))) == ([0, 1, 2], "")
    assert log == ["closed"]


def test_new_work_ends_earlier_work_and_no_other():
    current, log = CurrentWork(), []
    first, other = current.run("one", "dog", counting(log)), current.run("other", "dog", counting([]))
    assert (next(first), next(other)) == (0, 0)
    second = current.run("one", "dog", counting([]))
    assert next(second) == 0
    assert ends(first) == ([], "stale")
    assert log == ["closed"]
    assert ends(second) == ([1, 2], "")
    assert ends(other) == ([1, 2], "")


def test_work_that_is_stopped_says_so_and_can_begin_again_at_once():
    current = CurrentWork()
    work = current.run("one", "dog", counting([]))
    next(work)
    assert current.is_settled("one", "dog") and not current.is_settled("one", "cat")
    current.stop("one")
    assert not current.is_settled("one", "dog") and current.is_settled("other", "dog")
    again = current.run("one", "dog", counting([]))
    assert next(again) == 0, "before the first has ended"
    assert ends(work) == ([], "stale")
    current.stop("one")
    assert ends(again) == ([], "stopped")


def test_what_stood_in_a_queue_does_not_begin_when_something_else_is_in_sight():
    current = CurrentWork()
    current.begin("one", of="cat")
    assert ends(current.run("one", "dog", counting([]))) == ([], "stale")
    assert ends(current.run("one", "cat", counting([]))) == ([0, 1, 2], "")


def test_a_change_that_comes_after_the_click_ends_nothing_and_another_does():
    current = CurrentWork()
    work = current.run("one", "dog", counting([]))
    assert next(work) == 0
    assert not current.show("one", "dog")
    assert next(work) == 1
    assert current.show("one", "cat")
    assert ends(work) == ([], "stale")
    assert ends(current.run("one", "dog", counting([]))) == ([], "stale"), "it stood in a queue"
    current.stop("one")
    assert current.show("one", "cat")


def test_what_is_kept_is_bounded_and_what_is_forgotten_goes_on(monkeypatch):
    monkeypatch.setattr(stale_work, "MOST", 3)
    current = CurrentWork()
    work = current.run("first", None, counting([]))
    next(work)
    for index in range(5):
        current.begin(index)
    assert len(current._current) == 3
    assert ends(work) == ([1, 2], "")
