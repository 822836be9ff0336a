"""RequestOrder: an event that began earlier is not shown after a later one, and what is kept is bounded."""

import threading
from concurrent.futures import ThreadPoolExecutor

from explorer.ui.events import request_order
from explorer.ui.events.request_order import RequestOrder


def test_an_event_that_began_earlier_is_no_longer_the_newest():
    order = RequestOrder()
    assert order.newest("one", 2) and order.newest("one", 2)
    assert order.newest("one", 3)
    assert not order.newest("one", 2)
    assert order.newest("one", 3) and order.newest("other", 1)


def test_no_later_event_comes_in_while_the_order_is_held():
    """Between "I am the newest" and what follows from it a later event would be overwritten by an earlier one."""
    order, came = RequestOrder(), threading.Event()

    def later():
        came.set()
        return order.newest("one", 2)

    with ThreadPoolExecutor() as threads:
        with order.holding("one", 1) as newest:
            second = threads.submit(later)
            assert came.wait(30)
            assert newest
            assert not second.done()
        assert second.result(30)
    with order.holding("one", 1) as newest:
        assert not newest


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(request_order, "MOST", 3)
    order = RequestOrder()
    for index in range(5):
        order.newest(index, 1)
    assert len(order._newest) == 3
