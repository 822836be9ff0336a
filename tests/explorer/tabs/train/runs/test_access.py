"""Who may see, stop and start runs; what the live view's server functions answer to anyone; uploads that stay."""

import json
import os
import time
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from explorer.tabs.train.new.boxes import build_form
from explorer.tabs.train.new.form import FILLED, checked
from explorer.tabs.train.new.preflight import panel as train_check
from explorer.tabs.train.new.sources import data_source, kept, model_source, upload_name
from explorer.tabs.train.new.values import FieldError, recipe_values
from explorer.tabs.train.runs.access import ALLOW, OWNER_COOKIE, RunAccess, owner_of, owner_of_secret
from explorer.tabs.train.tab import create
from explorer.tabs.train.watch.panel import build_watch
from explorer.tabs.train.watch.view import TrainLiveView, facts_of
from explorer.ui.translation import translate_both
from training.recipes import recipe_named
from training.runs.metrics import MetricEvent, append_events
from training.runs.runs import Runs

TINY = recipe_named("scratch-tiny").config()


def visitor(secret="", **headers):
    cookies = {OWNER_COOKIE: secret} if secret else {}
    client, headers = SimpleNamespace(host="127.0.0.1"), {"host": "127.0.0.1:7860"} | headers
    return SimpleNamespace(request=SimpleNamespace(scope={}), client=client, headers=headers, cookies=cookies)


ANNA, BEN = visitor("a" * 64), visitor("b" * 64)


