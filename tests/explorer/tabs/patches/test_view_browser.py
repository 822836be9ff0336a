"""PatchesView: the numbers it is given, and what a real Chromium makes of them."""

import json
import re

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from explorer.tabs.patches.view import PatchesView, patches_value, pipeline
from vit_model.config import POOLS, SIZES, ViTConfig
from vit_model.model import VisionTransformer
from vit_model.preprocess import CropBox

TINY = ViTConfig(image_size=(16, 24), patch_size=8, width=12, depth=1, heads=2, mlp_width=24, classes=3, registers=1)
TEXT = json.loads(PatchesView.strings())


def tiny(**changes):
    torch.manual_seed(0)
    config = ViTConfig.from_dict(TINY.to_dict() | changes)
    return VisionTransformer(config).eval().requires_grad_(False)


def value(seed=0, filters=True, **changes):
    """A 120 x 80 picture of which the model sees the 90 x 60 pixels from (15, 10)."""
    model = tiny(**changes)
    noise = np.random.default_rng(seed).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    picture, box = Image.fromarray(noise), CropBox(15, 10, 105, 70)
    pixels, _ = model.preprocess(picture.crop((15, 10, 105, 70)))
    bank = (
        (np.random.default_rng(1).normal(size=(5, 8, 8, 3)), np.array([0.5, 0.2, 0.1, 0.05, 0.01])) if filters else ()
    )
    return patches_value(model, picture, pixels, box, model.trace(pixels), *bank, caption="a <model>")


def shapes(config):
    return [(step["step"], step["shape"]) for step in pipeline(config)]


def test_pipeline_of_vit_b16_is_the_papers():
    assert shapes(SIZES["B/16"]) == [
        ("image", [1, 3, 224, 224]),
        ("patches", [196, 768]),
        ("projection", [196, 768]),
        ("class_token", [197, 768]),
        ("positions", [197, 768]),
        ("blocks", [197, 768]),
        ("head", [1000]),
    ]


