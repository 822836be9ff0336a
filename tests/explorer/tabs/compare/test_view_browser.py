"""Two sides and their difference in a real Chromium; the numbers against numpy."""

import json
import re

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.tabs.compare.view import CompareViewer, compare_value
from explorer.viewer import StackSource, ViewerStore, viewer_value

A_GRID, B_GRID = (3, 4), (6, 8)
STRANGE = "<img src=x onerror=alert(1)>"


def stack(seed, grid, prefix, layers=2, panels=2):
    """Random rows that sum to 1."""
    tokens = prefix + grid[0] * grid[1]
    values = np.random.default_rng(seed).gamma(0.5, size=(layers, panels, tokens, tokens)).astype(np.float32)
    return values / values.sum(-1, keepdims=True)


MAPS = {"a": stack(0, A_GRID, 1), "b": stack(1, A_GRID, 1), "fine": stack(2, B_GRID, 2, layers=3)}


@pytest.fixture(scope="module")
def app(serve):
    store = ViewerStore()

    def side(name, grid, prefix):
        picture = Image.effect_noise((grid[1] * 8, grid[0] * 8), 60)
        return viewer_value(StackSource(list(MAPS[name]), grid, prefix), store, picture=picture, direction=False)

    def same():
        names = ("first", STRANGE)
        sides = side("a", A_GRID, 1), side("b", A_GRID, 1)
        return compare_value(*sides, names, by_query=(True, True), same_unit=True)

    def finer():
        sides = side("a", A_GRID, 1), side("fine", B_GRID, 2)
        return compare_value(*sides, ("coarse", "fine"), by_query=(True, True), same_unit=True)

    def other_unit():
        """B's numbers are 0.04 of A's, so that its shares are A's: no difference."""
        tiny = StackSource([0.04 * layer for layer in MAPS["a"]], A_GRID, 1, signed=(False, False))
        value = viewer_value(tiny, store, picture=Image.effect_noise((32, 24), 60), direction=False, percent=False)
        return compare_value(side("a", A_GRID, 1), value, ("a", "tiny"), by_query=(True, True), same_unit=False)

    with gr.Blocks(analytics_enabled=False) as demo:
        to_other_unit = gr.Button("other unit", elem_id="to-other-unit")
        to_finer = gr.Button("finer", elem_id="to-finer")
        viewer = CompareViewer(same(), store=store, elem_id="compare")
        to_finer.click(finer, None, viewer)
        to_other_unit.click(other_unit, None, viewer)
    return serve(demo)


def opened(open_page, app, **choices):
    page = open_page(app, **choices)
    page.wait_for_selector("#compare [data-part=root][data-state=ready]")
    return page


def hover(page, side, cell, grid):
    box = page.locator(f"#compare [data-side={side}] .vit-stage").bounding_box()
    y, x = divmod(cell, grid[1])
    page.mouse.move(box["x"] + (x + 0.5) / grid[1] * box["width"], box["y"] + (y + 0.5) / grid[0] * box["height"])
    settle(page)


def settle(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def fact(page, name):
    return page.locator(f"#compare [data-fact={name}] dd").inner_text()


def percent(text):
    return float(text.split("%")[0])


def rank_correlation(a, b):
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]  # no ties in random numbers
    return np.corrcoef(*ranks)[0, 1]


def test_the_numbers_are_those_of_numpy_and_a_hover_asks_for_nothing(open_page, app):
    page = opened(open_page, app)
    page.wait_for_load_state("networkidle")
    before = len(page.asked)
    hover(page, "b", 5, A_GRID)
    a, b = (MAPS[name][-1].mean(0)[1 + 5, 1:] for name in "ab")
    reading = page.locator("#compare [data-part=reading]").inner_text()
    assert percent(reading.split(": A ")[1]) == pytest.approx(100 * a[5], abs=0.2)
    assert float(fact(page, "pearson")) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.02)
    assert float(fact(page, "spearman")) == pytest.approx(rank_correlation(a, b), abs=0.02)
    most = int(np.abs(a - b).argmax())
    assert f"row {most // 4}, column {most % 4}" in fact(page, "largest")
    assert percent(fact(page, "largest")) == pytest.approx(100 * (a - b)[most], abs=0.3)
    assert "as they are" in page.locator("#compare [data-part=rule]").inner_text()
    assert len(page.asked) == before


