"""Picture and model over a reload, which Gradio does by itself when a lost connection is back."""

import json
from pathlib import Path

import pytest

from tests.explorer.page.whole_page import resize, seen_anew, seq, upload_own, wait_for
from vit_model import VisionTransformer, ViTConfig, save_model

KEPT = "JSON.parse(sessionStorage.getItem('vit_explorer_kept'))"


@pytest.fixture
def page(open_page, served):
    page = open_page(served)
    page.wait_for_selector("#attention [data-state=ready]")
    return page


def with_photograph(page, photograph, name="mine.jpg"):
    given = {"name": name, "mimeType": "image/jpeg", "buffer": photograph}
    return seen_anew(page, lambda: page.locator("#picture input[type=file]").first.set_input_files(given))


def test_picture_and_size_are_there_again_when_a_lost_connection_is_back(page, photograph):
    with_photograph(page, photograph)
    sized = seen_anew(page, lambda: resize(page, "128"))
    page.wait_for_function(f"{KEPT}.model?.[1] === '128'")
    page.evaluate("window.before = true")
    page.context.set_offline(True)
    page.locator("#tab-rollout-button").click()
    page.get_by_text("Connection to the server was lost").first.wait_for()
    page.context.set_offline(False)
    page.wait_for_function("!window.before")
    wait_for(page, sized)
    assert page.locator("#size input").input_value() == "128"


def test_an_uploaded_checkpoint_is_there_again(page, tmp_path):
    shape = {"image_size": 16, "patch_size": 4, "width": 16, "depth": 2, "heads": 2, "mlp_width": 32, "classes": 3}
    save_model(VisionTransformer(ViTConfig(**shape)).eval(), tmp_path)
    upload_own(page, *(tmp_path / name for name in ("model.safetensors", "config.json", "preprocessor_config.json")))
    loaded = seen_anew(page, page.locator("#own-load").click)
    page.wait_for_function(f"{KEPT}.way === 'own'")
    page.reload()
    wait_for(page, loaded)
    assert "4x4 grid" in page.locator("#model-card").inner_text()


def test_a_picture_that_is_gone_and_a_new_page_begin_with_the_example(page, open_page, served, photograph):
    example = seq(page)
    with_photograph(page, photograph[:-2] + b"\0\xff\xd9", "gone.jpg")  # another file than that of other tests
    Path(page.evaluate(KEPT)["picture"]["path"]).unlink()
    page.reload()
    wait_for(page, example)
    with_photograph(page, photograph)
    new = open_page(served)
    wait_for(new, example)
    assert "mine.jpg" not in json.dumps(new.evaluate("window.vitKept.before"))


def test_another_language_keeps_picture_tab_and_address(page, photograph):
    mine = with_photograph(page, photograph)
    page.evaluate("history.replaceState(null, '', '?lang=en&other=1')")
    page.locator("#tab-rollout-button").click()
    page.wait_for_selector("#rollout [data-state=ready]")
    page.locator("#header a.language").click()
    page.get_by_role("tab", name="注意力展开", selected=True).wait_for()
    wait_for(page, mine)
    assert page.evaluate("location.search") == "?other=1"
