"""Jobs from the page, up to the request: what is shown is what is sent, with the visitor's token and no other."""

import json
from types import SimpleNamespace

import gradio as gr
import huggingface_hub
import pytest

from explorer.tabs.train.new import jobs as train_jobs
from explorer.tabs.train.new.boxes import build_form
from explorer.tabs.train.runs.access import RunAccess
from explorer.ui.words import LANGUAGE_COOKIE
from tests.explorer.tabs.train.results.test_results import visitor
from tests.training.publish.hub_writes import WritableHub
from tests.vit_model.checkpoints.hub_server import keep_to
from training.hosted import jobs
from training.runs.runs import Runs

TOKEN, SOURCE = "hf_secretSecretSecret", "https://code.example/ann/vit-explorer@v1.0"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with WritableHub({TOKEN: "ann"}) as server:
        keep_to(server.url, tmp_path / "home", monkeypatch)
        monkeypatch.delenv("SPACE_ID", raising=False)
        monkeypatch.setenv(jobs.SOURCE, SOURCE)
        yield server


def page(tmp_path, loopback=True):
    """(the listeners by name, values of the boxes, those of the Job's)."""
    with gr.Blocks() as demo:
        form = build_form(RunAccess(Runs(tmp_path / "runs"), loopback))
        train_jobs.build(form)
    listeners = {fn.fn.__name__: fn.fn for fn in demo.fns.values() if fn.fn}
    return listeners, [box.value for box in form.inputs]


ASKED = ["ann/birds", "a10g-small", "90m", True, False]


def test_what_is_shown_is_sent_with_the_token_of_the_login(hub, tmp_path):
    listeners, values = page(tmp_path, loopback=False)
    view, button, seen, _ = listeners["show"](visitor(), *ASKED, *values)
    shown = json.loads(view.value)
    assert shown["flavor"] == "a10g-small" and shown["timeout"] == "90m" and shown["secrets"] == {"HF_TOKEN": "***"}
    assert button.interactive and hub.jobs == []
    login = SimpleNamespace(token=TOKEN)
    told, button, _ = listeners["submit"](visitor(), login, seen, *ASKED, *values)
    (job,) = hub.jobs
    assert [line for word in job["command"] for line in word.splitlines()] == shown["command"]
    assert job["secrets"] == {"HF_TOKEN": TOKEN} and job["timeoutSeconds"] == 5400
    assert f"{hub.url}/jobs/ann/" in told and "ann/birds" in told and not button.interactive
    assert "--recipe scratch-tiny" in job["command"][2]


@pytest.mark.parametrize(
    ("language", "told"), [("en", "**$1.20 an hour** by the Hub's list: at most **$1.80**"), ("zh", "每小时 $1.20")]
)
def test_the_cost_is_said_beforehand(hub, tmp_path, language, told):
    listeners, values = page(tmp_path)
    request = visitor()
    request.cookies[LANGUAGE_COOKIE] = language
    assert "could not be read" in listeners["show"](visitor(), *ASKED, *values)[3]  # this hub names no machine yet
    hub.machines.append({"name": "a10g-small", "unitCostUSD": 0.02, "unitLabel": "minute"})
    assert told in listeners["show"](request, *ASKED, *values)[3]


def test_nothing_is_sent_that_was_not_looked_at(hub, tmp_path):
    listeners, values = page(tmp_path)
    _, _, seen, _ = listeners["show"](visitor(), *ASKED, *values)
    dearer = ["ann/birds", "a100-large", *ASKED[2:]]
    for asked in (dearer, ASKED):
        with pytest.raises(gr.Error, match="form has changed"):
            listeners["submit"](
                visitor(), SimpleNamespace(token=TOKEN), seen if asked is dearer else "", *asked, *values
            )
    assert hub.jobs == [] and hub.repos == {}


def test_the_hosts_token_sends_for_nobody_else(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert huggingface_hub.get_token() == TOKEN
    listeners, values = page(tmp_path, loopback=False)
    _, _, seen, _ = listeners["show"](visitor(), *ASKED, *values)
    with pytest.raises(gr.Error, match="Sign in first"):
        listeners["submit"](visitor(), None, seen, *ASKED, *values)
    assert hub.jobs == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["", *ASKED[1:]], "owner/name"),
        (["ann/birds", "a10g small; rm", "2h", True, False], "flavor expects something like"),
        (["ann/birds", "a10g-small", "for ever", True, False], "timeout expects something like"),
        ([None, None, None, None, None], "owner/name"),
    ],
)
def test_what_cannot_be_is_refused_before_it_costs(hub, tmp_path, asked, words):
    listeners, values = page(tmp_path)
    with pytest.raises(gr.Error, match=words):
        listeners["show"](visitor(), *asked, *values)


def test_uploaded_data_is_refused_with_what_to_do(hub, tmp_path):
    (tmp_path / "mine.zip").write_bytes(b"PK")
    listeners, values = page(tmp_path)
    values[1:3] = ["upload:mine.zip", str(tmp_path / "mine.zip")]
    with pytest.raises(gr.Error, match="a Job cannot see the data here"):
        listeners["show"](visitor(), *ASKED, *values)