def test_pipeline_of_variants():
    headless = ViTConfig(image_size=32, patch_size=4, width=192, heads=6, classes=0, class_token=False, pool="mean-all")
    assert shapes(headless)[2:] == [
        ("projection", [64, 192]),
        ("positions", [64, 192]),
        ("blocks", [64, 192]),
        ("features", [192]),
    ]
    deit = ViTConfig(distillation_token=True, pool="class-distilled", registers=4)
    assert shapes(deit)[3:6] == [
        ("two_tokens", [198, 768]),
        ("positions", [198, 768]),
        ("registers", [202, 768]),
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_step_and_pool_has_words(language):
    words = TEXT[language]
    assert set(words) == set(TEXT["en"])
    for pool in POOLS:
        assert words["from_" + pool.replace("-", "_").replace("+", "_")]
    config = ViTConfig(distillation_token=True, pool="class-distilled", registers=4)
    for step in [*pipeline(config), *pipeline(SIZES["B/16"])]:
        note = words[step["step"] + "Note"] if "pool" not in step else ""
        assert set(re.findall(r"\{(\w+)\}", words[step["step"]] + note)) <= set(step)


def test_norms_are_of_the_embedding_before_positions():
    made, model = value(), tiny()
    seen = Image.open(made["seen"]["path"])
    pixels = torch.tensor(np.asarray(seen) / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None]
    expected = model.patch_embed(pixels)[0].norm(dim=-1)
    assert made["norms"] == pytest.approx(expected.tolist(), rel=1e-2)  # the picture is rounded to grey levels
    assert made["prefix"] == ["class", "register"]
    class_token = (model.class_token + model.positions[:, :1]).norm().item()
    assert made["prefix_norms"] == pytest.approx([class_token, model.registers.norm().item()], rel=1e-3)


def test_a_value_of_4096_patches_stays_small():
    made = value(image_size=[512, 512], filters=False)
    assert len(json.dumps(made)) < 40_000
    assert len(made["norms"]) == 4096


def test_wording_of_filters_without_shares():
    model = tiny()
    pixels = torch.zeros(1, 3, 16, 24)
    picture, box, trace = Image.new("RGB", (24, 16)), CropBox(0, 0, 24, 16), model.trace(pixels)
    with pytest.raises(ValueError, match="2 filters need as many shares of the variance, got None"):
        patches_value(model, picture, pixels, box, trace, np.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"expected filters \[n, height, width, 3\], got \[2, 3, 8, 8\]"):
        patches_value(model, picture, pixels, box, trace, np.zeros((2, 3, 8, 8)), np.ones(2))


def test_api_calls_it_an_object():
    assert PatchesView(render=False).api_info() == {"type": "object"}


@pytest.fixture(scope="module")
def url(serve):
    first, other = value(), value(seed=7)
    with gr.Blocks() as demo, gr.Tabs():
        with gr.Tab("Empty"):
            PatchesView(elem_id="nothing")
        with gr.Tab("Patches"):
            view = PatchesView(first, elem_id="view")
            gr.Button("Other").click(lambda: other, None, view)
    return serve(demo)


@pytest.fixture
def open_patches(open_page, url):
    def open_patches(**choices):
        page = open_page(url, **choices)
        page.wait_for_selector("#nothing [data-state=empty]", state="attached")
        page.get_by_role("tab", name="Patches").click()
        page.wait_for_selector("#view [data-state=complete]")
        return page

    return open_patches


def painted(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def over(page, selector, row, column, rows=2, columns=3):
    box = page.locator(f"#view {selector}").bounding_box()
    across, down = box["width"] * (column + 0.5) / columns, box["height"] * (row + 0.5) / rows
    page.mouse.move(box["x"] + across, box["y"] + down)
    painted(page)


def title(page):
    return page.inner_text("#view .title")


def fact(page, name):
    return page.locator("#view .facts div").filter(has=page.get_by_text(name, exact=True)).locator("dd").inner_text()


def test_a_patch_is_the_same_in_all_three_places_without_a_request(open_patches):
    page, made = open_patches(), value()
    before = len(page.asked)
    over(page, ".seen", 1, 0)
    assert title(page) == "Patch 3"
    over(page, ".crop", 0, 2)
    assert title(page) == "Patch 2"
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(0, 0)
    painted(page)
    assert title(page) == "Patch 2"  # chosen, it stays when the pointer leaves
    assert fact(page, "Place") == "row 0, column 2 of 2×3, from 0"
    assert fact(page, "In the picture") == "x 75–105, y 10–40 px"
    assert fact(page, "Row in z0") == "4 (0 to 7)"
    norm = float(fact(page, "Embedding norm").split(",")[0])
    assert norm == pytest.approx(made["norms"][2], rel=5e-3)
    for mark in page.locator("#view .mark").all():
        area = mark.evaluate("(node) => [node.style.left, node.style.top, node.style.width, node.style.height]")
        assert [float(side.rstrip("%")) for side in area] == pytest.approx([66.667, 0, 33.333, 50], abs=0.01)
    assert len(page.asked) == before


def test_the_enlarged_pixels_and_the_crop_are_the_pictures(open_patches):
    page, made = open_patches(), value()
    over(page, ".seen", 1, 2)
    script = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    shown = np.array(page.locator("#view .enlarged").evaluate(script)).reshape(8, 8, 4)[..., :3]
    seen = np.asarray(Image.open(made["seen"]["path"]))
    np.testing.assert_array_equal(shown, seen[8:16, 16:24])
    crop = page.locator("#view .crop").evaluate("({ style }) => [style.left, style.top, style.width, style.height]")
    assert crop == ["12.5%", "12.5%", "75%", "75%"]


def test_keyboard_walks_the_grid_and_the_sequence(open_patches):
    page = open_patches()
    page.locator("#view .seen").focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "ArrowRight"):  # class token, first patch, below, right
        page.keyboard.press(key)
    painted(page)
    assert title(page) == "Patch 4"
    assert page.inner_text("#view .spoken").startswith("Patch 4, row 1, column 1, embedding norm")
    page.locator("#view .stage").focus()
    for key in ("Home", "ArrowRight"):
        page.keyboard.press(key)
    painted(page)
    assert title(page) == "Register 1"
    assert "it has no pixels" in page.inner_text("#view .detail")
    page.keyboard.press("End")
    painted(page)
    assert title(page) == "Patch 5"


def test_unfolding_plays_to_the_sequence_and_follows_the_slider(open_patches):
    page = open_patches()
    picture = "document.querySelector('#view .stage canvas').toDataURL()"
    end = page.evaluate(picture)
    slider = page.locator("#view").get_by_label("How far the picture is unfolded")
    slider.fill("0.1")
    painted(page)
    assert page.inner_text("#view .phase") == "1 · Cut the picture into patches"
    assert page.evaluate(picture) != end
    slider.fill("0.95")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('#view .slider')?.value === '1'")
    page.get_by_role("button", name="Play").wait_for()
    painted(page)
    assert page.inner_text("#view .phase") == "The sequence z0: 8 tokens, each a list of 12 numbers"
    assert page.evaluate(picture) == end


def test_less_motion_jumps_to_the_other_end(open_patches):
    page = open_patches(reduced_motion="reduce")
    for expected in ("0", "1"):
        page.get_by_role("button", name="Play").click()
        assert page.evaluate("document.querySelector('#view .slider').value") == expected


def test_sequence_is_clicked_where_its_tokens_are(open_patches):
    page = open_patches()
    page.locator("#view .stage").scroll_into_view_if_needed()
    box = page.locator("#view .stage").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    painted(page)
    assert title(page) == "Class token"
    page.mouse.click(box["x"] + 2 + 3 * 48 + 20, box["y"] + 20)  # tiles of 44 px, 4 px apart
    painted(page)
    assert title(page) == "Patch 1"


def test_norms_and_filters_say_their_numbers(open_patches):
    page, made = open_patches(), value()
    page.locator("#view").get_by_label("Colour by embedding norm").check()
    low, high = (float(text) for text in re.findall(r"[\d.]+", page.inner_text("#view .scale-note")))
    assert (low, high) == pytest.approx((min(made["norms"]), max(made["norms"])), rel=5e-3)
    page.get_by_role("button", name="Component 3").hover()
    assert page.inner_text("#view .filter-name") == "Component 3"
    assert page.inner_text("#view .filter-share") == "10% of the variance, 80% up to here"


def test_another_picture_keeps_the_chosen_patch(open_patches):
    page = open_patches()
    page.locator("#view .seen").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Other").click()
    page.wait_for_selector("#view [data-seq='2'][data-state=complete]")
    painted(page)
    assert title(page) == "Patch 5"
    assert float(fact(page, "Embedding norm").split(",")[0]) == pytest.approx(value(seed=7)["norms"][5], rel=5e-3)


def test_what_is_shown_is_saved_as_a_png(open_patches):
    page, made = open_patches(), value()
    page.locator("#view .seen").focus()
    page.keyboard.press("End")
    painted(page)
    with page.expect_download() as download:
        page.locator("#view .png").click()
    assert download.value.suggested_filename == "patches-token7.png"
    with Image.open(download.value.path()) as picture:
        saved, about = np.asarray(picture.convert("RGB")), json.loads(picture.text["vit-explorer"])
    assert (about["caption"], about["token"], about["crop_box"]) == ("a <model>", 7, made["box"])
    seen = np.asarray(Image.open(made["seen"]["path"]))  # 16 x 24 pixels, drawn 560 wide from (624, 60)
    scale = 560 / 24
    for row, column in ((2, 3), (10, 5), (5, 12)):
        y, x = 60 + (row + 0.5) * scale, 624 + (column + 0.5) * scale
        np.testing.assert_array_equal(saved[round(y), round(x)], seen[row, column])
    original = Image.open(made["picture"]["file"]["path"]).convert("RGB")  # 120 x 80, 560 wide from (32, 60)
    inside, outside = saved[60 + round(45 * 560 / 120), 32 + round(50 * 560 / 120)], saved[65, 40]
    assert inside.astype(int).sum() > 0 and outside.max() <= 0.45 * 255, "what the model does not see is dark"
    assert original.size == (120, 80)


def test_chinese_on_a_phone_in_the_dark_does_not_scroll_sideways(open_patches):
    page = open_patches(locale="zh-CN", viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert "类别 token" in page.inner_text("#view .steps")
    assert page.evaluate("document.body.classList.contains('dark')")


@pytest.mark.parametrize("status", [403, 404])
def test_expired_pictures_are_said_in_words(open_page, url, status):
    page = open_page(url)
    page.route("**/picture.*", lambda route: route.fulfill(status=status, body=""))
    page.get_by_role("tab", name="Patches").click()
    page.wait_for_selector("#view [data-state=error]")
    assert "expired on the server. Run again" in page.inner_text("#view")
