"""The Compare tab in a real Chromium: two methods, two pictures, two models."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from explorer.figures.export import load_npz
from explorer.session.explaining import explained
from explorer.tabs.compare import tab as compare
from explorer.ui.events.stale_work import CURRENT_WORK
from tests.explorer.page.whole_page import unfold, without_messages
from vit_model import VisionTransformer, ViTConfig, save_model


@pytest.fixture
def page(kept_page, served):
    page = kept_page(served)
    page.set_default_timeout(40_000)
    page.wait_for_selector("#attention [data-state=ready]", state="attached")
    page.get_by_role("tab", name="Compare", exact=True).click()
    ready(page, 1)
    as_it_opens(page)
    return page


def as_it_opens(page):
    """Two methods, rollout and relevance of the predicted class, whatever the test before has chosen."""
    without_messages(page)
    if page.locator("#compare-picture img").count():
        changed(page, lambda: remove_picture(page))
    if not page.locator("#compare-kind input[value=method]").is_checked():
        changed(page, lambda: page.locator("#compare-kind input[value=method]").check())
    for side, name in (("a", "Rollout"), ("b", "Relevance")):
        if page.locator(f"#compare-map-{side} input").input_value() != name:
            changed(page, lambda side=side, name=name: choose(page, side, name))
    if page.locator("#compare-class input").input_value():
        page.locator("#compare-class input").fill("")
        changed(page, lambda: page.locator("#compare-class input").press("Tab"))
    assert caption(page, "a").startswith("A: Rollout")
    assert caption(page, "b").startswith("B: Relevance · parachute")


def remove_picture(page):
    page.locator("#compare-picture").get_by_role("button", name="Remove Image").click()


def changed(page, act):
    """Do something, and wait for the comparison that comes of it."""
    before = seq(page)
    act()
    ready(page, before + 1)


def choose(page, side, name):
    page.locator(f"#compare-map-{side} input").click()
    page.get_by_role("option", name=name, exact=True).click()


def named(page, text):
    """Types a class and leaves the field."""
    page.locator("#compare-class input").fill(text)
    page.locator("#compare-class input").press("Enter")


def ready(page, least):
    """Until the comparison of at least this number is drawn."""
    page.wait_for_function(
        """least => { const root = document.querySelector("#compare [data-part=root]");
        return root && root.dataset.state === "ready" && Number(root.dataset.seq) >= least; }""",
        arg=least,
    )


def seq(page):
    return int(page.locator("#compare [data-part=root]").get_attribute("data-seq"))


def caption(page, side):
    return page.locator(f"#compare [data-side={side}] figcaption").inner_text()


def test_two_methods(page):
    assert caption(page, "a").startswith("A: Rollout")
    assert caption(page, "b").startswith("B: Relevance · parachute")
    assert "one map for the picture" in caption(page, "b")
    changed(page, lambda: choose(page, "b", "Input × gradient"))
    assert caption(page, "b").startswith("B: Input × gradient")
    assert "only the method differs" in page.locator("#compare-prediction-b").inner_text()


def upload(page, name, kind, data):
    file = {"name": name, "mimeType": kind, "buffer": data}
    page.locator("#compare-picture input[type=file]").first.set_input_files(file)


def test_two_pictures_and_what_is_saved(page, photograph):
    changed(page, lambda: page.get_by_label("pictures", exact=True).check())
    assert "Upload another picture" in page.locator("#compare-prediction-b").inner_text()
    changed(page, lambda: upload(page, "photo.jpg", "image/jpeg", photograph))
    page.wait_for_function("!document.querySelector('#compare-prediction-b').innerText.includes('Upload')")
    with page.expect_download() as download:
        page.locator("#save-npz").click()
        page.locator("#saved-npz a").first.click()
    arrays, manifest = load_npz(download.value.path())
    assert arrays["map_a"].shape == arrays["map_b"].shape
    assert arrays["map_a"].shape[1:] == (12, 12)
    assert not np.allclose(arrays["map_a"], arrays["map_b"])
    choices = manifest["choices"]
    assert choices["A"]["picture_sha256"] != choices["B"]["picture_sha256"]


def load_other(page, folder):
    """Another model for side B, by its path."""
    if not page.locator("#compare-own-load").is_visible():
        unfold(page, "#compare-own", "#compare-own-load")
    page.locator("#compare-own-path textarea, #compare-own-path input").fill(str(folder))
    page.locator("#compare-own-load").click()


def test_two_models_with_different_grids(page, tmp_path):
    config = ViTConfig(image_size=64, patch_size=16, width=12, depth=3, heads=2, mlp_width=24, classes=3)
    save_model(VisionTransformer(config, labels=("x", "y", "z")), tmp_path / "other")
    changed(page, lambda: page.get_by_label("models", exact=True).check())
    changed(page, lambda: load_other(page, tmp_path / "other"))
    page.wait_for_selector("#compare-prediction-b [title=z]")
    assert "resampling" in page.locator("#compare [data-part=rule]").inner_text()
    page.wait_for_selector("#compare-prediction-a [title=parachute]")


def test_a_bad_second_picture_is_refused_in_words(page):
    changed(page, lambda: page.get_by_label("pictures", exact=True).check())
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    upload(page, "broken.png", "image/png", buffer.getvalue()[:40])
    page.locator("[data-testid=toast-text]").last.wait_for()
    page.locator("#compare [data-state=ready]").wait_for()
    remove_picture(page)  # which changes nothing: it was never shown


def test_maps_for_a_choice_that_is_no_more_leave_those_in_sight(page, monkeypatch):
    monkeypatch.setattr(CURRENT_WORK, "run", lambda asker, of, steps: _stale())
    choose(page, "b", "Grad-CAM")
    page.wait_for_timeout(2500)
    assert caption(page, "b").startswith("B: Relevance")
    assert page.locator("#compare [data-state=ready]").is_visible()


def _stale():
    return "stale"
    yield


def test_a_class_by_name_and_one_that_is_not_there(page):
    changed(page, lambda: named(page, "church"))
    assert caption(page, "b").startswith("B: Relevance · church")
    changed(page, lambda: named(page, "<b>nothing"))
    assert "Shown instead: the predicted class" in caption(page, "b")
    assert caption(page, "b").startswith("B: Relevance · parachute")


def test_without_a_head_there_is_rollout_and_why(page, tmp_path):
    config = ViTConfig(image_size=32, patch_size=16, width=12, depth=2, heads=2, mlp_width=24, classes=0)
    save_model(VisionTransformer(config), tmp_path / "headless")
    changed(page, lambda: page.get_by_label("models", exact=True).check())
    changed(page, lambda: choose(page, "a", "Relevance"))
    changed(page, lambda: load_other(page, tmp_path / "headless"))
    assert "this model has no head: rollout in its place" in caption(page, "b")
    assert "Relevance" in caption(page, "a")
    assert page.locator("[data-testid=toast-text]").count() == 0


def slowly(let_go):
    """An `explained` whose occlusion is of 600 passes, of which the last ones come when it is let go."""

    def slow(scene, method, target, progress=None, **choices):
        if method != "occlusion":  # asked for before the test has put back the real one
            return explained(scene, method, target)
        done = 0
        while not let_go.wait(0.05):
            progress(min(done := done + 1, 599), 600)
        return explained(scene, "relevance", target)

    return slow


def test_a_slow_map_can_be_stopped(page, monkeypatch):
    slow = slowly(threading.Event())
    monkeypatch.setattr(compare, "explained", slow)
    before = seq(page)
    choose(page, "b", "Occlusion")
    page.locator("#compare-work").get_by_text("of 600 passes").wait_for()
    assert caption(page, "b").startswith("B: Relevance")  # what was there before stays
    page.locator("#compare-work").get_by_role("button", name="Stop").click()
    page.locator("#compare-work").get_by_text("Stopped.").wait_for()
    assert seq(page) == before
    page.get_by_role("tab", name="Attention", exact=True).click()
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.locator("#compare-work").get_by_text("of 600 passes").wait_for()  # opened again it begins again
    page.locator("#compare-work").get_by_role("button", name="Stop").click()
    page.locator("#compare-work").get_by_text("Stopped.").wait_for()
    choose(page, "b", "Grad-CAM")
    monkeypatch.undo()
    ready(page, before + 1)
    assert caption(page, "b").startswith("B: Grad-CAM")
    page.locator("#compare-map-b input").click()
    monkeypatch.setattr(compare, "explained", slow)
    page.get_by_role("option", name="Occlusion", exact=True).click()
    page.locator("#compare-work").get_by_text("of 600 passes").wait_for()
    page.locator("#compare-map-b input").click()
    page.get_by_role("option", name="LeGrad", exact=True).click()  # another choice ends it as well
    monkeypatch.undo()
    page.wait_for_function("document.querySelector('#compare [data-side=b] figcaption')?.innerText.includes('LeGrad')")


def test_naming_the_class_that_is_shown_lets_a_slow_map_come(page, monkeypatch):
    let_go = threading.Event()
    slow = slowly(let_go)
    monkeypatch.setattr(compare, "explained", slow)
    before = seq(page)
    choose(page, "b", "Occlusion")
    page.locator("#compare-work").get_by_text("of 600 passes").wait_for()
    field = page.locator("#compare-class input")
    field.fill("parachute")  # the predicted one: both sides are of it already
    field.press("Enter")
    field.press("Tab")
    page.wait_for_timeout(1500)
    let_go.set()
    ready(page, before + 1)
    assert caption(page, "b").startswith("B: Occlusion")
    page.wait_for_function("!document.querySelector('#compare-work').innerText.includes('passes')")
