"""A checkpoint taken away: the zip, and whose token pushes to the Hub."""

import zipfile
from types import SimpleNamespace

import gradio as gr
import huggingface_hub
import pytest

from explorer.tabs.train.results.download import token_for, zipped
from explorer.tabs.train.runs.access import RunAccess
from tests.explorer.tabs.train.results.test_results import SECRETS, visitor
from tests.explorer.tabs.train.run_folders import write_checkpoint, write_run
from training.runs.runs import Runs


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    return Runs(tmp_path / "runs")


def test_the_zip_holds_the_folder_and_its_card_and_nothing_of_the_run(runs):
    run = write_run(runs, "../../etc: a <b>name</b>", classes=("ant", "bee"), pictures=4)
    (run.path / "checkpoints" / "step-00000020" / "state.json").write_text("{}")
    path = zipped(run, run.best)
    assert path.name == "etc-a-b-name-b-step-20.zip"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        card = archive.read("etc-a-b-name-b-step-20/README.md").decode()
    assert {name.split("/")[0] for name in names} == {"etc-a-b-name-b-step-20"}
    files = {name.split("/")[1] for name in names}
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= files
    assert not any(name.startswith("state.") for name in files)
    assert str(runs.folder) not in card
    assert [other.name for other in path.parent.iterdir()] == [path.name], "no draft is left"


def test_the_zip_is_made_once_until_the_checkpoint_changes(runs):
    run = write_run(runs, "once")
    first = zipped(run, run.last)
    made = first.stat().st_ino
    assert zipped(run, run.last).stat().st_ino == made
    write_checkpoint(run, 40, ("a", "b"))
    assert zipped(run, run.last) != first


def test_a_checkpoint_replaced_while_it_is_packed_is_said(runs):
    run = write_run(runs, "going", live=True)
    last = run.last
    last.path.rename(runs.folder / "gone")
    with pytest.raises((ValueError, OSError)):
        zipped(run, last)


def test_the_hosts_token_pushes_for_the_host_alone(runs, monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_of_the_host")
    request = visitor(SECRETS[0])
    assert token_for(RunAccess(runs, loopback=True), request, None) == "hf_of_the_host"
    with pytest.raises(ValueError, match="Sign in first"):
        token_for(RunAccess(runs, loopback=False), request, None)
    proxied = SimpleNamespace(**{**vars(request), "headers": {**request.headers, "x-forwarded-for": "10.0.0.1"}})
    with pytest.raises(ValueError, match="Sign in first"):
        token_for(RunAccess(runs, loopback=True), proxied, None)


def test_a_login_stands_before_the_hosts_token(runs, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_of_the_host")
    login = gr.OAuthToken(token="hf_of_the_visitor", scope="write-repos", expires_at=2**40)
    for loopback in (True, False):
        assert token_for(RunAccess(runs, loopback), visitor(), login) == "hf_of_the_visitor"


def test_without_any_token_nothing_is_pushed(runs, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(ValueError, match="hf auth login"):
        token_for(RunAccess(runs, loopback=True), visitor(), None)