@pytest.fixture
def access(tmp_path, monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv(ALLOW, raising=False)
    return RunAccess(Runs(tmp_path / "runs"), loopback=False)


@pytest.fixture
def run(access):
    """Anna's, waiting in the queue."""
    return access.runs.create(TINY, owner=owner_of(ANNA), name="<b>Anna's</b>")


def test_others_neither_see_nor_stop_a_run(access, run):
    assert access.list(ANNA) == [run]
    assert access.get(run.id, ANNA) == run
    for stranger in (BEN, visitor(), visitor("short"), None):
        assert access.list(stranger) == []
        with pytest.raises(LookupError):
            access.get(run.id, stranger)


def test_a_run_without_an_owner_is_the_hosts_alone(access):
    started = access.runs.create(TINY)
    for stranger in (ANNA, visitor(), None):
        assert access.list(stranger) == []
        with pytest.raises(LookupError):
            access.get(started.id, stranger)


def test_on_loopback_all_runs_are_in_sight_but_not_through_a_proxy(access, run):
    local = RunAccess(access.runs, loopback=True)
    assert local.list(BEN) == local.list(visitor()) == [run]
    through = visitor("b" * 64, **{"x-forwarded-for": "192.0.2.7"})
    assert local.list(through) == []
    with pytest.raises(LookupError):
        local.get(run.id, through)
    assert not local.may_start(through)


def test_starting_needs_loopback_a_login_or_the_hosts_permission(access, monkeypatch):
    assert RunAccess(access.runs, loopback=True).may_start(visitor())
    with pytest.raises(ValueError, match=ALLOW):
        access.check_start(ANNA)
    monkeypatch.setenv(ALLOW, "1")
    access.check_start(ANNA)
    with pytest.raises(ValueError, match="cookie"):
        access.check_start(visitor())


def test_on_a_space_a_login_is_the_owner(access, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/space")
    signed_in = visitor("a" * 64)
    known = {"userinfo": {"preferred_username": "anna"}, "expires_at": time.time() + 60}
    signed_in.request.scope["session"] = {"oauth_info": known}
    assert owner_of(signed_in) == "hub:anna"
    access.check_start(signed_in)
    known["expires_at"] = time.time() - 1
    assert owner_of(signed_in) == owner_of(ANNA)
    with pytest.raises(ValueError, match="Sign in"):
        access.check_start(signed_in)


def test_a_secret_never_lies_on_disk(run):
    told = (run.path / "run.json").read_text()
    assert "a" * 64 not in told
    assert run.owner == owner_of_secret("a" * 64) != owner_of_secret("b" * 64)


def test_a_ticket_opens_one_run_and_outlives_the_server(access, run):
    other = access.runs.create(TINY, owner=owner_of(ANNA))
    ticket = access.ticket(run)
    assert RunAccess(Runs(access.runs.folder), loopback=False).find(run.id, ticket) == run
    assert access.find(other.id, ticket) is None
    assert access.find(run.id, ticket[:-1] + "x") is None
    assert access.find(run.id, "é") is None
    assert os.stat(access.runs.folder / ".tickets").st_mode & 0o077 == 0 or os.name == "nt"
    assert len(list(access.runs.folder.glob(".tickets*"))) == 1


@pytest.fixture
def view(access):
    return TrainLiveView(find=access.find, told=translate_both)


def ask(view, access, run, **changes):
    return view.tail({"run": run.id, "ticket": access.ticket(run), "offset": 0, "log_offset": None} | changes)


def event(step, split="train", **values):
    return MetricEvent(step, step / 10, step * 0.5, split, values or {"loss": 1 / step})


def test_tail_tells_only_what_is_new_and_whole_lines(view, access, run):
    path = run.path / "events.jsonl"
    append_events(path, [event(1), event(2, loss=float("nan"))])
    first = ask(view, access, run)
    assert first["rows"] == [["train", 1, 0.1, 0.5, {"loss": 1.0}], ["train", 2, 0.2, 1.0, {"loss": None}]]
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    whole = event(3).to_line().encode()
    with open(path, "ab") as file:
        file.write(whole[:20])
    assert ask(view, access, run, offset=first["offset"])["rows"] == []
    with open(path, "ab") as file:
        file.write(whole[20:])
    then = ask(view, access, run, offset=first["offset"])
    assert [row[1] for row in then["rows"]] == [3]
    assert ask(view, access, run, offset=then["offset"])["rows"] == []


def test_tail_tells_the_log_as_it_grows(view, access, run):
    (run.path / "log.txt").write_text("one\n")
    first = ask(view, access, run)
    with open(run.path / "log.txt", "a") as file:
        file.write("two é\n")
    then = ask(view, access, run, log_offset=first["log_offset"])
    assert (first["log"], then["log"]) == ("one\n", "two é\n")


@pytest.fixture
def ended(run):
    run.end("stopped")
    (run.path / "queued.json").unlink()
    return run


@pytest.fixture
def resumed(access):
    """Who presses Resume in the live view, with what it was given -> what the page shows then."""
    with gr.Blocks():
        watch = build_watch(access, gr.State(None))
    return lambda run, who: watch.resume({"run": run.id, "ticket": access.ticket(run)}, who)


def test_a_link_lets_nobody_use_a_computer_that_is_not_theirs(access, ended, resumed, monkeypatch):
    """Whoever got the link of a run may watch and stop it."""
    with pytest.raises(ValueError, match="does not let visitors train"):
        resumed(ended, BEN)
    assert ended.state == "stopped"
    monkeypatch.setenv(ALLOW, "1")
    assert resumed(ended, BEN)[1]["run"] == ended.id
    assert ended.state == "queued" and ended.owner == owner_of(ANNA)


def test_who_logged_in_resumes_where_the_run_is_watched(access, ended, resumed, monkeypatch):
    monkeypatch.setattr(RunAccess, "may_start", lambda self, request: request is ANNA)
    with pytest.raises(ValueError):
        resumed(ended, BEN)
    assert resumed(ended, ANNA)[-1] == ended.id
    assert ended.state == "queued"


@pytest.mark.parametrize("value", [None, {}, {"run": 1, "ticket": 2}, {"run": "../x", "ticket": "y" * 64}])
def test_a_resume_of_nonsense_is_refused_in_words(access, ended, value):
    with gr.Blocks():
        watch = build_watch(access, gr.State(None))
    with pytest.raises(ValueError, match="not there any more"):
        watch.resume(value, BEN)


def test_tail_shows_no_path_of_the_host(view, access, tmp_path):
    config = TINY.having(data=str(tmp_path / "secret place" / "pets.zip"), model="resnet18:" + str(tmp_path / "r.pth"))
    run = access.runs.create(config, owner=owner_of(ANNA))
    (run.path / "log.txt").write_text(f"run {run.path}\nfinished {run.path}\n")
    told = ask(view, access, run)
    assert told["log"] == f"run {run.id}\nfinished {run.id}\n"
    assert (told["facts"]["data"], told["facts"]["model"]) == ("pets.zip", "resnet18:r.pth")
    assert str(tmp_path) not in json.dumps(told)


@pytest.mark.parametrize("source", ["~/pics/cats", "C:\\pics\\cats", "/home/me/pics/cats"])
def test_a_path_of_any_system_loses_its_folders_in_the_live_view(access, source):
    """`~/pics/cats` stood there whole, and so did a path of Windows."""
    run = access.runs.create(TINY.having(data=source, model=f"resnet18:{source}"), owner=owner_of(ANNA))
    run_file = run.path / "run.json"  # where the source was made an absolute path
    about = json.loads(run_file.read_text())
    about["config"] |= {"data": source, "model": f"resnet18:{source}"}
    run_file.write_text(json.dumps(about))
    facts = facts_of(run)
    assert (facts["data"], facts["model"]) == ("cats", "resnet18:cats")


def test_a_damaged_run_is_told_as_failed(view, access, run):
    ticket = access.ticket(run)
    about = json.loads((run.path / "run.json").read_text())
    about["config"]["lr"] = "fast"
    (run.path / "run.json").write_text(json.dumps(about))
    told = view.tail({"run": run.id, "ticket": ticket, "offset": 0, "log_offset": None})
    assert told["state"] == "failed"
    assert "run.json" in told["reason"]["en"] and "无法读取 run.json" in told["reason"]["zh"]


@pytest.mark.parametrize(
    "request_",
    [
        None,
        "run",
        {},
        {"run": "x"},
        {"run": 1, "ticket": "", "offset": 0, "log_offset": None},
        {"run": "x" * 1000, "ticket": "", "offset": 0, "log_offset": None},
        {"run": "../../etc", "ticket": "", "offset": 0, "log_offset": None},
        {"run": "RUN", "ticket": "", "offset": 0, "log_offset": None},
        {"run": "RUN", "ticket": "TICKET", "offset": -1, "log_offset": None},
        {"run": "RUN", "ticket": "TICKET", "offset": True, "log_offset": None},
        {"run": "RUN", "ticket": "TICKET", "offset": 2**60, "log_offset": None},
        {"run": "RUN", "ticket": "TICKET", "offset": 0, "log_offset": "0"},
        {"run": "RUN", "ticket": "TICKET", "offset": 0, "log_offset": None, "more": 1},
    ],
)
def test_nonsense_is_answered_in_words(view, access, run, request_):
    if isinstance(request_, dict):
        real = {"RUN": run.id, "TICKET": access.ticket(run)}
        request_ = {
            name: real.get(value, value) if isinstance(value, str) else value for name, value in request_.items()
        }
    assert set(view.tail(request_)) <= {"error", "gone"}
    assert set(view.stop(request_)) <= {"error", "gone"}
    assert run.state == "queued"


def test_an_offset_beyond_the_end_begins_again(view, access, run):
    append_events(run.path / "events.jsonl", [event(1)])
    assert [row[1] for row in ask(view, access, run, offset=10**6)["rows"]] == [1]


def test_a_ticket_alone_stops(view, access, run):
    def stop(ticket):
        return view.stop({"run": run.id, "ticket": ticket})

    assert stop(access.ticket(run)[::-1])["gone"]
    assert run.state == "queued"
    assert stop(access.ticket(run)) == {"state": "stopped"}
    assert "not running" in stop(access.ticket(run))["error"]["en"]


@pytest.mark.parametrize("text", ["/etc", "../..", "~", "C:\\", "", None, "hf:", "hf:../x", "upload:x.zip", "shapes2"])
def test_off_loopback_no_path_is_a_data_set(text):
    with pytest.raises(FieldError) as caught:
        data_source(text, None, False, None)
    assert caught.value.field == "data"


@pytest.mark.parametrize(
    "text", ["/etc", "../..", "~", "", "new:Q/1", "resnet18:/etc/passwd", "upload:m.safetensors", "a"]
)
def test_off_loopback_no_path_is_a_model(text):
    with pytest.raises(FieldError) as caught:
        model_source(text, [], False, None)
    assert caught.value.field == "model"


def test_sources_that_anyone_may_name(tmp_path, monkeypatch):
    assert data_source(" cifar10 ", None, False, None) == "cifar10"
    assert data_source("hf:owner/name", None, False, None) == "hf:owner/name"
    assert model_source("new:Ti/16", None, False, None) == "new:Ti/16"
    (tmp_path / "owner" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_source("owner/name", None, False, None) == "hf-hub:owner/name", "never the folder of that name"
    assert model_source("owner/name", None, True, None) == str(tmp_path / "owner" / "name")


def test_an_upload_is_named_by_its_file_and_stays_as_long_as_a_run_needs_it(tmp_path):
    runs = Runs(tmp_path / "runs")
    archive = tmp_path / "up" / "pets.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"pictures")
    assert upload_name(str(archive)) == "upload:pets.zip"
    assert upload_name(["a/config.json", "b/model.safetensors"], (".safetensors",)) == "upload:model.safetensors"
    assert data_source("upload:pets.zip", str(archive), False, None) == str(archive)
    stays = kept(str(archive), runs)
    archive.unlink()
    with pytest.raises(FieldError, match="again"):
        data_source("upload:pets.zip", str(archive), False, None)
    with open(stays, "rb") as file:
        assert file.read() == b"pictures"
    run = runs.create(TINY.having(data=stays))
    other = tmp_path / "other.zip"
    other.write_bytes(b"others")
    old = kept(str(other), runs)
    long_ago = time.time() - 10**5
    for path in (stays, old):
        os.utime(os.path.dirname(path), (long_ago, long_ago))
    third = tmp_path / "third.zip"
    third.write_bytes(b"third")
    kept(str(third), runs)
    assert os.path.exists(stays), "a run names it"
    assert not os.path.exists(old), "no run names it"
    run.delete()


@pytest.fixture
def form(access, monkeypatch):
    monkeypatch.setenv(ALLOW, "1")
    with gr.Blocks():
        return build_form(access)


def values_of(form, **changes):
    boxes = recipe_values(recipe_named("scratch-tiny"), "shapes") | changes
    return ["scratch-tiny", "shapes", None, recipe_named("scratch-tiny").fields["model"], None, ""] + [
        boxes[name] for name in FILLED
    ]


@pytest.mark.parametrize(
    ("box", "value"), [("length", "10000000"), ("workers", "64"), ("batch", "9999"), ("width", "8190")]
)
def test_the_form_tells_a_visitor_of_a_bound_while_they_type_and_starts_nothing(form, box, value):
    values = values_of(form, **{box: value})
    problem = checked(form, ANNA, values)["problem"]["text"]
    assert "this host lets visitors have at most" in problem
    with pytest.raises(ValueError, match="this host lets visitors have at most"):
        create(form, ANNA, tuple(values))
    assert form.access.runs.list() == []
    local = replace(form, access=RunAccess(form.access.runs, loopback=True))
    assert checked(local, ANNA, values)["problem"] is None, "the host has no bounds"
    assert create(local, ANNA, tuple(values)).config


def test_every_way_to_start_and_resume_is_counted(form, access, ended, resumed):
    """The page's Start, Resume in the live view, /start_run's `create`."""
    create(form, ANNA, tuple(values_of(form)))
    access.runs.create(TINY, owner=owner_of(ANNA), guest=True)
    create(form, ANNA, tuple(values_of(form)))
    for start in (
        lambda: create(form, ANNA, tuple(values_of(form))),
        lambda: access.runs.create(TINY, owner=owner_of(ANNA), guest=True),
        lambda: resumed(ended, ANNA),
        lambda: resumed(ended, BEN),
    ):
        with pytest.raises(ValueError, match="you have 3 runs waiting or running"):
            start()
    assert ended.state == "stopped"
    create(form, BEN, tuple(values_of(form)))


def test_a_visitor_has_one_look_ahead_at_a_time(form, monkeypatch):
    monkeypatch.setattr(train_check, "_ASKING", {owner_of(ANNA)})
    asked = []
    monkeypatch.setattr(train_check.train_probe, "ask", lambda *_, **__: (asked.append(1), iter([{}]))[1])
    with pytest.raises(ValueError, match="Another look ahead"):
        train_check._asked("step", {}, form, ANNA, gr.Progress())
    assert not asked


@pytest.fixture
def with_data(access):
    """As `resumed`, with where the data are now and whether changed data are meant."""
    with gr.Blocks():
        watch = build_watch(access, gr.State(None))
    return lambda run, who, *given: watch.resume({"run": run.id, "ticket": access.ticket(run)}, who, *given)


def test_a_resume_may_name_the_data_anew_by_the_gate_of_a_new_run(ended, with_data, monkeypatch, tmp_path):
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(FieldError):
        with_data(ended, ANNA, str(tmp_path))
    assert ended.state == "stopped" and ended.config.data == "shapes"
    with_data(ended, ANNA, " cifar10 ", True)
    assert ended.state == "queued" and ended.config.data == "cifar10"
    assert (ended.path / "data_changed.json").exists()


def test_changed_data_are_accepted_only_where_that_was_said(ended, with_data, monkeypatch):
    monkeypatch.setenv(ALLOW, "1")
    with_data(ended, ANNA)
    assert ended.state == "queued" and not (ended.path / "data_changed.json").exists()


@pytest.mark.parametrize("given", [("cifar10", False), ("", True)])
def test_a_link_gives_nobody_a_say_in_a_runs_data(ended, with_data, given, monkeypatch):
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(ValueError, match="not there any more"):
        with_data(ended, BEN, *given)
    assert ended.state == "stopped" and ended.config.data == "shapes"
