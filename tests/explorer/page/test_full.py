"""A full queue: said in words, with when to come again, to programs and on the page; and never a hang."""

import threading
import time

import gradio as gr
import httpx
import pytest
from gradio.queueing import Queue
from starlette.middleware import Middleware

from explorer.page.full import LONGEST_SECONDS, Full, wait_seconds


class Held:
    """A page whose one function runs until it is let go, one call at a time, and lets `most` wait."""

    def __init__(self, most):
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        with gr.Blocks(analytics_enabled=False) as self.page:
            box = gr.Textbox()
            box.submit(self._work, box, box, api_name="work")
        middleware = [Middleware(Full, page=self.page, most=most)]
        _, self.url, _ = self.page.queue(default_concurrency_limit=1, max_size=2 * most).launch(
            prevent_thread_lock=True, quiet=True, ssr_mode=False, app_kwargs={"middleware": middleware}
        )

    def _work(self, text):
        self.begun.release()
        self.go.wait(60)
        return text

    def call(self, **headers):
        return httpx.post(f"{self.url}gradio_api/call/work", json={"data": ["a"]}, headers=headers, trust_env=False)

    def join(self, **headers):
        body = {"data": ["a"], "fn_index": 0, "session_hash": "one"}
        return httpx.post(f"{self.url}gradio_api/queue/join", json=body, headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def held():
    """One call runs, and two wait: as many as may."""
    held = Held(most=2)
    held.asked = [held.call()]
    assert held.begun.acquire(timeout=20)
    held.asked += [held.call(), held.call()]
    yield held
    held.go.set()
    held.page.close()


def test_a_program_is_told_that_the_server_is_full_and_when_to_come_again(held):
    assert [answer.status_code for answer in held.asked] == [200] * 3
    answer = held.call()
    assert answer.status_code == 503
    seconds = int(answer.headers["retry-after"])
    assert 1 <= seconds <= LONGEST_SECONDS
    told = answer.json()
    assert told["detail"] == told["error"] == f"full, about {seconds} s: 2 requests are waiting; try again then"
    assert told["retry_after"] == seconds


@pytest.mark.parametrize(
    ("language", "words"), [("en-GB,en", "full, about "), ("zh-CN,zh;q=0.9", "已满，约 ")], ids=["en", "zh"]
)
def test_a_browser_gets_the_words_in_its_language_under_a_status_whose_words_the_page_shows(held, language, words):
    answer = held.join(**{"Sec-Fetch-Mode": "cors", "Accept-Language": language})
    assert answer.status_code == 429, "for 503 Gradio's page has words of its own"
    assert answer.json()["detail"].startswith(words)
    assert "retry-after" in answer.headers


def test_the_page_shows_the_words(held, open_page):
    page = open_page(held.url)
    page.locator("textarea").fill("a")
    page.locator("textarea").press("Enter")
    told = page.locator("[data-testid=toast-text]").first
    told.wait_for()
    assert told.inner_text().startswith("full, about ")


def test_what_asks_for_nothing_in_the_queue_is_answered_though_it_is_full(held):
    for address in ("", "config", "gradio_api/info"):
        assert httpx.get(held.url + address, trust_env=False).status_code == 200


def test_it_takes_questions_again_once_there_is_room(held):
    held.go.set()
    end = time.monotonic() + 30
    while (answer := held.call()).status_code == 503:
        assert time.monotonic() < end
        time.sleep(0.05)
    with httpx.stream("GET", f"{held.url}gradio_api/call/work/{answer.json()['event_id']}", trust_env=False) as told:
        assert "event: complete" in "\n".join(told.iter_lines())


class _Time:
    def __init__(self, seconds, count=1):
        self.avg_time, self.count = seconds, count


def _queue(*lines):
    """(limit, [seconds each has taken until now, None where unknown]) of each line."""
    queue = type("Queue", (), {})()
    queue.process_time_per_fn = {}
    queue.event_queue_per_concurrency_id = {}
    for name, (limit, waiting) in enumerate(lines):
        events = [type("Event", (), {"fn": (name, index)})() for index in range(len(waiting))]
        for event, seconds in zip(events, waiting, strict=True):
            if seconds is not None:
                queue.process_time_per_fn[event.fn] = _Time(seconds)
        queue.event_queue_per_concurrency_id[name] = type("Line", (), {"concurrency_limit": limit, "queue": events})()
    return queue


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], 1),
        ([(1, [2.0, 2.0, 2.5])], 7),
        ([(4, [2.0] * 8)], 4),
        ([(4, [2.0] * 8), (1, [9.0])], 9),
        ([(2, [None] * 10)], 5),
        ([(None, [3.0] * 10)], 3),
        ([(1, [1e9])], LONGEST_SECONDS),
    ],
)
def test_the_wait_is_what_the_longest_line_takes_by_how_long_its_work_has_taken(lines, seconds):
    assert wait_seconds(_queue(*lines)) == seconds


def test_the_page_answers_so_too(served, monkeypatch):
    monkeypatch.setattr(Queue, "__len__", lambda queue: 10_000)
    answer = httpx.post(f"{served}gradio_api/call/predict", json={"data": []}, trust_env=False)
    assert (answer.status_code, answer.json()["retry_after"]) == (503, int(answer.headers["retry-after"]))
    assert answer.json()["detail"].endswith("10000 requests are waiting; try again then")
