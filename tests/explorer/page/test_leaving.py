"""A visitor leaves, and what was computed for them ends: every slow endpoint and event of the page, over HTTP."""

import io
import threading
import time
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image

from explorer.page import endpoints as api
from explorer.page.page import build_page
from explorer.session import explaining
from explorer.session.turns import TURNS, VISITOR, StoppedError, Visitor
from explorer.tabs.faithfulness import tab as truth
from explorer.tabs.figures import tab as figures
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.train.new.preflight import dry_run as train_probe

LONG = 30.0  # seconds that a busy machine may take; work that nobody ends goes on for longer
DISK_ONLY = {"_again", "opened_run", "switched", "refresh", "offered"}
"""Functions without a visitor of their own: `_again` calls others that have one, the rest reads a run's small files."""


class Endless:
    """Work that goes on until its progress ends it."""

    def __init__(self):
        self.begun, self.stopped = threading.Event(), threading.Event()

    def __call__(self, *_, progress=None, **__):
        try:
            for number in range(1200):
                self.begun.set()
                progress(number, 1200)
                time.sleep(0.05)
        except StoppedError:
            self.stopped.set()
            raise
        raise AssertionError("nobody ended the work")

    def last(self, *arguments):
        self(progress=arguments[-1])

    def steps(self, *arguments):
        yield self.last(*arguments)


@pytest.fixture
def endless():
    return Endless()


@pytest.fixture(scope="module")
def web(served):
    with httpx.Client(base_url=served, timeout=LONG, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def config(web):
    return web.get("config").json()


@pytest.fixture
def picture(web):
    """A picture that nothing is known of yet."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng().integers(0, 256, (96, 96, 3), np.uint8)).save(data, "PNG")
    (path,) = web.post("gradio_api/upload", files={"files": ("own.png", data.getvalue(), "image/png")}).json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "own.png"}


def until(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def call(web, name, data):
    return web.post(f"gradio_api/call/{name}", json={"data": data}).raise_for_status().json()["event_id"]


def dependency(config, elem_id, event):
    parts = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    wanted = [parts[elem_id], event]
    (found,) = [each for each in config["dependencies"] if wanted in each["targets"] and each["backend_fn"]]
    return found


def join(web, config, elem_id, event, values, event_data=None):
    """What a browser sends for an event of the page. `values`: by `elem_id`, in place of what components begin with."""
    found, parts = dependency(config, elem_id, event), {part["id"]: part for part in config["components"]}
    known = [parts[each]["props"] for each in found["inputs"]]
    data = [values.get(each.get("elem_id"), each.get("value")) for each in known]
    body = {"data": data, "fn_index": found["id"], "session_hash": uuid4().hex, "event_data": event_data}
    body["trigger_id"] = found["targets"][0][0]
    event_id = web.post("gradio_api/queue/join", json=body).raise_for_status().json()["event_id"]
    return body | {"event_id": event_id}


def leaves_in_the_middle(web, address, begun):
    with web.stream("GET", address) as stream:
        assert stream.status_code == 200
        assert begun.wait(LONG)


@pytest.mark.parametrize("method", ["occlusion", "integrated-gradients", "smoothgrad", "rollout"])
def test_explain_ends_when_its_stream_is_dropped(web, picture, endless, monkeypatch, method):
    monkeypatch.setattr(explaining, "explain", endless)
    event = call(web, "explain", ["bundled", picture, "native", method, "", "{}", ""])
    leaves_in_the_middle(web, f"gradio_api/call/explain/{event}", endless.begun)
    assert endless.stopped.wait(LONG)


def test_explain_ends_when_it_is_cancelled(web, config, picture, endless, monkeypatch):
    monkeypatch.setattr(explaining, "explain", endless)
    (found,) = [each for each in config["dependencies"] if each["api_name"] == "explain"]
    asked = {"fn_index": found["id"], "session_hash": uuid4().hex}
    data = ["bundled", picture, "native", "occlusion", "", "{}", ""]
    event = web.post("gradio_api/queue/join", json=asked | {"data": data}).json()["event_id"]
    assert endless.begun.wait(LONG)
    web.post("gradio_api/cancel", json=asked | {"event_id": event}).raise_for_status()
    assert endless.stopped.wait(LONG)


def test_faithfulness_ends_when_its_stream_is_dropped(web, picture, endless, monkeypatch):
    monkeypatch.setattr(api, "measure", endless.last)
    event = call(web, "faithfulness", ["bundled", picture, "native", "", ["rollout"], 3, "logit"])
    leaves_in_the_middle(web, f"gradio_api/call/faithfulness/{event}", endless.begun)
    assert endless.stopped.wait(LONG)


@pytest.mark.parametrize(
    ("name", "more"), [("predict", [3]), ("attention", [0, 0, "to"]), ("explain", ["rollout", "", "{}", ""])]
)
def test_what_waits_for_its_turn_leaves_the_line_with_its_visitor(web, picture, name, more):
    release, inside = threading.Event(), threading.Semaphore(0)

    def hold():
        with TURNS.quick():
            inside.release()
            release.wait(2 * LONG)

    holders = [threading.Thread(target=hold, daemon=True) for _ in range(TURNS.places)]
    for holder in holders:
        holder.start()
    for _ in holders:
        assert inside.acquire(timeout=LONG)
    try:
        event = call(web, name, ["bundled", picture, "native", *more])
        with web.stream("GET", f"gradio_api/call/{name}/{event}"):
            until(lambda: TURNS.waiting() == 1)
        until(lambda: TURNS.waiting() == 0)
    finally:
        release.set()
        for holder in holders:
            holder.join(LONG)


PAGE = {
    "explain-run click": (explaining, "explain", "__call__", {}),
    "measure click": (truth, "measure", "last", {}),
    "truth-check click": (truth, "_check", "last", {}),
    "laboratory-parts ablate": (laboratory, "ablation_of", "steps", {}),
    "compare-prediction-a change": (explaining, "explain", "__call__", {"compare-map-b": "occlusion"}),
    "figures change": (figures.Sources, "seen", "last", {}),
}
"""Slow events of the page: what of them goes on, and the page's controls."""


@pytest.mark.parametrize("name", PAGE)
def test_slow_events_of_the_page_end_when_the_page_is_closed(web, config, picture, endless, monkeypatch, name):
    owner, function, how, values = PAGE[name]
    monkeypatch.setattr(owner, function, getattr(endless, how) if how != "__call__" else endless)
    asked = join(web, config, *name.split(), {"picture": picture} | values, {"edits": {}})
    leaves_in_the_middle(web, f"gradio_api/queue/data?session_hash={asked['session_hash']}", endless.begun)
    assert endless.stopped.wait(LONG)


def test_a_look_ahead_at_the_data_ends_its_process_when_its_visitor_leaves():
    before = VISITOR.set(Visitor("one", lambda: True))
    try:
        with pytest.raises(StoppedError):
            list(train_probe.ask("data", {}))
    finally:
        VISITOR.reset(before)


def test_every_event_in_the_queue_knows_its_visitor():
    """`plain_errors` says for whom an event works; what is not wrapped by it goes on for those who have left."""
    without = set()
    for event in build_page(local_paths=True).fns.values():
        if event.fn is not None and event.queue:
            function = getattr(event.fn, "__func__", event.fn)
            if not function.__code__.co_filename.endswith("errors.py"):
                without.add(function.__name__)
    assert without == DISK_ONLY
