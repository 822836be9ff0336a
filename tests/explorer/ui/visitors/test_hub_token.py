"""Whose token a page asks the Hub with: the host's for the host, a visitor's own for the visitor, else none."""

import time
from types import SimpleNamespace

import gradio as gr
import huggingface_hub
import pytest

from explorer.session import scenes as session
from explorer.session.scenes import ModelChoice, get_model
from explorer.ui.model_picker import ModelPicker
from explorer.ui.visitors.hub_token import ALLOWED, token_for
from tests.vit_model.checkpoints.hub_server import HubServer, keep_to
from vit_model.checkpoints import hub_access, zoo

HOST, OWN = "hf_thehostsowntoken", "hf_somevisitorstoken"
SECRET = "owner/secret"


def visitor(token=None, expires=3600.0, **headers):
    """Of a page for others, logged in where there is a token."""
    info = {"access_token": token, "expires_at": time.time() + expires, "userinfo": {"preferred_username": "ann"}}
    scope = {"session": {"oauth_info": info} if token else {}}
    request = gr.Request()
    request.request = SimpleNamespace(headers=headers, cookies={}, scope=scope, session_hash="s")
    return request


def host():
    """At the computer itself."""
    request = visitor(host="127.0.0.1:7860")
    request.request.client = SimpleNamespace(host="127.0.0.1")
    return request


@pytest.fixture
def server(tmp_path, monkeypatch):
    files = {file.name: file.read_bytes() for file in zoo.fetch("bundled").iterdir() if file.suffix != ".md"}
    with HubServer({SECRET: files}, private={SECRET: HOST}) as server:
        keep_to(server.url, tmp_path, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", HOST)
        monkeypatch.delenv(ALLOWED, raising=False)
        monkeypatch.setattr(hub_access, "_granted", {})
        monkeypatch.setattr(session, "_MODELS", session.ByteCache(2**30, 3600, session._model_bytes))
        huggingface_hub.close_session()
        yield server
    huggingface_hub.close_session()


@pytest.fixture
def space(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "owner/space")


def opened(name, request, local_paths=False, model="bundled"):
    with gr.Blocks():
        picker = ModelPicker(model, local_paths)
    return picker._by_name(request, name, "native", gr.Progress())


def test_the_hosts_token_fetches_nothing_that_a_visitor_names(server):
    with pytest.raises(gr.Error):
        opened(SECRET, visitor())
    assert {request.authorization for request in server.requests} == {None}


def test_through_a_proxy_to_loopback_it_is_a_visitor_who_asks(server):
    asking = host()
    asking.request.headers["x-forwarded-for"] = "203.0.113.9"
    with pytest.raises(gr.Error):
        opened(SECRET, asking, local_paths=True)
    assert {request.authorization for request in server.requests} == {None}


def test_a_model_that_the_host_has_loaded_stays_the_hosts(server):
    assert opened(SECRET, host(), local_paths=True).token is None
    with pytest.raises(gr.Error):
        opened(SECRET, visitor())
    with pytest.raises(ValueError):
        get_model(ModelChoice(f"hf-hub:{SECRET}", SECRET))


def test_a_visitors_login_opens_their_own_and_the_next_visitor_does_not_get_it(server, space):
    server.private[SECRET] = OWN
    chosen = opened(SECRET, visitor(OWN))
    assert get_model(chosen).labels
    assert OWN not in repr(chosen)
    for other in (visitor(), visitor(OWN, expires=-1.0)):
        with pytest.raises(gr.Error):
            opened(SECRET, other)
    assert f"Bearer {HOST}" not in {request.authorization for request in server.requests}


def test_another_size_keeps_the_rights_that_the_model_came_with(server, space):
    server.private[SECRET] = OWN
    with gr.Blocks():
        picker = ModelPicker("bundled", False)
    chosen = picker._by_name(visitor(OWN), SECRET, "native", gr.Progress())
    sized = picker._resized(visitor(OWN), chosen, SECRET, "64", gr.Progress())
    assert sized.size == (64, 64) and sized.token == OWN
    with pytest.raises(gr.Error):
        picker._resized(visitor(), chosen, SECRET, "64", gr.Progress())


def test_the_model_that_the_host_opens_the_page_with_is_for_all(server):
    assert opened(SECRET, visitor(), model=SECRET).token is None


@pytest.mark.parametrize(
    ("listed", "opens"),
    [("", False), ("owner/secret", True), ("a/b, owner/ ", True), ("owner", False), ("owner/sec", False), (",", False)],
)
def test_the_hosts_list_names_repositories_or_owners(listed, opens, monkeypatch):
    monkeypatch.setenv(ALLOWED, listed)
    assert (token_for("owner/secret@main", visitor(), host=False) is None) is opens
    assert token_for("owners/secret", visitor(), host=False) is False


def test_a_login_counts_on_a_space_alone(monkeypatch):
    """Elsewhere Gradio makes one up from the host's own token."""
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert token_for(SECRET, visitor(OWN), host=False) is False


def test_on_a_space_visitors_read_that_a_login_helps(server, space):
    with pytest.raises(gr.Error, match="log in first"):
        opened(SECRET, visitor())
    with pytest.raises(gr.Error) as raised:
        opened(SECRET, visitor(OWN))
    assert "log in" not in str(raised.value)
