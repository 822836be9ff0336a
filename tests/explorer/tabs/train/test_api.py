"""/start_run, /run_status and /stop_run, called by gradio_client as a stranger would; and looks ahead in a process."""

import json
import time

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from explorer.page.page import build_page
from explorer.tabs.train.new.preflight import dry_run as train_probe
from explorer.tabs.train.runs.access import ALLOW, owner_of_secret
from explorer.ui.errors import reason_of
from explorer.ui.translation import translate
from training.recipes import recipe_named
from vit_model.messages import read_messages

KEY, OTHER = "k" * 30, "o" * 30
FEW = {"steps": 3, "width": 48, "depth": 1, "eval_every": 3, "batch": 16}


def client_of(url, folder):
    return Client(url, verbose=False, analytics_enabled=False, download_files=str(folder))


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return client_of(served, tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def public(runs, tmp_path_factory):
    """A client of a page that listens to others too, on the same runs, whose host lets visitors train."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ALLOW, "1")
        demo = build_page(local_paths=False)
        _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield client_of(url, tmp_path_factory.mktemp("public"))
        demo.close()


def test_a_run_is_started_and_followed_to_its_end(client, runs):
    started = client.predict("scratch-tiny", json.dumps(FEW), "by a client", "", api_name="/start_run")
    assert started["name"] == "by a client"
    events, offset, deadline = [], 0, time.monotonic() + 240
    while time.monotonic() < deadline:
        told = client.predict(started["run"], "", offset, api_name="/run_status")
        events += told["events"]
        offset = told["offset"]
        if told["state"] in ("finished", "failed"):
            break
        time.sleep(0.5)
    assert told["state"] == "finished", told["reason"]
    assert [step for split, step, *_ in events if split == "train"] == [1, 2, 3]
    assert {split for split, *_ in events} == {"train", "val", "test"}
    runs.get(started["run"]).delete()


def test_off_loopback_a_key_owns_its_run(public, client, runs):
    fields = json.dumps(FEW | {"steps": 10**6, "device": "cpu"})
    started = public.predict("scratch-tiny", fields, "", KEY, api_name="/start_run")
    run = runs.get(started["run"])
    assert run.owner == owner_of_secret(KEY)
    for endpoint, more in (("/run_status", [0]), ("/stop_run", [])):
        for key in (OTHER, "", KEY[:-1], KEY.upper()):
            with pytest.raises(AppError, match="not yours"):
                public.predict(run.id, key, *more, api_name=endpoint)
    assert public.predict(run.id, KEY, 0, api_name="/run_status")["run"] == run.id
    assert client.predict(run.id, "", 0, api_name="/run_status")["run"] == run.id, "on loopback all are in sight"
    assert public.predict(run.id, KEY, api_name="/stop_run")["state"] in ("stopping", "stopped")
    deadline = time.monotonic() + 120
    while run.state != "stopped" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert run.state == "stopped"
    run.delete()


def test_off_loopback_training_needs_permission_and_a_key(public, monkeypatch):
    with pytest.raises(AppError, match="cookie"):
        public.predict("scratch-tiny", "{}", "", "short", api_name="/start_run")
    monkeypatch.delenv(ALLOW)
    with pytest.raises(AppError, match=ALLOW):
        public.predict("scratch-tiny", "{}", "", KEY, api_name="/start_run")


@pytest.mark.parametrize(
    ("recipe", "fields", "words"),
    [
        ("magic", "{}", "the recipes are"),
        ("scratch-tiny", "[1]", "JSON object"),
        ("scratch-tiny", "{", "JSON object"),
        ("scratch-tiny", '{"lr": "fast"}', "a number"),
        ("scratch-tiny", '{"lr": 0}', "greater than 0"),
        ("scratch-tiny", '{"wrong": 1}', "unknown field"),
        ("scratch-tiny", '{"data": "/etc"}', "not a data set"),
        ("scratch-tiny", '{"model": "/etc/passwd"}', "not the name of a model"),
        ("scratch-tiny", '{"data": ["shapes"]}', "not a data set"),
        ("scratch-tiny", '{"rates": [0]}', "above 0"),
        ("scratch-tiny", '{"stages": 3}', "wrong shape|stages"),
    ],
)
def test_wrong_arguments_are_answered_in_words(public, runs, recipe, fields, words):
    before = len(runs.list())
    with pytest.raises(AppError, match=words):
        public.predict(recipe, fields, "", KEY, api_name="/start_run")
    assert len(runs.list()) == before


@pytest.mark.parametrize("run", ["", "../..", "nothing", "20260101-000000-x-abcdef", "x" * 5000])
def test_runs_that_are_not_there(client, run):
    with pytest.raises(AppError, match="there is no run"):
        client.predict(run, "", 0, api_name="/run_status")


def test_a_look_at_the_data_in_a_process_of_its_own(tmp_path):
    from PIL import Image

    for name, colour in (("<b>red</b>", "red"), ("blue", "blue")):
        for split, count in (("train", 4), ("test", 1)):
            folder = tmp_path / "set" / split / name.replace("/", "")
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (40, 30 + index), colour).save(folder / f"{index}.png")
    (tmp_path / "set" / "read.me").write_text("no picture")
    (tmp_path / "set" / "train" / "blue" / "bad.png").write_bytes(b"%PDF-1.7")
    config = recipe_named("scratch-tiny").config(data=str(tmp_path / "set"), held_out=0.25).to_dict()
    *steps, found = train_probe.ask("data", config)
    assert {translate(step.text, "zh") for step in steps} == {"正在检查图片"}
    assert [translate(note, "zh") for note in read_messages(found, "notes")] == ["略过 1 个不是图片的文件：'read.me'"]
    (reason,) = read_messages(found["unreadable"], "reasons")
    assert reason.startswith("this is a PDF document") and translate(reason, "zh").startswith("这是 PDF 文档")
    assert {name: part["count"] for name, part in found["parts"].items()} == {"train": 6, "val": 2, "test": 2}
    assert found["duplicates"]["across"], "equal pictures in train and test"
    assert len(found["samples"]) == 6
    assert str(tmp_path) not in json.dumps({name: value for name, value in found.items() if name != "source"})


def test_a_look_that_cannot_be_says_why(tmp_path):
    config = recipe_named("scratch-tiny").config(data=str(tmp_path / "nothing")).to_dict()
    with pytest.raises(ValueError, match="nothing") as refused:
        list(train_probe.ask("data", config))
    assert reason_of(refused.value, "zh").startswith(f"没有数据集 '{tmp_path / 'nothing'}'")


def test_a_look_that_takes_too_long_is_ended():
    with pytest.raises(train_probe.ProbeError) as caught:
        list(train_probe.ask("step", recipe_named("scratch-tiny").config().to_dict(), limit=0.2))
    assert caught.value.long
