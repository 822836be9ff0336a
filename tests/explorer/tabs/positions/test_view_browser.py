"""PositionsView: what the browser reads out equals what numpy computes, hovered without a request."""

import json
import re
import urllib.request

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.tabs.positions.view import PositionsView, pack_embeddings, positions_value, similarity_range

NATIVE, NEW = (4, 4), (6, 8)
RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.normal(size=(16, 24)).astype(np.float32)
RESAMPLED = RNG.normal(size=(48, 24)).astype(np.float32)
LARGE = RNG.normal(size=(40 * 40, 4)).astype(np.float32)


def cosine(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return unit @ unit.T


def test_packing_keeps_similarities_to_four_decimals():
    packed = pack_embeddings(EMBEDDINGS)
    assert len(packed) == 4 * 16 + 2 * 16 * 24
    scales = np.frombuffer(packed, "<f4", 16)
    restored = np.frombuffer(packed, "<i2", offset=64).reshape(16, 24) * scales[:, None]
    np.testing.assert_allclose(cosine(restored), cosine(EMBEDDINGS), atol=1e-4)
    assert not np.frombuffer(pack_embeddings(np.zeros((2, 3), np.float32)), "<i2", offset=8).any()


def test_range_of_the_dot_product_is_exact_over_row_blocks():
    embeddings = RNG.normal(size=(1100, 5)).astype(np.float32)
    products = embeddings @ embeddings.T
    np.testing.assert_allclose(similarity_range(embeddings), (products.min(), products.max()), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((EMBEDDINGS, (4, 5)), r"a 4x5 grid needs embeddings \[20, D\] without prefix tokens, got \[16, 24\]"),
        ((EMBEDDINGS, (4, 4), RESAMPLED), "pass both or neither"),
        ((np.full((4, 2), np.nan), (2, 2)), "NaN or infinity"),
    ],
)
def test_wording_of_embeddings_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        positions_value(*arguments)


def test_api_calls_it_an_object():
    assert PositionsView(render=False).api_info() == {"type": "object"}


@pytest.fixture(scope="module")
def url(serve):
    with gr.Blocks() as demo, gr.Tabs():
        with gr.Tab("Empty"):
            PositionsView(elem_id="nothing")
        with gr.Tab("Maps"):
            value = positions_value(
                EMBEDDINGS, NATIVE, RESAMPLED, NEW, names=("<b>Native</b>", {"en": "New", "zh": "新"})
            )
            view = PositionsView(value, elem_id="view")
            large = positions_value(LARGE, (40, 40), caption="a <model>")
            gr.Button("Large").click(lambda: large, None, view)
    return serve(demo)


@pytest.fixture
def open_maps(open_page, url):
    def open_maps(**choices):
        page = open_page(url, **choices)
        page.wait_for_selector("#nothing [data-state=empty]", state="attached")
        page.get_by_role("tab", name="Maps").click()
        page.wait_for_selector("#view [data-state=complete]")
        return page

    return open_maps


