"""Latest: work for an earlier question ends by itself, says whether it was stopped, and what is kept is bounded."""

from explorer.ui import stale_work as latest


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
    asked, log = latest.Latest(), []
    assert ends(asked.answer("one", "dog", counting(log))) == ([0, 1, 2], "")
    assert log == ["closed"]


def test_a_new_question_ends_earlier_work_and_no_other():
    asked, log = latest.Latest(), []
    first, other = asked.answer("one", "dog", counting(log)), asked.answer("other", "dog", counting([]))
    assert (next(first), next(other)) == (0, 0)
    second = asked.answer("one", "dog", counting([]))
    assert next(second) == 0
    assert ends(first) == ([], "stale")
    assert log == ["closed"]
    assert ends(second) == ([1, 2], "")
    assert ends(other) == ([1, 2], "")


def test_work_that_is_stopped_says_so_and_can_begin_again_at_once():
    asked = latest.Latest()
    work = asked.answer("one", "dog", counting([]))
    next(work)
    assert asked.settled("one", "dog") and not asked.settled("one", "cat")
    asked.ask("one", stopped=True)
    assert not asked.settled("one", "dog") and asked.settled("other", "dog")
    again = asked.answer("one", "dog", counting([]))
    assert next(again) == 0, "before the first has ended"
    assert ends(work) == ([], "stale")
    asked.ask("one", stopped=True)
    assert ends(again) == ([], "stopped")


def test_what_stood_in_a_queue_does_not_begin_when_something_else_is_in_sight():
    asked = latest.Latest()
    asked.ask("one", of="cat")
    assert ends(asked.answer("one", "dog", counting([]))) == ([], "stale")
    assert ends(asked.answer("one", "cat", counting([]))) == ([0, 1, 2], "")


def test_a_change_that_is_told_after_the_click_ends_nothing_and_another_does():
    asked = latest.Latest()
    work = asked.answer("one", "dog", counting([]))
    assert next(work) == 0
    assert not asked.sees("one", "dog")
    assert next(work) == 1
    assert asked.sees("one", "cat")
    assert ends(work) == ([], "stale")
    assert ends(asked.answer("one", "dog", counting([]))) == ([], "stale"), "it stood in a queue"
    asked.ask("one", stopped=True)
    assert asked.sees("one", "cat")


def test_an_event_that_began_earlier_is_no_longer_the_newest():
    asked = latest.Latest()
    assert asked.newest("one", 2) and asked.newest("one", 2)
    assert asked.newest("one", 3)
    assert not asked.newest("one", 2)
    assert asked.newest("one", 3) and asked.newest("other", 1)
    assert asked.ask("one", "dog", begun=2) is None and asked.settled("one", "cat")
    assert asked.ask("one", "dog", begun=3) and not asked.settled("one", "cat")


def test_what_is_kept_is_bounded_and_what_is_forgotten_goes_on(monkeypatch):
    monkeypatch.setattr(latest, "MOST", 3)
    asked = latest.Latest()
    work = asked.answer("first", None, counting([]))
    next(work)
    for index in range(5):
        asked.ask(index)
        asked.newest(index, 1)
    assert len(asked._asked) == len(asked._newest) == 3
    assert ends(work) == ([1, 2], "")
