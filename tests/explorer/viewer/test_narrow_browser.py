"""What is to be read beside the maps on a phone: nothing of it is cut off."""

import gradio as gr
import numpy as np
import pytest
import torch

from explorer.tabs.inside.view import InsideView, inside_value
from explorer.viewer import AttentionViewer, StackSource, ViewerStore, viewer_value
from vit_model import VisionTransformer, ViTConfig

GRID = (12, 12)
PHONE = {"viewport": {"width": 390, "height": 844}}
FITS = """nodes => nodes.map(node =>
  [node.innerText, node.scrollWidth - node.clientWidth, node.scrollHeight - node.clientHeight])"""


def value(store, heads):
    tokens = 1 + GRID[0] * GRID[1]
    layers = [np.random.default_rng(layer).random((heads, tokens, tokens), np.float32) / 100 for layer in range(2)]
    return viewer_value(StackSource(layers, GRID, 1), store)


def inside(store):
    torch.manual_seed(0)
    config = ViTConfig(image_size=96, patch_size=8, width=12, depth=2, heads=2, mlp_width=24, classes=3)
    model = VisionTransformer(config, labels=("a black and tan coonhound", "y", "z")).eval()
    pixels = torch.randn(1, 3, 96, 96)
    return inside_value(model, model.trace(pixels), store, model.preprocessing.pixels_to_picture(pixels))


@pytest.fixture(scope="module")
def app(serve):
    store = ViewerStore()
    with gr.Blocks(analytics_enabled=False) as demo:
        for heads in (4, 12):
            AttentionViewer(value(store, heads), store=store, elem_id=f"heads{heads}")
        InsideView(inside(store), store=store, elem_id="inside")
    return serve(demo)


def opened(open_page, app, **choices):
    page = open_page(app, **choices)
    for name in ("heads4", "heads12", "inside"):
        page.wait_for_selector(f"#{name} [data-part=root][data-state=ready]")
    page.wait_for_selector("#inside .inside-facts dd")
    return page


def test_a_table_wider_than_its_place_fades_where_there_is_more(open_page, app):
    page = opened(open_page, app, **PHONE)
    frame = page.locator("#inside .inside-frame")

    def fading():
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return frame.evaluate("node => getComputedStyle(node).maskImage") != "none"

    assert fading()
    frame.evaluate("node => node.scrollLeft = 100")
    assert fading()
    frame.evaluate("node => node.scrollLeft = 10000")
    assert not fading()
    frame.evaluate("node => node.scrollLeft = 0")
    assert fading()
    frame.evaluate("node => node.querySelector('table').style.minWidth = '0'")
    assert not fading()


def cut_off(page, selector):
    return [name for name, across, down in page.locator(selector).evaluate_all(FITS) if across > 1 or down > 1]


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_phone_shows_every_heads_name_and_number(open_page, app, locale):
    page = opened(open_page, app, locale=locale, **PHONE)
    mean = {"en-GB": "Mean", "zh-CN": "平均"}[locale]
    for heads in (4, 12):
        names = page.locator(f"#heads{heads} .vit-thumb-name")
        assert names.all_inner_texts() == [*map(str, range(heads)), mean]
        assert not cut_off(page, f"#heads{heads} .vit-thumb-name")
        assert not cut_off(page, f"#heads{heads} .vit-thumb-text")
        assert min(names.evaluate_all("nodes => nodes.map(node => node.clientWidth)")) > 30


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_phone_shows_every_fact_and_a_hover_moves_nothing(open_page, app, locale):
    page = opened(open_page, app, locale=locale, **PHONE)
    page.locator("#inside [data-part=stage]").focus()
    for _ in range(2):  # to a patch whose numbers are long, and which is pinned
        page.keyboard.press("ArrowRight")
    facts, tall = page.locator("#inside .inside-facts"), set()
    for key in ("ArrowDown",) * 11 + ("Enter",):
        page.keyboard.press(key)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tall.add(facts.bounding_box()["height"])
        assert not cut_off(page, "#inside .inside-facts dd")
    assert len(tall) == 1
