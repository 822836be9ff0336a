"""Maps of several methods in a real Chromium: which is large, and how a patch is named."""

import gradio as gr
import pytest
import torch
from PIL import Image

from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.methods import METHODS
from explorer.tabs.explain.view import ExplainViewer, explain_value

GRID = (3, 4)
OF_A_CLASS = [name for name, method in METHODS.items() if method.needs_head]
STRONGEST = 6  # row 1, column 2, from 0


def shown(without=()):
    """A value in which every map is strongest in the same patch; `without`: methods that are off."""
    values = torch.zeros(GRID)
    values.view(-1)[STRONGEST] = 0.5
    maps = {name: Explanation(name, values, signed=True) for name in METHODS if name not in without}
    picture = Image.effect_noise((GRID[1] * 8, GRID[0] * 8), 60)
    return explain_value(list(METHODS), maps, dict.fromkeys(without, "off here"), GRID, picture=picture)


@pytest.fixture(scope="module")
def app(serve):
    with gr.Blocks(analytics_enabled=False) as demo:
        viewer = ExplainViewer(shown(), elem_id="explain", choices_prefix="none-of-")
        for name, value in {"headless": lambda: shown(without=OF_A_CLASS), "whole": shown}.items():
            gr.Button(name).click(value, None, viewer)
    return serve(demo)


def opened(open_page, app, **choices):
    page = open_page(app, **choices)
    page.wait_for_selector("#explain [data-part=root][data-state=ready]")
    return page


def reading(page, text):
    page.locator("#explain [data-part=reading]").get_by_text(text, exact=True).wait_for()


@pytest.mark.parametrize(
    ("locale", "strongest", "first"),
    [
        ("en-GB", "Strongest: patch 6 (row 1, column 2), 0.500", "Patch 0 (row 0, column 0): 0"),
        ("zh-CN", "最强：图块 6（第 1 行，第 2 列），0.500", "图块 0（第 0 行，第 0 列）：0"),
    ],
)
def test_patches_are_counted_from_zero_as_in_every_tab(open_page, app, locale, strongest, first):
    page = opened(open_page, app, locale=locale)
    reading(page, strongest)
    page.locator("#explain [data-part=stage]").press("ArrowRight")
    reading(page, first)


def load(page, name):
    before = page.locator("#explain [data-part=root]").get_attribute("data-seq")
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_function("b => document.querySelector('#explain [data-seq]').dataset.seq !== b", arg=before)


def large(page, method):
    page.wait_for_selector(f"#explain [data-part=root][data-method={method}]")


def test_without_a_head_the_first_method_that_is_on_is_large_until_one_is_chosen(open_page, app):
    page = opened(open_page, app)
    large(page, "relevance")
    load(page, "headless")
    large(page, "attention")
    assert page.locator("#explain [data-part=message]").is_hidden()
    load(page, "whole")
    large(page, "relevance")
    page.locator("#explain [data-part=method]").select_option("gradient-rollout")
    load(page, "headless")
    large(page, "gradient-rollout")
    page.locator("#explain [data-part=message]").get_by_text("off here").wait_for()
