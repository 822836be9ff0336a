"""What the page's boxes say is what is in use; and small things that everybody meets: names, lists, contrast."""

import json

import pytest

import app
from explorer.page.page import build_page
from explorer.tabs.explain.view import ExplainViewer
from explorer.ui.words import TEXT
from explorer.viewer import AttentionViewer
from tests.explorer.page.whole_page import at_home, load_own, resize, seen_anew, seq, without_messages
from vit_model import VisionTransformer, ViTConfig, save_model

FAINT = """() => { // texts with less contrast to what is behind them than WCAG's AA asks
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const bytes = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = (byte) => (byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const faint = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), node = texts.currentNode.parentElement;
    if (!text || node.disabled || node instanceof SVGElement) continue;
    if (!node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
    let behind = node;
    while (behind && bytes(getComputedStyle(behind).backgroundColor)[3] < 250) behind = behind.parentElement;
    const paper = behind ? bytes(getComputedStyle(behind).backgroundColor) : [255, 255, 255];
    const [dark, light] = [luminance(bytes(getComputedStyle(node).color)), luminance(paper)].sort((a, b) => a - b);
    if ((light + 0.05) / (dark + 0.05) < 4.5) faint.push(text);
  }
  return faint;
}"""


@pytest.fixture
def page(kept_page, served):
    return at_home(kept_page(served))


def picture_file(page):
    return page.locator("#picture img").first.get_attribute("src")


def told(page):
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    return toast.inner_text()


def test_the_boxes_of_the_model_say_what_is_in_use(page, tmp_path):
    model, size = page.locator("#model input"), page.locator("#size input")
    resize(page, "97")
    assert "97x97" in told(page)
    page.wait_for_function("document.querySelector('#size input')?.value === 'native'")
    without_messages(page)
    shape = {"image_size": 16, "patch_size": 4, "width": 16, "depth": 2, "heads": 2, "mlp_width": 32, "classes": 3}
    save_model(VisionTransformer(ViTConfig(**shape)).eval(), tmp_path / "mine")
    seen_anew(page, lambda: load_own(page, tmp_path / "mine"))
    assert model.input_value() == str(tmp_path / "mine")
    assert size.input_value() == "native"


def test_a_picture_that_is_refused_gives_way_to_the_one_before(page):
    before, seen = picture_file(page), seq(page)
    bad = {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.locator("#picture input[type=file]").first.set_input_files(bad)
    assert len(told(page)) > 30
    page.wait_for_function(
        "before => document.querySelector('#picture img')?.getAttribute('src') === before", arg=before
    )
    without_messages(page)
    page.locator("#tab-positions-button").click()
    page.wait_for_selector("#positions [data-state=ready], #positions [data-state=complete]")
    assert seq(page) == seen
    assert not page.locator("[data-testid=toast-text]").count(), "the same message again, in another tab"


def test_numbers_of_another_tab_or_picture_are_not_offered(page):
    offered = page.locator("#saved-npz a[href*='vit-explorer-attention']").first
    page.locator("#save-npz").click()
    offered.wait_for()
    page.locator("#tab-rollout-button").click()
    offered.wait_for(state="detached")
    page.locator("#tab-attention-button").click()
    page.locator("#save-npz").click()
    offered.wait_for()
    seen_anew(page, lambda: page.locator("#examples button.gallery-item").nth(1).click())
    offered.wait_for(state="detached")


def test_a_list_closes_when_the_keyboard_leaves_it(page):
    page.locator("#model input").focus()
    page.locator("ul.option-list").wait_for()
    page.wait_for_timeout(500)  # the list comes again, with the visitor's runs
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.closest('#size')")
    page.wait_for_function("document.querySelectorAll('ul.option-list').length === 1")
    page.keyboard.press("Tab")
    page.locator("ul.option-list").wait_for(state="detached")
    assert page.evaluate("document.activeElement !== document.body")


def test_examples_have_names(page):
    names = [button.get_attribute("aria-label") for button in page.locator("#examples button.gallery-item").all()]
    assert names[0] == "a parachute, drawn"
    assert len(set(names)) == len(names)
    assert all(names)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("d => document.body.classList.contains('dark') === d", arg=scheme == "dark")
    for tab in ("patches", "attention", "figures", "train"):
        page.locator(f"#tab-{tab}-button").click()
        page.get_by_role("tab", name=TEXT["en"][f"tab_{tab}"], selected=True).wait_for()
        page.wait_for_timeout(300)  # colours of a tab that was chosen fade in
        assert page.evaluate(FAINT) == [], tab
    page.emulate_media(color_scheme="light")


def test_a_page_that_opens_with_what_cannot_be_loaded_says_so_until_something_can(open_page, tmp_path):
    demo = build_page(str(tmp_path / "none"), local_paths=True)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        page = open_page(url)
        not_made(page, "attention", AttentionViewer)
        page.locator("#tab-explain-button").click()
        not_made(page, "explain", ExplainViewer)
        load_own(page, "bundled")
        for tab in ("explain", "attention"):
            page.locator(f"#tab-{tab}-button").click()
            page.wait_for_selector(f"#{tab} [data-state=ready]")
    finally:
        demo.close()


def not_made(page, tab, viewer):
    """The tab's viewer says, below a message, that there is nothing to show; the message is closed."""
    page.locator("[data-testid=toast-text]").first.wait_for()
    said = page.locator(f"#{tab} [data-part=message]").get_by_text("Nothing to show")
    said.wait_for()
    assert said.inner_text() == json.loads(viewer.strings())["en"]["not_made"]
    without_messages(page)
