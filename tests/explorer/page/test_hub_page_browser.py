"""Models from a Hub, chosen on the page in a real Chromium; the Hub is a small one on this machine."""

import shutil
import socket

import huggingface_hub
import pytest

from explorer.ui.words import TEXT
from tests.explorer.page.whole_page import at_home, load_own, resize, seen_anew
from tests.vit_model.checkpoints.hub_server import HubServer, keep_to, point_to
from vit_model import VisionTransformer, ViTConfig, save_model

NAMES = ("english", "chinese", "gated", "large", "unreached", "sized", "late", "unwanted")
MODELS = tuple(f"owner/{name}" for name in NAMES)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model of 6.5 MB with the labels "cat" and "dog"."""
    folder = tmp_path_factory.mktemp("model")
    config = ViTConfig(image_size=32, patch_size=8, width=256, depth=2, heads=4, mlp_width=1024, classes=2)
    save_model(VisionTransformer(config, labels=["cat", "dog"]).eval(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def hub(files, tmp_path, monkeypatch):
    """The page's server runs in this process, so what huggingface_hub reads here is what it reads there."""
    with HubServer(dict.fromkeys(MODELS, files)) as hub:
        keep_to(hub.url, tmp_path, monkeypatch)
        huggingface_hub.close_session()
        yield hub
    huggingface_hub.close_session()


@pytest.fixture
def page(kept_page, served):
    return at_home(kept_page(served))


def choose(page, name):
    box = page.locator("#model input")
    box.click()  # nothing may lie over it
    box.fill(name)
    box.press("Enter")


def results(page):
    """What says which results are on the page: prediction and model in one line, and the viewer's numbers."""
    bar, card = page.locator("#scene-bar .scene-bar"), page.locator("#model-card")
    return bar.get_attribute("data-seq"), bar.inner_text(), card.inner_text()


def refusal(page, name):
    """The message after choosing `name`, which has left the earlier results as they were and the chooser open to the
    next attempt."""
    before, toasts = results(page), page.locator("[data-testid=toast-text]")
    choose(page, name)
    toasts.first.wait_for()
    said = toasts.last.inner_text()
    assert toasts.locator("*:not(p, br)").count() == 0, "a message is text"
    page.locator("[data-testid=toast-close]").click()
    toasts.first.wait_for(state="detached")
    assert results(page) == before
    page.locator("#attention [data-state=ready]").wait_for()
    assert page.locator("#model input").input_value() == name
    page.locator("#model input").click(trial=True)
    return said


@pytest.mark.parametrize(
    ("language", "model", "progress"),
    [
        ("en-GB", "owner/english", "Downloading model.safetensors: 3.1 of 6.5 MB"),
        ("zh-CN", "owner/chinese", "正在下载 model.safetensors：3.1 / 6.5 MB"),
    ],
)
def test_a_model_of_the_hub_is_downloaded_in_sight_and_explored(kept_page, served, hub, language, model, progress):
    hub.stop_after["model.safetensors"] = 3 * 2**20 + 1000
    page = at_home(kept_page(served, locale=language))
    choose(page, model)
    said = page.locator("#model").get_by_text(progress)
    said.wait_for()
    assert said.evaluate(
        "e => { const {x, y, width, height} = e.getBoundingClientRect();"
        " return e.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }"
    ), "nothing covers it"
    hub.go_on.set()
    page.wait_for_function(f"document.querySelector('#model-card')?.innerText.includes('{model}')")
    assert "4x4" in page.locator("#model-card").inner_text()
    page.wait_for_function("document.querySelector('#scene-bar .label')?.innerText.match(/^(cat|dog)$/)")
    page.wait_for_selector("#attention [data-state=ready]")
    page.wait_for_function("window.vitStates.attention.layer === 1")
    assert hub.fetched().count("model.safetensors") == 1
    assert page.locator("#model [data-testid=block-info]").is_visible()


def chosen_but_on_its_way(page, hub, name):
    hub.stop_after["model.safetensors"] = 3 * 2**20 + 1000
    choose(page, name)
    page.locator("#model").get_by_text("Downloading model.safetensors").wait_for()


