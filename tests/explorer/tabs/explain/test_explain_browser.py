"""The Explain tab in a real Chromium: any class or two, every map large, the slow ones, and what is taken away."""

import io
import threading
import time

import pytest
from PIL import Image

from explorer.analysis.explain.methods import METHODS
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.explain import tab
from explorer.ui.examples import example_files
from tests.explorer.page.whole_page import schemes, without_messages

PATIENCE = 60_000


def title(page):
    return page.locator("#explain [data-part=title]").inner_text()


def name_class(page, role, text):
    """Type a class and leave the field, as a person would."""
    field = page.locator(f"#explain-{role} input")
    field.fill(text)
    field.press("Enter")
    field.press("Tab")


@pytest.fixture
def page(kept_page, served):
    """The tab with nothing chosen, whatever the test before has chosen."""
    page = kept_page(served)
    page.set_default_timeout(PATIENCE)
    page.wait_for_selector("#attention [data-state=ready]", state="attached")
    page.get_by_role("tab", name="Explain", exact=True).click()
    page.wait_for_selector("#explain [data-state=ready]")
    without_messages(page)
    page.mouse.move(1, 1)
    for role in ("target", "against"):
        if page.locator(f"#explain-{role} input").input_value():
            before = page.locator("#explain [data-part=root]").get_attribute("data-seq")
            page.locator(f"#explain-{role} input").fill("")
            page.locator(f"#explain-{role} input").press("Tab")
            page.wait_for_function("b => document.querySelector('#explain [data-seq]').dataset.seq !== b", arg=before)
    page.locator("#explain [data-method=relevance].vit-thumb").click()
    page.keyboard.press("Escape")
    page.wait_for_selector("#explain [data-part=root][data-method=relevance]")
    page.locator("#explain [data-part=reading]", has_text="Strongest").wait_for()
    return page


def test_every_method_is_there_for_the_predicted_class_and_opens_large_without_a_request(page):
    share = scene_of(ModelChoice(), str(example_files()[0])).top()[0][1]
    assert title(page) == f"Why “parachute”, the predicted class ({100 * share:.1f}%)"
    assert page.locator("#explain .vit-thumb").count() == len(METHODS)
    page.wait_for_timeout(1500)
    asked = len(page.asked)
    for name in METHODS:
        page.locator(f"#explain [data-method={name}].vit-thumb").click()
        page.wait_for_selector(f"#explain [data-part=root][data-method={name}]")
        assert page.locator("#explain [data-part=about]").inner_text()
        assert page.locator("#explain [data-part=paper]").get_attribute("href").startswith("https://")
    assert not [url for url in page.asked[asked:] if "/queue/" in url]
    page.locator("#explain [data-part=method]").select_option("input-gradient")
    page.wait_for_selector("#explain [data-part=root][data-method=input-gradient]")
    ends = [page.locator(f"#explain [data-part={end}]").inner_text() for end in ("low", "zero", "high")]
    assert ends[0] == f"-{ends[2]}"
    assert ends[1] == "0"


def test_only_the_choices_of_the_method_in_sight_are_shown(page):
    for name, shown in (("legrad", "legrad"), ("grad-cam", "grad-cam"), ("input-gradient", None)):
        page.locator(f"#explain [data-method={name}].vit-thumb").click()
        page.wait_for_selector(f"#explain [data-part=root][data-method={name}]")
        groups = page.locator(".explain-choices")
        seen = [group.get_attribute("id") for group in groups.all() if group.is_visible()]
        assert seen == ([f"explain-of-{shown}"] if shown else [])


def test_another_class_a_contrast_and_a_class_that_does_not_exist(page):
    name_class(page, "target", "church")
    page.wait_for_function("document.querySelector('#explain [data-part=title]')?.innerText.includes('church')")
    name_class(page, "against", "parachute")
    page.wait_for_function("document.querySelector('#explain [data-part=title]')?.innerText.includes('and not')")
    name_class(page, "target", "parashute")
    page.wait_for_selector("#explain [data-part=notice]", state="visible")
    notice = page.locator("#explain [data-part=notice]").inner_text()
    assert "did you mean 'parachute'" in notice
    assert "the predicted class" in notice


