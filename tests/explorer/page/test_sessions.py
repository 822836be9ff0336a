"""What a visit costs: bytes of the page, bytes and number of sessions; what a visitor gets whose session is gone."""

import asyncio
import gc
import hashlib
import json
import re
import threading
import tracemalloc
import urllib.request
import uuid
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
from gradio.state_holder import StateHolder

import app
from explorer.page import lighter_gradio
from explorer.page.lighter_gradio import BoundedSessions, LightSession
from explorer.page.page import build_page
from explorer.ui.words import TRANSLATIONS

SCRIPTS = Path(app.__file__).parent / "explorer"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The whole page as `python app.py` serves it, with sessions of its own: (blocks, address)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIT_EXPLORER_RUNS", str(tmp_path_factory.mktemp("runs")))
        demo = build_page(local_paths=True)
        _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield demo, url.rstrip("/")
        demo.close()


@pytest.fixture(scope="module")
def config(page):
    with urllib.request.urlopen(f"{page[1]}/config") as answer:
        return answer.read()


def call(url: str, name: str | int, index: int, data: list, session: str) -> dict:
    body = json.dumps({"data": data, "fn_index": index, "session_hash": session}).encode()
    request = urllib.request.Request(f"{url}/gradio_api/run/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def predict(page, session: str) -> dict:
    demo, url = page
    index = next(index for index, fn in demo.fns.items() if fn.api_name == "predict")
    picture = next(part.value for part in demo.blocks.values() if isinstance(part, gr.Image) and part.value)
    return call(url, "predict", index, ["bundled", picture, "native", 3], session)


# ---- the page -------------------------------------------------------------------------------------------------------
def test_the_page_is_at_most_half_a_megabyte(config, page):
    """It was 1.95 MB: 38 scripts were pasted into it, base.js 28 times, and four copies of all words."""
    assert len(config) <= 500_000
    with urllib.request.urlopen(page[1]) as answer:
        assert len(answer.read()) <= 550_000


def test_no_script_and_no_style_sheet_stands_in_the_page(config):
    text = config.decode()
    for file in [
        file for kind in ("js", "css") for room in ("viewer", "tabs") for file in (SCRIPTS / room).rglob(f"*.{kind}")
    ]:
        longest = max(file.read_text("utf-8").splitlines(), key=len).strip()
        assert json.dumps(longest)[1:-1] not in text, file.name


def test_every_script_that_the_page_names_is_served(config, page):
    named = set(re.findall(r"vit-explorer/[\w./-]+\.js", config.decode()))
    assert len(named) > 15
    for address in named:
        with urllib.request.urlopen(f"{page[1]}/{address}") as answer:
            assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_the_page_carries_every_word_that_it_shows(config):
    asked = set(re.findall(r'\\"key\\": \\"(vit_\w+)\\"', config.decode()))
    assert len(asked) > 200
    for texts in TRANSLATIONS.translations_dict.values():
        assert asked <= texts.keys()


def test_programs_read_what_public_endpoints_take_and_no_more(config, page):
    with urllib.request.urlopen(f"{page[1]}/gradio_api/info") as answer:
        endpoints = json.loads(answer.read())["named_endpoints"]
    assert [one["parameter_name"] for one in endpoints["/predict"]["parameters"]] == ["model", "picture", "size", "top"]
    assert endpoints["/predict"]["parameters"][1]["type"]["type"] == "object"
    documented = [part for part in json.loads(config)["components"] if "api_info" in part]
    assert 0 < len(documented) < 80


# ---- a session ------------------------------------------------------------------------------------------------------
def test_a_session_copies_next_to_nothing(page):
    """It was 0.8 MB and 0.1 to 0.3 s: the settings and values of all 459 components."""
    demo, _ = page
    LightSession(demo)  # what the first one alone needs
    gc.collect()
    tracemalloc.start()
    kept = [demo.state_holder[f"{number}"] for number in range(50)]
    size = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    for number in range(50):
        demo.state_holder._forget(f"{number}")
    assert size < 10_000


def test_a_visitor_who_opened_every_tab_twice_keeps_little(page):
    """Each `gr.skip()` kept a component, under a number of its own: one visitor's session grew by each event."""
    demo, url = page
    fills = [
        (index, [part.value if not isinstance(part, gr.Image) else picture_of(demo) for part in fn.inputs])
        for index, fn in demo.fns.items()
        if fn.name == "fill" and any(event == "select" for _, event in fn.targets)
    ]
    assert len(fills) == 10
    session = uuid.uuid4().hex
    counts = []
    for _ in range(3):
        for index, data in fills:
            call(url, index, index, json.loads(json.dumps(data, default=str)), session)
        counts.append(len(demo.state_holder.session_data[session].blocks_config.blocks.maps[0]))
    assert counts[0] == counts[1] == counts[2] < 12


def picture_of(demo: gr.Blocks) -> dict:
    return next(part.value for part in demo.blocks.values() if isinstance(part, gr.Image) and part.value)


def test_sessions_are_bounded_in_number_and_age(page):
    demo, _ = page
    assert isinstance(demo.state_holder, BoundedSessions)
    assert demo.state_holder.capacity == demo.state_session_capacity == lighter_gradio.MOST_SESSIONS <= 2000
    holder = holder_of(demo, capacity=3)
    for name in "abcd":
        holder[name].state_data[1] = name
    assert list(holder.session_data) == ["b", "c", "d"]
    assert holder["b"].state_data == {1: "b"}
    holder["e"].state_data[1] = "e"
    assert list(holder.session_data) == ["d", "b", "e"]
    holder.time_last_used["d"] -= timedelta(hours=lighter_gradio.MOST_HOURS, seconds=1)
    holder.delete_all_expired_state()
    assert list(holder.session_data) == list(holder.time_last_used) == ["b", "e"]


def test_calls_of_programs_put_no_visitor_out(page):
    holder = holder_of(page[0], capacity=3)
    holder["visitor"].state_data[1] = "chosen"
    for number in range(10):
        holder[f"call {number}"]
    assert list(holder.session_data) == ["visitor", "call 8", "call 9"]


def test_answers_that_nobody_fetched_go_with_their_session(page):
    demo, _ = page
    holder = holder_of(demo, capacity=2)
    queue = SimpleNamespace(
        pending_event_ids_session={"gone": {"done"}, "waits": {"running"}},
        pending_messages_per_session={"gone": [], "waits": []},
        event_ids_to_events={"running": object()},
    )
    holder.blocks = SimpleNamespace(default_config=demo.default_config, root_block=demo, _queue=queue, pages=[])
    for name in ("gone", "waits", "a", "b"):
        holder.session_data[name] = LightSession(demo)
        holder.update(name)
    assert list(holder.session_data) == ["a", "b"]
    assert list(queue.pending_messages_per_session) == list(queue.pending_event_ids_session) == ["waits"]


def holder_of(demo: gr.Blocks, capacity: int) -> BoundedSessions:
    holder = BoundedSessions()
    holder.blocks, holder.capacity = demo, capacity
    return holder


def test_a_visitor_whose_session_is_gone_gets_what_a_fresh_page_gets(page):
    demo, url = page
    (opened,) = (block._id for block in demo.blocks.values() if block.elem_id == "tab-attention")
    index = next(i for i, fn in demo.fns.items() if fn.name == "fill" and (opened, "select") in fn.targets)
    data = [
        None if isinstance(part, gr.State) else picture_of(demo) if isinstance(part, gr.Image) else part.value
        for part in demo.fns[index].inputs
    ]
    data = json.loads(json.dumps(data, default=str))
    session = uuid.uuid4().hex
    first = call(url, index, index, data, session)
    again = call(url, index, index, data, session)
    demo.state_holder._forget(session)
    after = call(url, index, index, data, session)
    viewer = demo.fns[index].outputs.index(next(p for p in demo.fns[index].outputs if p.elem_id == "attention"))
    assert "token" in first["data"][viewer] and "token" in after["data"][viewer]
    assert (
        again["data"][viewer]["__type__"] == "update" and "token" not in again["data"][viewer]
    )  # the browser shows it already
    assert predict(page, session)["data"][0]["top"]


# ---- what was made for one version ----------------------------------------------------------------------------------
def test_gradio_is_the_version_that_its_lighter_sessions_were_made_for():
    """What was read there: read it again beside `lighter_gradio` before these are changed."""
    from gradio import blocks, routes, state_holder

    assert gr.__version__ == lighter_gradio.MADE_FOR
    assert hashlib.sha256(Path(state_holder.__file__).read_bytes()).hexdigest()[:16] == "ba948b8980416879"
    assert issubclass(routes.StateHolder, StateHolder) and issubclass(blocks.SessionState, LightSession)


def test_another_version_is_left_as_it_is_and_said(monkeypatch):
    from gradio import routes

    monkeypatch.setattr(lighter_gradio, "MADE_FOR", "6.0.0")
    monkeypatch.setattr(routes, "StateHolder", StateHolder)
    with pytest.warns(UserWarning, match=r"was made for 6\.0\.0"):
        lighter_gradio.keep_sessions_light()
    assert routes.StateHolder is StateHolder


# ---- the queue ------------------------------------------------------------------------------------------------------
class Waiting:
    """A page whose one function runs one call at a time, until it is let go."""

    def __init__(self):
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        with gr.Blocks(analytics_enabled=False) as self.page:
            box = gr.Textbox()
            box.submit(self._work, box, box, api_name="work", concurrency_limit=1)
        _, url, _ = app.launch(self.page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        self.url = f"{url}gradio_api"
        self.queue = self.page._queue

    def _work(self, text):
        self.begun.release()
        assert self.go.wait(60)
        return text

    def ask(self, session):
        body = {"data": [session], "fn_index": 0, "session_hash": session}
        httpx.post(f"{self.url}/queue/join", json=body, trust_env=False).raise_for_status()

    def answer(self, session):
        """What the session is told in the end."""
        address = f"{self.url}/queue/data?session_hash={session}"
        with httpx.stream("GET", address, timeout=60, trust_env=False) as stream:
            told = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line)
            return next(one for one in told if one["msg"] in ("process_completed", "unexpected_error"))


@pytest.fixture
def waiting():
    page = Waiting()
    yield page
    page.go.set()
    page.page.close()


def test_the_queue_goes_on_where_who_waits_has_left(waiting):
    """Gradio drops the messages of who leaves before what they have asked for: one visitor who closed the page while
    waiting ended the queue for everybody, until the server was started again."""
    waiting.ask("first")
    assert waiting.begun.acquire(timeout=60)
    waiting.ask("second")
    waiting.ask("left")
    del waiting.queue.pending_messages_per_session["left"]
    waiting.go.set()
    for session in ("first", "second"):
        answer = waiting.answer(session)
        assert answer["msg"] == "process_completed" and answer["output"]["data"] == [session]
    assert not waiting.queue.stopped


def test_messages_of_who_waits_are_kept_however_many_come_after(waiting, monkeypatch):
    """Gradio keeps those of the last 2,000 sessions: 2,000 calls by anybody ended the queue for who had waited longer,
    and then for all."""
    monkeypatch.setattr(lighter_gradio, "MOST_SESSIONS", 3)
    waiting.ask("first")
    assert waiting.begun.acquire(timeout=60)
    for number in range(10):  # of visitors who wait for nothing
        waiting.queue.pending_messages_per_session[f"idle {number}"] = asyncio.Queue()
    assert list(waiting.queue.pending_messages_per_session) == ["first", "idle 8", "idle 9"]
    waiting.go.set()
    assert waiting.answer("first")["output"]["data"] == ["first"]
