"""ByteCache: bounds in bytes and age, one making a key, errors not kept."""

import threading
import time

import pytest

from explorer.session.cache import ByteCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_cache(max_bytes=100, max_seconds=60.0):
    clock = Clock()
    return ByteCache(max_bytes, max_seconds, size=len, clock=clock), clock


def test_keeps_within_bytes_and_drops_the_least_recently_used():
    cache, _ = make_cache()
    cache.get("a", lambda: b"x" * 40)
    cache.get("b", lambda: b"x" * 40)
    cache.get("a", lambda: pytest.fail("a is there"))
    cache.get("c", lambda: b"x" * 40)
    assert "b" not in cache
    assert "a" in cache
    assert cache.bytes == 80


def test_keeps_no_more_values_than_it_is_told():
    cache = ByteCache(100, 60.0, size=len, most=2)
    for key in "abc":
        cache.get(key, lambda: b"x")
    assert "a" not in cache and len(cache) == cache.bytes == 2


def test_a_value_larger_than_the_cache_is_handed_out_and_not_kept():
    cache, _ = make_cache()
    cache.get("small", lambda: b"x")
    assert len(cache.get("large", lambda: b"x" * 101)) == 101
    assert "large" not in cache
    assert "small" in cache


def test_what_is_not_used_expires():
    cache, clock = make_cache(max_seconds=10)
    cache.get("a", lambda: b"a")
    cache.get("b", lambda: b"b")
    clock.now = 8
    cache.get("a", lambda: pytest.fail("a is there"))
    clock.now = 12
    cache.get("c", lambda: b"c")
    assert "a" in cache
    assert "b" not in cache


def test_two_threads_make_a_key_once():
    cache, _ = make_cache()
    started, release, made = threading.Event(), threading.Event(), []

    def slow():
        made.append(threading.get_ident())
        started.set()
        release.wait(5)
        return b"value"

    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.get("k", slow))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    release.set()
    for thread in threads:
        thread.join(5)
    assert found == [b"value"] * 4
    assert len(made) == 1


def test_an_error_reaches_the_caller_and_the_next_call_tries_again():
    cache, _ = make_cache()
    with pytest.raises(ValueError, match="broken"):
        cache.get("k", lambda: (_ for _ in ()).throw(ValueError("broken")))
    assert cache.get("k", lambda: b"fine") == b"fine"


def test_who_comes_after_a_failure_waits_for_those_who_try_again():
    """The first one to make a value has left; of the others one makes it, for all."""
    cache, _ = make_cache()
    made, together = [], []
    events = {name: (threading.Event(), threading.Event()) for name in "ab"}  # begun, may end

    def make(name):
        begun, may_end = events[name]
        made.append(name)
        begun.set()
        assert may_end.wait(20)
        if name == "a":
            raise ValueError("left")
        return b"value"

    def ask(name):
        try:
            together.append((name, cache.get("key", lambda: make(name))))
        except ValueError:
            together.append((name, None))

    threads = {name: threading.Thread(target=ask, args=name, daemon=True) for name in "abc"}
    threads["a"].start()
    assert events["a"][0].wait(20)
    threads["b"].start()
    end = time.monotonic() + 20
    while cache._making["key"].asking < 2:
        assert time.monotonic() < end
        time.sleep(0.002)
    events["a"][1].set()
    assert events["b"][0].wait(20)
    threads["a"].join(20)
    threads["c"].start()
    while cache._making["key"].asking < 2:
        assert time.monotonic() < end
        time.sleep(0.002)
    events["b"][1].set()
    for thread in threads.values():
        thread.join(20)
    assert made == ["a", "b"]
    assert sorted(together) == [("a", None), ("b", b"value"), ("c", b"value")]
    assert not cache._making