@pytest.fixture
def endless(monkeypatch):
    """Slow maps go on until they are stopped, however fast this machine is: `endless.clear()` lets them come."""
    wanted, make = threading.Event(), tab.explained
    wanted.set()

    def explained(scene, method, target, progress=None, **choices):
        done = 0
        while progress is not None and wanted.is_set():
            progress(done := done + 1, 10**6)
            time.sleep(0.01)
        return make(scene, method, target, progress, **choices)

    monkeypatch.setattr(tab, "explained", explained)
    yield wanted
    wanted.clear()


PROGRESS = """() => {
  const seen = (window.progressSeen = new Set());
  const note = () => {
    const words = document.querySelector('#explain-status')?.innerText ?? '';
    if (words.includes('passes')) seen.add(words);
  };
  const changes = { subtree: true, childList: true, characterData: true };
  new MutationObserver(note).observe(document.querySelector('#explain-slow'), changes);
}"""


def test_slow_maps_show_their_progress_stop_and_come(page, endless):
    occlusion = page.locator("#explain [data-method=occlusion].vit-thumb")
    assert "not computed yet" in occlusion.inner_text()
    page.locator("#explain-run").click()
    page.locator("#explain-stop").wait_for()
    page.wait_for_function("document.querySelector('#explain-status')?.innerText.includes('passes')")
    page.locator("#explain-stop").click()
    page.wait_for_function("document.querySelector('#explain-status')?.innerText.includes('Stopped')")
    endless.clear()
    page.locator("#explain-run").click()
    page.set_default_timeout(4 * PATIENCE)
    page.wait_for_function("document.querySelector('#explain-status')?.innerText.includes('All maps')")
    page.wait_for_function("!document.querySelector('#explain .vit-small span')")  # the maps may come after the words
    occlusion.click()
    page.wait_for_function("document.querySelector('#explain [data-part=reading]')?.innerText.includes('Strongest')")


def test_stop_stays_one_element_and_is_heard_on_a_slow_computer(page, endless):
    """Each message of progress sent the buttons again, and had all maps copied: Stop could not be clicked."""
    name_class(page, "target", "church")  # of which no slow map is there
    page.wait_for_function("document.querySelector('#explain [data-part=title]')?.innerText.includes('church')")
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    try:
        page.locator("#explain-run").click()
        page.locator("#explain-stop").wait_for()
        page.evaluate(PROGRESS)
        page.evaluate("window.stopButton = document.querySelector('#explain-stop')")
        page.wait_for_function("window.progressSeen.size >= 5")
        assert page.evaluate(
            "window.stopButton.isConnected && window.stopButton === document.querySelector('#explain-stop')"
        )
        page.locator("#explain-stop").click()
        page.wait_for_function("document.querySelector('#explain-status')?.innerText.includes('Stopped')")
    finally:
        slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        slow.detach()


def test_keys_move_over_patches_and_methods(page):
    stage = page.locator("#explain [data-part=stage]")
    stage.focus()
    stage.press("ArrowRight")
    stage.press("ArrowDown")
    stage.press("ArrowRight")
    page.locator("#explain [data-part=reading]", has_text="Patch 13 (row 1, column 1)").wait_for()
    before = page.locator("#explain [data-part=root]").get_attribute("data-method")
    stage.press(".")
    page.wait_for_function("b => document.querySelector('#explain [data-part=root]').dataset.method !== b", arg=before)
    stage.press("Escape")
    page.wait_for_function("document.querySelector('#explain [data-part=reading]')?.innerText.startsWith('Strongest')")


def test_a_map_is_taken_away_as_png(page):
    with page.expect_download() as download:
        page.locator("#explain [data-part=save]").click()
    with open(download.value.path(), "rb") as file:
        picture = Image.open(io.BytesIO(file.read()))
    assert picture.width > 1500
    assert len(picture.convert("RGB").resize((60, 40)).getcolors(2400)) > 200


def test_a_phone_never_scrolls_sideways(page):
    wide = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    for scheme in schemes(page):
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, scheme
    page.set_viewport_size(wide)


def test_in_chinese(open_page, served):
    page = open_page(served, locale="zh-CN")
    page.set_default_timeout(PATIENCE)
    page.wait_for_selector("#attention [data-state=ready]")
    page.get_by_role("tab", name="解释", exact=True).click()
    page.wait_for_selector("#explain [data-state=ready]")
    assert "预测类别" in title(page)
    assert "相关性" in page.locator("#explain .vit-thumbs").inner_text()
