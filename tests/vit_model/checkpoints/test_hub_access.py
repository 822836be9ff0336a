"""Whoever is not the host gets of the Hub, and of what is cached of it, what the Hub shows to them and nothing more."""

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.vit_model.checkpoints.hub_server import HubServer, keep_to
from vit_model.checkpoints import hub, hub_access, zoo
from vit_model.errors import (
    DownloadTooLargeError,
    GatedRepositoryError,
    HubError,
    OfflineError,
    RepositoryNotFoundError,
)

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
HOST, OWN = "hf_thehostsowntoken", "hf_somevisitorstoken"
SECRET, GATED, PUBLIC = "owner/secret", "owner/gated", "owner/open"


@pytest.fixture
def server(tmp_path, monkeypatch):
    repositories = dict.fromkeys((SECRET, GATED, PUBLIC), FILES)
    with HubServer(repositories, private={SECRET: HOST}, gated={GATED: HOST}) as server:
        keep_to(server.url, tmp_path, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", HOST)
        monkeypatch.setattr(hub_access, "_granted", {})
        huggingface_hub.close_session()
        yield server
    huggingface_hub.close_session()


def sent(server):
    return {request.authorization for request in server.requests}


@pytest.mark.parametrize("kept", ["environment", "file"])
def test_the_hosts_token_is_not_sent_for_a_visitor(server, kept, tmp_path, monkeypatch):
    if kept == "file":  # as `hf auth login` leaves it
        monkeypatch.delenv("HF_TOKEN")
        (tmp_path / "token").write_text(HOST)
    zoo.fetch(PUBLIC, token=False)
    assert sent(server) == {None}
    with pytest.raises(RepositoryNotFoundError):
        zoo.fetch(SECRET, token=False)
    assert sent(server) == {None}
    zoo.fetch(SECRET)
    assert f"Bearer {HOST}" in sent(server)


@pytest.mark.parametrize(("name", "fault"), [(SECRET, RepositoryNotFoundError), (GATED, GatedRepositoryError)])
@pytest.mark.parametrize("token", [False, OWN])
def test_what_the_host_has_cached_is_not_handed_to_who_may_not_have_it(server, name, fault, token):
    zoo.fetch(name)
    with pytest.raises(fault):
        zoo.fetch(name, token=token)
    with pytest.raises(fault):
        zoo.check_access(name, token)


def test_a_visitors_own_login_opens_what_is_theirs_and_for_nobody_else(server):
    server.private[SECRET] = server.gated[GATED] = OWN
    for name in (SECRET, GATED):
        folder = zoo.fetch(name, token=OWN)
        assert (folder / "model.safetensors").read_bytes() == b"weights"
        zoo.check_access(name, OWN)
        for other in (False, "hf_anothertoken"):
            with pytest.raises(HubError):
                zoo.check_access(name, other)
    assert f"Bearer {HOST}" not in sent(server)


def test_a_public_model_is_asked_for_once_and_then_for_everybody(server):
    zoo.fetch(PUBLIC, token=False)
    asked = len(server.requests)
    for token in (False, OWN, None):
        zoo.check_access(PUBLIC, token)
    assert len(server.requests) == asked


def test_without_a_network_visitors_get_what_is_known_to_be_public(server, monkeypatch):
    for name in (SECRET, GATED, PUBLIC):
        zoo.fetch(name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_access, "_granted", {})
    assert zoo.fetch(PUBLIC, token=False).is_dir()
    for name in (SECRET, GATED):
        assert zoo.fetch(name).is_dir(), "the host's own cache"
        with pytest.raises(OfflineError):
            zoo.fetch(name, token=False)
    assert zoo.fetch(PUBLIC, token=False).is_dir(), "the host's own use takes nothing back"


def test_a_model_that_became_private_is_closed_also_without_a_network(server, monkeypatch):
    zoo.fetch(PUBLIC, token=False)
    server.private[PUBLIC] = HOST
    with pytest.raises(RepositoryNotFoundError):
        zoo.fetch(PUBLIC, token=False)
    with pytest.raises(RepositoryNotFoundError):
        zoo.check_access(PUBLIC, False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError):
        zoo.fetch(PUBLIC, token=False)


def test_a_version_without_weights_does_not_open_the_others(server):
    server.models[GATED] = {"README.md": b"# Gated"}
    with pytest.raises(HubError, match=r"found README\.md"):
        zoo.fetch(GATED, token=False)
    server.models[GATED] = FILES
    with pytest.raises(GatedRepositoryError):
        zoo.check_access(GATED, False)


def test_what_was_granted_ends(server, monkeypatch):
    server.private[SECRET] = OWN
    zoo.fetch(SECRET, token=OWN)
    assert hub_access.granted(SECRET, OWN)
    monkeypatch.setattr(hub_access, "_granted", dict.fromkeys(hub_access._granted, hub_access.time.monotonic() - 1))
    server.private[SECRET] = HOST
    with pytest.raises(RepositoryNotFoundError):
        zoo.check_access(SECRET, OWN)
    assert hub.cached_folder(SECRET) is not None


def test_one_visitor_brings_no_download_of_any_size(server, monkeypatch):
    monkeypatch.setattr(hub_access, "VISITOR_BYTES", 5)
    with pytest.raises(DownloadTooLargeError):
        zoo.fetch(PUBLIC, token=False)
    assert zoo.fetch(PUBLIC).is_dir(), "the host's own"
    assert zoo.fetch(PUBLIC, token=False).is_dir(), "nothing is left to download"
