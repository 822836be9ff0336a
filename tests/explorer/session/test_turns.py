"""Turns: quick work before slow work, slow work by turns, and none for who has left. Threads meet at events."""

import threading
import time

import pytest

from explorer.session.turns import VISITOR, StoppedError, Turns, Visitor, check_wanted

LONG = 20.0  # seconds that a busy machine may take


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.002)


def begin(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def visitor(key, gone=lambda: False):
    VISITOR.set(Visitor(key, gone))  # of this thread alone


def queued(turns, *works):
    """Each of them waits for its turn, in this order; their threads."""
    threads = []
    for work in works:
        before = turns.waiting()
        threads.append(begin(work))
        until(lambda before=before: turns.waiting() == before + 1)
    return threads


@pytest.mark.parametrize("places", [1, 2])
def test_quick_work_overtakes_slow_work_that_waits(places):
    turns, order = Turns(places, Clock()), []

    def slow(name):
        with turns.slow():
            order.append(name)

    def quick():
        with turns.quick():
            order.append("quick")

    held = [turns.quick() for _ in range(places)]
    release, inside = threading.Event(), []

    def hold(turn):
        with turn:
            inside.append(turn)
            release.wait(LONG)

    holders = [begin(lambda turn=turn: hold(turn)) for turn in held]
    until(lambda: len(inside) == places)
    threads = queued(turns, lambda: slow("slow 1"), lambda: slow("slow 2"), quick)
    release.set()
    for thread in (*holders, *threads):
        thread.join(LONG)
    assert sorted(order) == ["quick", "slow 1", "slow 2"]
    if places == 1:
        assert order == ["quick", "slow 1", "slow 2"]


def test_slow_work_has_the_last_place_only_while_no_quick_work_waits():
    """However much slow work there is: quick work waits for one step at most, and then keeps a place."""
    turns, order, go, inside = Turns(2), [], threading.Semaphore(0), threading.Semaphore(0)
    done = threading.Event()

    def slow(name):
        with turns.slow() as step:
            inside.release()
            assert go.acquire(timeout=LONG)
            step(1, 2)
            order.append(name)

    def quick():
        with turns.quick():
            order.append("quick")
            done.wait(LONG)

    threads = [begin(lambda: slow("first")), begin(lambda: slow("second"))]
    for _ in range(2):
        assert inside.acquire(timeout=LONG), "both have begun, as nobody else was there"
    threads += queued(turns, quick, lambda: slow("third"))
    go.release()  # a step of one of the two ends, and it waits
    until(lambda: order == ["quick"])
    assert turns.waiting() == 2, "the one that gave its place up, and the third"
    go.release()  # the other keeps its place, which is that of slow work
    until(lambda: len(order) == 2)
    done.set()
    go.release()
    for thread in threads:
        thread.join(LONG)
    assert sorted(order) == ["first", "quick", "second", "third"] and turns.waiting() == 0


def test_slow_work_keeps_its_turn_for_a_while():
    """A map of many short steps was made in as many turns, each after everybody else's."""
    clock = Clock()
    turns, order, inside, go = Turns(1, clock, quantum=1.0), [], threading.Event(), threading.Event()

    def slow(key, steps):
        visitor(key)
        with turns.slow() as step:
            inside.set()
            go.wait(LONG)
            for number in range(steps):
                order.append(key)
                clock.now += 0.4
                step(number, steps)

    threads = [begin(lambda: slow("long", 5))]
    assert inside.wait(LONG)
    threads += queued(turns, lambda: slow("short", 1))
    go.set()
    for thread in threads:
        thread.join(LONG)
    assert order == ["long", "long", "long", "short", "long", "long"]


def test_with_one_place_slow_work_lets_quick_work_in_between_its_steps():
    turns, order, inside, go = Turns(1, Clock()), [], threading.Event(), threading.Event()

    def slow():
        with turns.slow() as step:
            inside.set()
            go.wait(LONG)
            order.append("step 1")
            step(1, 2)
            order.append("step 2")

    def quick():
        with turns.quick():
            order.append("quick")

    threads = [begin(slow)]
    assert inside.wait(LONG)
    threads += queued(turns, quick)
    go.set()
    for thread in threads:
        thread.join(LONG)
    assert order == ["step 1", "quick", "step 2"]


def test_slow_work_that_has_waited_long_goes_first_for_once():
    clock = Clock()
    turns, order, inside, release = Turns(1, clock), [], threading.Event(), threading.Event()

    def hold():
        with turns.quick():
            inside.set()
            release.wait(LONG)

    def slow():
        with turns.slow():
            order.append("slow")

    def quick():
        with turns.quick():
            order.append("quick")

    threads = [begin(hold)]
    assert inside.wait(LONG)
    threads += queued(turns, slow)
    clock.now = 1.5
    threads += queued(turns, quick)
    release.set()
    for thread in threads:
        thread.join(LONG)
    assert order == ["slow", "quick"]


def test_a_visitor_with_much_slow_work_has_one_turn_as_everyone():
    turns, order, inside, go = Turns(1, Clock(), quantum=0.0), [], threading.Event(), threading.Event()

    def slow(key, first=False):
        visitor(key)
        with turns.slow() as step:
            if first:
                inside.set()
                go.wait(LONG)
            order.append(key)
            step(1, 2)
            order.append(key)

    threads = [begin(lambda: slow("many", first=True))]
    assert inside.wait(LONG)
    threads += queued(turns, lambda: slow("many"), lambda: slow("many"), lambda: slow("one"))
    go.set()
    for thread in threads:
        thread.join(LONG)
    assert order[:4] == ["many", "one", "many", "one"]
    assert order[4:] == ["many"] * 4
    assert not turns._last and not turns._present, "nobody is remembered who has no work"


def test_newcomers_do_not_overtake_work_that_is_between_two_steps():
    """Long work went on only when nobody new came."""
    turns, order, inside, go = Turns(1, Clock(), quantum=0.0), [], threading.Event(), threading.Event()

    def slow(key, steps):
        visitor(key)
        with turns.slow() as step:
            for number in range(steps):
                if number:
                    step(number, steps)
                order.append(key)
                if key == "holds":
                    inside.set()
                    go.wait(LONG)

    threads = [begin(lambda: slow("holds", 1))]
    assert inside.wait(LONG)
    threads += queued(turns, lambda: slow("long", 2), lambda: slow("new", 1), lambda: slow("newer", 1))
    go.set()
    threads[1].join(LONG)
    assert order == ["holds", "long", "new", "newer", "long"], "in the order in which they began to wait"
    for thread in threads:
        thread.join(LONG)


@pytest.mark.parametrize("kind", ["quick", "slow"])
def test_who_has_left_does_not_get_a_turn(kind):
    turns, inside, release = Turns(1), threading.Event(), threading.Event()
    left, ended = threading.Event(), []

    def hold():
        with turns.quick():
            inside.set()
            release.wait(LONG)

    def work():
        visitor("one", left.is_set)
        try:
            with getattr(turns, kind)():
                ended.append("computed")
        except StoppedError:
            ended.append("stopped")

    threads = [begin(hold)]
    assert inside.wait(LONG)
    threads += queued(turns, work)
    left.set()
    threads[1].join(LONG)
    assert ended == ["stopped"], "while the place is still taken"
    assert turns.waiting() == 0
    release.set()
    threads[0].join(LONG)


def test_slow_work_ends_at_the_step_after_its_visitor_left_and_its_place_is_free():
    turns, left, steps = Turns(1), threading.Event(), []

    def work():
        visitor("one", left.is_set)
        with turns.slow() as step:
            for number in range(100):
                steps.append(number)
                if number == 2:
                    left.set()
                step(number, 100)

    def run():
        with pytest.raises(StoppedError):
            work()

    begin(run).join(LONG)
    assert steps == [0, 1, 2]
    with turns.quick():
        pass


def test_an_error_of_the_work_or_of_its_progress_frees_the_place():
    turns = Turns(1)

    def refuse(done, total):
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), turns.slow(refuse) as step:
        step(0, 1)
    with pytest.raises(KeyError), turns.slow():
        raise KeyError
    with turns.quick():
        pass


def test_a_turn_within_a_turn_is_refused_rather_than_waited_for():
    turns = Turns(1)
    with turns.quick(), pytest.raises(AssertionError, match="could wait for itself"), turns.quick():
        pass


def test_without_a_visitor_all_work_is_wanted():
    check_wanted()
