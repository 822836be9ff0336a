"""Pushing to a Hub on this machine: what arrives, what is refused, and where the token never goes."""

import logging
import traceback

import pytest
from huggingface_hub import constants

from tests.explorer.tabs.train.run_folders import write_run
from tests.training.publish.hub_writes import WritableHub
from tests.vit_model.checkpoints.hub_server import keep_to
from training import __main__ as cli
from training.publish.hub import PushError, claim, push
from training.runs.runs import RunError, Runs
from vit_model import load_model

TOKEN = "hf_secretSecretSecret"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub's git-lfs


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with WritableHub({TOKEN: "ann"}) as server:
        keep_to(server.url, tmp_path / "home", monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server


@pytest.fixture
def run(tmp_path):
    return write_run(Runs(tmp_path / "runs"), "mine", classes=("cat", "dog"), pictures=4)


def test_a_push_creates_a_private_repository_that_opens(tmp_path, hub, run):
    assert push(run, None, "ann/model", TOKEN) == f"{hub.url}/ann/model"
    repo = hub.repos["ann/model"]
    assert repo["private"] and set(repo["files"]) == {
        *("README.md", "config.json", "curves.svg", "model.safetensors", "preprocessor_config.json")
    }
    assert b'model="ann/model"' in repo["files"]["README.md"]
    (tmp_path / "got").mkdir()
    for name, content in repo["files"].items():
        (tmp_path / "got" / name).write_bytes(content)
    assert load_model(tmp_path / "got").labels == ("cat", "dog")


def test_the_checkpoint_and_the_visibility_are_chosen(hub, run):
    push(run, "last", "ann-lab/model", TOKEN, private=False)
    repo = hub.repos["ann-lab/model"]
    assert not repo["private"] and b"after step 40" in repo["files"]["README.md"]


def test_a_repository_that_exists_is_left_alone_unless_told_otherwise(hub, run):
    hub.repos["ann/model"] = {"private": False, "files": {"notes.txt": b"mine", "README.md": b"old"}}
    with pytest.raises(PushError, match="ann/model exists already; choose another name, or allow to overwrite it"):
        push(run, None, "ann/model", TOKEN)
    assert hub.repos["ann/model"]["files"]["README.md"] == b"old"
    push(run, None, "ann/model", TOKEN, overwrite=True)
    files = hub.repos["ann/model"]["files"]
    assert files["notes.txt"] == b"mine" and b"after step 20" in files["README.md"]


def test_only_ones_own_repositories_are_overwritten(hub, run):
    hub.repos["bob/model"] = {"private": False, "files": {}}
    with pytest.raises(PushError, match="this token may not write to bob/model; use a name of your own"):
        push(run, None, "bob/model", TOKEN, overwrite=True)
    with pytest.raises(PushError, match="may not write to bob/other"):
        push(run, None, "bob/other", TOKEN)
    assert not hub.repos["bob/model"]["files"] and "bob/other" not in hub.repos


@pytest.mark.parametrize(
    "name", ["model", "a/b/c", "", "../x", "ann/..", "ann/a b", "ann/model.git", "ann/" + "x" * 97, "ann/é", None]
)
def test_names_that_no_repository_has(hub, run, name):
    with pytest.raises(PushError, match="expected a repository as owner/name"):
        push(run, None, name, TOKEN)
    assert not hub.requests


@pytest.mark.parametrize("token", ["", "  ", None, "a b", "hf_é", "x\nY: z"])
def test_without_a_usable_token_nothing_is_sent_with_another_one(hub, run, token, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)  # the host's own, which is not the visitor's
    with pytest.raises(PushError, match=r"this needs a token|the token holds blanks"):
        push(run, None, "ann/model", token)
    assert not hub.requests and not hub.repos


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/repos/create", 401, "does not know this token; it may have expired"),
        ("/api/repos/create", 402, "asks for payment"),
        ("/api/repos/create", 403, "this token may not write to ann/model"),
        ("/api/repos/create", 429, "wants fewer requests"),
        ("/api/repos/create", 400, r"refused ann/model with status 400 \(.*no such thing"),
        (
            "/api/models/ann/model/preupload",
            403,
            r"may not write.*ann/model is there, without this",
        ),
        ("/api/models/ann/model/commit", 404, "has no ann/model that this token may see"),
    ],
)
def test_what_the_hub_refuses_is_said_plainly_and_without_the_token(hub, run, path, status, words, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    hub.refusals[path] = (status, f"no such thing as {TOKEN}")
    with pytest.raises(PushError, match=words) as caught:
        push(run, None, "ann/model", TOKEN)
    error = caught.value
    assert error.__context__ is None and error.__cause__ is None
    told = "".join(traceback.format_exception(error)) + repr(vars(error)) + "".join(capfd.readouterr()) + caplog.text
    assert TOKEN not in told


def test_without_a_network(run, tmp_path, monkeypatch):
    with WritableHub({TOKEN: "ann"}) as hub:
        keep_to(hub.url, tmp_path, monkeypatch)
    with pytest.raises(PushError, match=r"cannot be reached \(\w+\); check the network"):
        push(run, None, "ann/model", TOKEN)


def test_offline_by_choice(hub, run, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PushError, match="HF_HUB_OFFLINE is set, so nothing is sent"):
        push(run, None, "ann/model", TOKEN)
    assert not hub.repos


def test_a_run_without_a_checkpoint_touches_nothing(hub, tmp_path):
    run = write_run(Runs(tmp_path / "runs"), "new", checkpoints=())
    with pytest.raises(RunError, match="has no checkpoint yet"):
        push(run, None, "ann/model", TOKEN)
    assert not hub.requests


def test_claim_alone_makes_the_repository(hub):
    claim("ann/model", TOKEN, private=False)
    assert hub.repos == {"ann/model": {"private": False, "files": {}}}
    with pytest.raises(PushError, match="exists already"):
        claim("ann/model", TOKEN)
    claim("ann/model", TOKEN, overwrite=True)


# -- the command line


def test_push_from_a_terminal(hub, run, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert cli.main(["push", str(run.path), "--repo", "ann/model", "--checkpoint", "40", "--public"]) == 0
    assert capsys.readouterr().out == f"{hub.url}/ann/model\n"
    assert not hub.repos["ann/model"]["private"]
    assert cli.main(["push", str(run.path), "--repo", "ann/model"]) == 2
    assert "ann/model exists already" in capsys.readouterr().err
    assert cli.main(["push", str(run.path), "--repo", "ann/model", "--overwrite"]) == 0
    monkeypatch.delenv("HF_TOKEN")
    assert cli.main(["push", str(run.path), "--repo", "ann/other"]) == 2
    said = capsys.readouterr().err
    assert "this needs a token: log in, run `hf auth login`, or set HF_TOKEN" in said and TOKEN not in said
