"""The tab in sight is filled, and no other: when it is opened, for a new picture or model, and after a reload."""

import gradio as gr
import pytest

from explorer.figures.export import load_npz
from explorer.page.events import tabs
from tests.explorer.page.whole_page import at_home, resize, seen_anew, seq, without_messages

OVERFLOW = {"patches": "Patches", "inside": "Inside", "laboratory": "Laboratory", "compare": "Compare"}


@pytest.fixture
def filled(monkeypatch):
    """Names of the tabs that the server has sent something to, as it goes on."""
    names, fill_tab = [], tabs.fill_tab

    def noting(tab, *given, **how):
        values = fill_tab(tab, *given, **how)
        if values[0] != gr.skip():
            names.append(tab.name)
        return values

    monkeypatch.setattr(tabs, "fill_tab", noting)
    return names


def until(page, condition):
    for _ in range(400):
        if condition():
            return True
        page.wait_for_timeout(100)
    return False


def open_tab(page, name):
    button = page.locator(f"#tab-{name}-button")
    if not button.count():  # a narrow screen has it in a menu
        page.get_by_label("More tabs").first.click()
        page.locator("#tabs .overflow-dropdown button").get_by_text(OVERFLOW[name], exact=True).click()
    else:
        button.click()
    shown(page, name)


def shown(page, name):
    viewer = "truth-table" if name == "truth" else name
    page.wait_for_selector(f"#{viewer} :is([data-state=ready], [data-state=complete], [data-state=empty])")


@pytest.mark.parametrize("name", ["patches", "rollout", "positions", "explain", "truth", "inside", "laboratory"])
def test_a_new_picture_and_another_size_fill_the_tab_in_sight_alone(kept_page, served, filled, name):
    page = at_home(kept_page(served))
    open_tab(page, name)
    assert page.evaluate("window.vitTab()") == name
    until(page, lambda: name in filled)
    for act in (lambda: page.locator("#examples button.gallery-item").nth(1).click(), lambda: resize(page, "64")):
        filled.clear()
        seen_anew(page, act)
        assert until(page, lambda: filled), "it stays as it was"
        assert set(filled) == {name}
        shown(page, name)
    filled.clear()
    open_tab(page, "attention")
    assert until(page, lambda: filled == ["attention"]), "it had shown another picture"


@pytest.mark.parametrize("width", [1440, 390])
def test_the_tab_in_sight_is_filled_after_a_reload_too(open_page, served, filled, width):
    page = open_page(served, viewport={"width": width, "height": 900})
    shown(page, "attention")
    open_tab(page, "compare")
    page.wait_for_selector("#compare [data-state=ready]")
    filled.clear()
    page.reload()
    page.wait_for_selector("#compare [data-state=ready]")
    assert "compare" in filled
    assert page.evaluate("window.vitTab()") == "compare"


def test_a_refused_picture_is_said_once_and_what_was_there_stays(kept_page, served, filled):
    page = at_home(kept_page(served))
    open_tab(page, "rollout")
    until(page, lambda: "rollout" in filled)
    before, file = seq(page), page.locator("#picture img").first.get_attribute("src")
    filled.clear()
    bad = {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    page.locator("#picture input[type=file]").first.set_input_files(bad)
    page.locator("[data-testid=toast-text]").first.wait_for()
    page.wait_for_function("file => document.querySelector('#picture img')?.getAttribute('src') === file", arg=file)
    page.wait_for_timeout(1000)
    (said,) = page.locator("[data-testid=toast-text]").all_inner_texts()
    assert said.count("Could not do that") == 1
    assert seq(page) == before
    assert filled == [], "the tab shows the picture that was there before, and does so still"
    page.locator("#rollout [data-state=ready]").wait_for()
    without_messages(page)


@pytest.mark.parametrize("name", ["explain", "inside", "laboratory", "compare", "figures"])
def test_the_numbers_of_every_other_tab_are_its_own(kept_page, served, name):
    """Those of the first four tabs: test_page_browser.py. Those of "Is the map true?": test_faithfulness_browser.py."""
    page = at_home(kept_page(served))
    open_tab(page, name)
    page.locator("#save-npz").click()
    link = page.locator(f"#saved-npz a[href*='vit-explorer-{name}']").first
    link.or_(page.locator("[data-testid=toast-text]")).first.wait_for()
    assert page.locator("[data-testid=toast-text]").all_inner_texts() == []
    with page.expect_download() as download:
        link.click()
    arrays, manifest = load_npz(download.value.path())
    assert arrays
    assert manifest["choices"]["view"] == name
