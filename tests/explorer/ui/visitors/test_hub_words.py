"""What a page says of a model that it cannot fetch: to its owner, and to visitors of a page that is for others."""

import socket
from types import SimpleNamespace

import gradio as gr
import huggingface_hub
import pytest

from explorer.ui.errors import reason_of
from explorer.ui.model_picker import ModelPicker
from explorer.ui.words import TEXT
from tests.vit_model.checkpoints.hub_server import HubServer, keep_to, point_to
from vit_model.checkpoints import hub
from vit_model.errors import HubError

FAULTS = ("missing", "gated", "revision", "no_weights", "too_large", "no_room", "busy", "token", "unreached", "strange")


@pytest.fixture
def fails(tmp_path, monkeypatch):
    """fault -> what to choose on the page for it to happen."""
    with HubServer({"owner/gated": {"model.safetensors": b"x" * 9}, "owner/bare": {"README.md": b"x"}}) as server:
        keep_to(server.url, tmp_path / "cache", monkeypatch)
        huggingface_hub.close_session()

        def fault(name):
            if name == "gated":
                server.refusals["/owner/gated/resolve"] = (403, "GatedRepo", "restricted")
            elif name == "no_room":
                monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
            elif name == "too_large":
                monkeypatch.setattr(hub.download, "__defaults__", ("main", None, 5))
            elif name == "busy":
                server.refusals["/api/models"] = (500, "", "fault")
            elif name == "token":
                server.refusals["/api/models"] = (401, "", "no")
            elif name == "strange":
                monkeypatch.setattr(hub.HfApi, "model_info", lambda *_, **__: SimpleNamespace(sha="x", siblings=None))
            elif name == "unreached":
                with socket.socket() as unused:
                    unused.bind(("127.0.0.1", 0))
                    point_to(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)
            names = {"missing": "owner/none", "revision": "owner/gated@v9", "no_weights": "owner/bare"}
            return names.get(name, "owner/gated")

        yield fault
    huggingface_hub.close_session()


def asking(language):
    request = gr.Request()
    headers = {"host": "127.0.0.1:7860", "accept-language": language}
    request.request = SimpleNamespace(client=SimpleNamespace(host="127.0.0.1"), headers=headers, cookies={})
    return request


def refused(name, request, local_paths):
    with gr.Blocks():
        picker = ModelPicker("bundled", local_paths=local_paths)
    with pytest.raises(gr.Error) as raised:
        picker._by_name(request, name, "native", gr.Progress())
    return raised.value


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("fault", FAULTS)
def test_visitors_read_nothing_of_the_hosts_folders_and_settings(fails, fault, language, tmp_path):
    error = refused(fails(fault), asking(language), local_paths=False)
    found = error.__cause__.__cause__
    assert isinstance(found, HubError)
    assert found.__cause__ is not found
    said = error.message
    assert str(tmp_path) not in said
    for word in ("HF_", "FOLDER", "cache", "缓存", "{"):
        assert word not in said
    assert said.isascii() == (language == "en")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_owner_reads_the_cause_in_both_languages(fails, fault):
    name = fails(fault)
    english, chinese = (refused(name, asking(language), local_paths=True) for language in ("en", "zh"))
    assert str(english.__cause__.__cause__) in english.message.replace("&lt;", "<")
    assert TEXT["en"]["hub_folder"] in english.message
    reason = reason_of(chinese.__cause__.__cause__, "zh")
    assert reason in chinese.message
    assert not reason.isascii()
    assert "{" not in reason
    assert TEXT["zh"]["hub_folder"] in chinese.message