def test_layers_and_heads_move_together_until_they_are_unlinked(open_page, app):
    page = opened(open_page, app)
    page.locator("#compare [data-side=a] .vit-stage").focus()
    page.keyboard.press("[")
    page.keyboard.press(".")
    settle(page)
    page.wait_for_function("document.querySelector('#compare [data-side=b] select')?.value === '0'")  # its layer came
    assert own(page) == [(0, "0"), (0, "0")]
    page.locator("#compare [data-part=link]").uncheck()
    page.locator("#compare [data-side=b] select").select_option("1")
    page.keyboard.press("Tab")
    settle(page)
    assert own(page) == [(0, "0"), (0, "1")]
    page.locator("#compare [data-side=a] .vit-stage").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    a, b = MAPS["a"][0, 0, 1, 1:], MAPS["b"][0, 1, 1, 1:]  # the first arrow goes to the first patch
    assert float(fact(page, "pearson")) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.02)


def own(page):
    return [
        (int(page.locator(f"#compare [data-side={side}] input").input_value()),
         page.locator(f"#compare [data-side={side}] select").input_value())
        for side in "ab"
    ]  # fmt: skip


def test_another_grid_is_resampled_and_compared_in_shares(open_page, app):
    page = opened(open_page, app)
    page.locator("#to-finer").click()
    page.wait_for_selector("#compare [data-seq='2'][data-state=ready]")
    assert "resampling" in page.locator("#compare [data-part=rule]").inner_text()
    hover(page, "a", 5, A_GRID)  # row 1, column 1: its middle lies in row 3, column 3 of the finer grid
    a = MAPS["a"][-1].mean(0)[1 + 5, 1:]
    fine = MAPS["fine"][-1].mean(0)[2 + 3 * 8 + 3, 2:].reshape(B_GRID)
    coarse = fine.reshape(3, 2, 4, 2).mean((1, 3)).ravel()  # what bilinear resampling to half the size is
    assert float(fact(page, "pearson")) == pytest.approx(np.corrcoef(a, coarse)[0, 1], abs=0.02)
    shares = a / a.sum() - coarse / coarse.sum()
    most = int(np.abs(shares).argmax())
    assert percent(fact(page, "largest")) == pytest.approx(100 * shares[most], abs=0.3)


@pytest.mark.parametrize(
    ("locale", "pattern"),
    [
        ("en-GB", r"Patch 5 \(row 1, column 1\): A (\S+%) \(raw: (\S+)%\), B (\S+%) \(raw: (\S+)\), A − B (\S+)%"),
        ("zh-CN", r"图块 5（第 1 行，第 1 列）：A (\S+%)（原始值 (\S+)%），B (\S+%)（原始值 (\S+)），A − B (\S+)%"),
    ],
)
def test_a_reading_has_one_unit_and_says_what_the_maps_have(open_page, app, locale, pattern):
    page = opened(open_page, app, locale=locale)
    page.locator("#to-other-unit").click()
    page.wait_for_selector("#compare [data-seq='2'][data-state=ready]")
    hover(page, "a", 5, A_GRID)
    reading = page.locator("#compare [data-part=reading]").inner_text()
    a = MAPS["a"][-1].mean(0)[1 + 5, 1:]
    share, raw, other_share, other_raw, difference = re.fullmatch(pattern, reading).groups()
    assert percent(share) == percent(other_share) == pytest.approx(100 * a[5] / a.sum(), abs=0.2)
    assert float(raw) == pytest.approx(100 * a[5], abs=0.2)
    assert float(other_raw) == pytest.approx(0.04 * a[5], rel=0.1)
    assert float(difference) == pytest.approx(0, abs=0.05)


def test_names_are_text_and_a_picture_can_be_saved(open_page, app):
    page = opened(open_page, app)
    assert STRANGE in page.locator("#compare [data-side=b] figcaption").inner_text()
    with page.expect_download() as download:
        page.locator("#compare [data-part=save]").click()
    with Image.open(download.value.path()) as saved:
        assert saved.width > 1000
        assert np.asarray(saved.convert("RGB")).std() > 5
        about = json.loads(saved.text["vit-explorer"])
    assert about["sides"][1]["name"] == STRANGE
    assert about["facts"]["largest"] == fact(page, "largest")


def test_a_narrow_screen_does_not_scroll_sideways(open_page, app):
    page = opened(open_page, app, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = [page.locator(f"#compare [data-side={side}] .vit-stage").bounding_box()["y"] for side in "ab"]
    assert tops[0] == tops[1], "maps side by side stand level, however long their names are"