def point_at(page, selector, index, row, column, grid):
    box = page.locator(selector).nth(index).bounding_box()
    page.mouse.move(
        box["x"] + box["width"] * (column + 0.5) / grid[1], box["y"] + box["height"] * (row + 0.5) / grid[0]
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def facts(page, panel):
    return page.locator("#view .panel").nth(panel).locator("dd").all_inner_texts()


def number(text):
    return float(re.search(r"−?[\d.]+", text)[0].replace("−", "-"))


def test_hover_reads_the_true_similarity_and_moves_the_other_grid_without_a_request(open_maps):
    page = open_maps()
    before = len(page.asked)
    point_at(page, "#view .mosaic", 0, 1, 2, NATIVE)
    position, nearest, _, extent = facts(page, 0)
    row = cosine(EMBEDDINGS)[6]
    assert position.startswith("row 1, column 2 · patch 6")
    other = max((n for n in range(16) if n != 6), key=lambda n: row[n])
    assert number(nearest) == pytest.approx(row[other], abs=6e-4)
    assert f"row {other // 4}, column {other % 4}" in nearest
    assert [number(part) for part in extent.split(" to ")] == pytest.approx([row.min(), row.max()], abs=6e-4)
    # (1.5 / 4, 2.5 / 4) of the height and width is row 2 of 6, column 5 of 8
    assert facts(page, 1)[0].startswith("row 2, column 5 · patch 21")

    page.mouse.down()
    page.mouse.up()  # pins, so that the pointer can travel to the large map
    point_at(page, "#view .map", 1, 4, 7, NEW)
    assert facts(page, 1)[0].startswith("row 2, column 5")
    pointer = facts(page, 1)[2]
    assert number(pointer) == pytest.approx(cosine(RESAMPLED)[21, 39], abs=6e-4) and "row 4, column 7" in pointer
    assert len(page.asked) == before


def test_scale_and_kind_show_real_numbers(open_maps):
    page = open_maps()
    point_at(page, "#view .mosaic", 0, 0, 0, NATIVE)
    ends = page.locator("#view .panel").first.locator(".end")
    assert [number(text) for text in ends.all_inner_texts()] == [-1, 1]
    page.locator("#view").get_by_label("per map", exact=True).check()
    row = cosine(EMBEDDINGS)[0]
    assert [number(text) for text in ends.all_inner_texts()] == pytest.approx([row.min(), 1], abs=6e-4)
    page.locator("#view").get_by_label("fixed", exact=True).check()
    page.locator("#view").get_by_label("dot product", exact=True).check()
    products = [embeddings @ embeddings.T for embeddings in (EMBEDDINGS, RESAMPLED)]
    expected = [min(p.min() for p in products), max(p.max() for p in products)]
    assert [number(text) for text in ends.all_inner_texts()] == pytest.approx(expected, abs=6e-2)
    assert "one scale for both grids" in page.inner_text("#view")


def test_keyboard_moves_pins_and_speaks(open_maps):
    page = open_maps()
    point_at(page, "#view .mosaic", 0, 0, 0, NATIVE)
    page.locator("#view .mosaic").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    spoken = page.inner_text("#view .spoken")
    assert spoken.startswith("<b>Native</b>, position row 2, column 1.") and spoken.endswith("pinned")
    assert facts(page, 0)[0].endswith("pinned")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('#view .pinned')")


def test_the_mosaic_holds_every_map(open_maps):
    page = open_maps()
    page.locator("#view select.colours").select_option("grey")
    page.wait_for_selector("#view [data-state=complete]")
    script = """(canvas) => {
        const size = [canvas.width, canvas.height], context = canvas.getContext("2d");
        const row = context.getImageData(0, 0, canvas.width, 1).data;
        return [size, Array.from({ length: canvas.width }, (_, x) => [row[4 * x], row[4 * x + 3]])];
    }"""
    (width, _), pixels = page.locator("#view .mosaic-canvas").first.evaluate(script)
    similarities = cosine(EMBEDDINGS)
    tile = (width + 2) // 4  # 4 tiles of 4 cells of 6 px, 2 px between them
    for query in range(4):
        for key in range(4):
            level, alpha = pixels[query * tile + key * 6 + 3]
            assert alpha == 255
            assert level == pytest.approx(127.5 * (similarities[query, key] + 1), abs=1.5)


def test_chinese_on_a_phone_does_not_scroll_sideways(open_maps):
    page = open_maps(locale="zh-CN", viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert "新 · 6×8" in page.inner_text("#view")
    assert "余弦" in page.inner_text("#view")


def test_a_large_grid_keeps_the_place_and_saves_a_png(open_maps):
    page = open_maps()
    point_at(page, "#view .mosaic", 0, 3, 3, NATIVE)
    page.get_by_role("button", name="Large").click()
    page.wait_for_selector("#view [data-seq='2'][data-state=complete]")
    assert "one tile for every 2×2 positions" in page.inner_text("#view")
    assert facts(page, 0)[0].startswith("row 35, column 35")
    with page.expect_download() as download:
        page.locator("#view .png").click()
    with Image.open(download.value.path()) as saved:
        about = json.loads(saved.text["vit-explorer"])
    panel = about["panels"][0]
    assert about["caption"] == "a <model>"
    assert (about["kind"], panel["grid"], panel["position"]) == ("cosine", [40, 40], 35 * 40 + 35)


@pytest.mark.parametrize("status", [403, 404])
def test_expired_numbers_are_said_in_words(open_page, url, status):
    page = open_page(url)
    page.route("**/positions.bin", lambda route: route.fulfill(status=status, body=""))
    page.get_by_role("tab", name="Maps").click()
    page.wait_for_selector("#view [data-state=error]")
    assert "expired on the server. Run again" in page.inner_text("#view")
    with urllib.request.urlopen(url) as response:  # the app itself is well
        assert response.status == 200
