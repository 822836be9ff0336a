"""The tab "Is the map true?" in a real Chromium: measure, check, take away, stop in the middle; phones and Chinese."""

import threading
import time
from pathlib import Path

import pytest
import torch

from explorer.analysis.explain.methods import METHODS
from explorer.figures.export import load_npz
from explorer.tabs.faithfulness import tab as truth
from tests.explorer.page.whole_page import at_home, load_own, seen_anew
from vit_model import VisionTransformer, ViTConfig, save_model

LONG = 120_000  # milliseconds, on a busy machine


@pytest.fixture
def checkpoint(tmp_path):
    def make(classes=2, seed=None):
        config = ViTConfig(image_size=32, patch_size=8, width=32, depth=2, heads=2, mlp_width=48, classes=classes)
        if seed is not None:
            torch.manual_seed(seed)
        model = VisionTransformer(config, labels=["<b id=injected>cat</b>", "dog"][:classes]).eval()
        model.requires_grad_(False)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
        save_model(model, tmp_path / "tiny")
        return tmp_path / "tiny"

    return make


def of_model(page, folder, tab="Is the map true?"):
    """The tab, with nothing measured, of a model that no other test has."""
    page.set_default_timeout(LONG)
    at_home(page)
    seen_anew(page, lambda: load_own(page, folder))
    page.get_by_role("tab", name=tab).click()
    page.locator("#truth-table [data-state=empty] .doing p").wait_for()
    return page


def rows(page, table):
    return page.locator(f"#{table} tbody tr")


def test_measure_check_and_take_away(kept_page, served, checkpoint):
    # with some weights a map is constant, and has no verdict
    page = of_model(kept_page(served), checkpoint(seed=0))
    page.locator("#truth-table .doing p", has_text="Measure all methods").wait_for()
    reading = page.locator("#tab-truth .block.subdued").filter(visible=True)
    assert reading.count() == 0 and page.locator("#truth-csv").is_hidden(), "how to read what is not there yet"
    page.locator("#measure").click()
    page.wait_for_selector("#truth-table [data-state=ready]")
    assert reading.count() == 5, "of the table, each of both plots, their legend, and the matrix"
    assert rows(page, "truth-table").count() == len(METHODS) + 2
    assert page.locator("#truth-table td.mark").count() < len(METHODS)
    assert rows(page, "truth-matrix").count() == len(METHODS) + 2
    assert page.locator("#truth-matrix tbody tr").first.locator("td").first.inner_text() == "1.00"
    for kind in ("positive", "negative"):
        page.locator(f"#truth-{kind}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#truth-{kind} [data-state=ready]")
        assert page.locator(f"#truth-{kind} .legendtext").count() == len(METHODS) + 2
    assert page.locator("#injected").count() == 0
    assert page.locator("#truth-stop").is_hidden()

    page.locator("#truth-check").click()
    page.locator("#truth-sanity .vit-plot-canvas").scroll_into_view_if_needed()
    page.wait_for_selector("#truth-sanity [data-state=ready]")
    assert reading.count() == 6
    page.wait_for_function(
        "() => [...document.querySelectorAll('#truth-table tbody tr:not(.quiet) td:last-child')]"
        ".every((cell) => /[0-9]/.test(cell.textContent))"
    )
    page.locator("#truth-csv").click()
    with page.expect_download() as download:
        page.locator("#truth-file a[download]").first.click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith('# {"model":')
    assert text.count("\n") == len(METHODS) + 4
    page.locator("#save-npz").click()
    with page.expect_download() as download:
        page.locator("#saved-npz a[download]").first.click()
    arrays, manifest = load_npz(download.value.path())
    assert arrays["positive"].shape[0] == len(METHODS) + 2
    assert manifest["choices"]["label"] in ("dog", "<b id=injected>cat</b>")
    assert "sanity_correlation" in arrays
    with page.expect_download() as download:
        page.locator("#truth-matrix .png").click()
    assert Path(download.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_stopping_in_the_middle_keeps_what_there_is(kept_page, served, checkpoint, monkeypatch):
    told, ended = [], threading.Event()

    def slow(*arguments, original=truth.leaderboard, **choices):
        try:
            for board in original(*arguments, **choices):
                told.append(board)
                yield board
                while board.curves and len(board.curves.dropped) > 2:  # until it is stopped
                    time.sleep(0.1)
                    yield board
        finally:
            ended.set()

    monkeypatch.setattr(truth, "leaderboard", slow)
    page = of_model(kept_page(served), checkpoint())
    page.locator("#measure").click()
    page.wait_for_selector("#truth-table [data-state=running] tbody tr")
    page.locator("#truth-stop").click()
    page.get_by_text("Stopped. What had been measured").wait_for()
    assert ended.wait(LONG / 1000), "the server has stopped as well"
    assert rows(page, "truth-table").count() == len(METHODS) + 2
    assert "areas are still coarse" in page.locator("#truth-table .note").inner_text()
    assert page.locator("#truth-stop").is_hidden()
    assert not told[-1].curves.complete
    for _ in range(3):  # begun again at once, it begins
        page.locator("#measure").click()
        page.wait_for_selector("#truth-table [data-state=running] tbody tr")
        page.locator("#truth-stop").click()
        page.get_by_text("Stopped. What had been measured").wait_for()


def test_a_model_without_a_head_offers_nothing_that_cannot_work(kept_page, served, checkpoint):
    page = of_model(kept_page(served), checkpoint(classes=0))
    page.get_by_text("This model has no classification head").first.wait_for()
    assert page.locator("#measure").is_disabled()
    assert page.locator("#truth-check").is_disabled()


def test_a_phone_in_chinese(open_page, served, checkpoint):
    page = of_model(open_page(served, locale="zh-CN"), checkpoint(), tab="热图可信吗？")
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator("#measure").click()
    page.wait_for_selector("#truth-matrix [data-state=ready]")
    page.wait_for_selector("#truth-table [data-state=ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "先去掉最相关" in page.locator("#truth-table thead").inner_text()
    frame = page.locator("#truth-matrix .frame")
    assert frame.evaluate("(node) => node.scrollWidth > node.clientWidth")
    frame.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('#truth-matrix .frame').scrollLeft > 0")