def test_a_size_chosen_during_a_download_is_for_the_model_that_comes(page, hub):
    chosen_but_on_its_way(page, hub, "owner/sized")
    resize(page, "64")
    page.wait_for_timeout(1500)
    assert "bundled" in page.locator("#model-card").inner_text(), "not for the one before"
    hub.go_on.set()
    page.wait_for_function("/owner.sized.*8x8 grid/s.test(document.querySelector('#model-card')?.innerText)")
    page.wait_for_timeout(1500)
    assert "8x8 grid" in page.locator("#model-card").inner_text()
    assert hub.fetched().count("model.safetensors") == 1


def test_a_download_that_ends_after_another_choice_changes_nothing(page, hub, tmp_path):
    config = ViTConfig(image_size=32, patch_size=16, width=12, depth=2, heads=2, mlp_width=24, classes=2)
    save_model(VisionTransformer(config), tmp_path / "mine")
    chosen_but_on_its_way(page, hub, "owner/late")
    seen_anew(page, lambda: load_own(page, tmp_path / "mine"))
    hub.go_on.set()
    page.wait_for_timeout(2500)
    assert "2x2 grid" in page.locator("#model-card").inner_text()
    assert page.locator("#model input").input_value() == str(tmp_path / "mine")


def test_nobody_waits_for_the_download_of_a_model_that_they_no_longer_want(page, hub):
    chosen_but_on_its_way(page, hub, "owner/unwanted")
    choose(page, "owner/nothing")
    page.locator("[data-testid=toast-text]").get_by_text("has no model 'owner/nothing'").wait_for()
    page.locator("[data-testid=toast-close]").click()
    choose(page, "bundled")
    page.wait_for_timeout(1500)
    hub.go_on.set()
    page.wait_for_timeout(2500)
    assert "bundled" in page.locator("#model-card").inner_text()
    assert page.locator("#model input").input_value().startswith("Bundled")


def test_an_id_that_does_not_exist(page, hub):
    said = refusal(page, "owner/nothing")
    assert f"{hub.url} has no model 'owner/nothing', or it is private; check the spelling" in said
    assert TEXT["en"]["hub_folder"] in said


def test_a_gated_model(page, hub):
    hub.refusals["/owner/gated/resolve"] = (403, "GatedRepo", "Access to model owner/gated is restricted")
    said = refusal(page, "owner/gated")
    assert f"owner/gated is gated: accept its licence on {hub.url}/owner/gated" in said
    assert '"hf download owner/gated --local-dir FOLDER"' in said
    assert TEXT["en"]["hub_folder"] in said


def test_a_hub_that_is_gone(page, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        point_to(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)
        said = refusal(page, "owner/unreached")
    assert "cannot be reached" in said
    assert '"hf download owner/unreached --local-dir FOLDER"' in said
    assert TEXT["en"]["hub_folder"] in said


def test_a_disk_without_room(page, hub, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    said = refusal(page, "owner/large")
    assert "owner/large needs 6.5 MB" in said
    assert "has 1.0 MB free; make room" in said
    assert '"hf download owner/large --local-dir FOLDER"' in said
    assert hub.fetched() == []


def test_a_refusal_in_chinese_says_in_chinese_what_to_do(kept_page, served, monkeypatch):
    page = at_home(kept_page(served, locale="zh-CN"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        point_to(f"http://127.0.0.1:{unused.getsockname()[1]}", monkeypatch)
        said = refusal(page, "owner/unreached")
    assert "未能完成" in said
    assert TEXT["zh"]["hub_folder"] in said


def test_names_that_are_no_hub_id(page, hub):
    for name in ("my-model", "/etc/hostname", "../../nowhere/passwd", "<img src=x onerror=alert(1)>"):
        said = refusal(page, name)
        assert f'"{name}" is not the name of a model' in said
        assert "owner/name" in said
    assert hub.requests == []


def test_an_emptied_chooser_is_answered_in_words(page, hub):
    page.locator("#model input").fill("")
    page.locator("#model input").press("Tab")
    assert '"" is not the name of a model' in page.locator("[data-testid=toast-text]").inner_text()
    assert hub.requests == []
