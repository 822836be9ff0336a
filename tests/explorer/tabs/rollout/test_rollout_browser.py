"""The Rollout tab's choices in a real Chromium: nothing of them is squeezed or cut, at the widths that the page has."""

import gradio as gr
import pytest

import app
from explorer.tabs.rollout import tab as rollout

BESIDE_THE_PICTURE = 1020  # pixels of the row on a screen of 1440


@pytest.fixture(scope="module")
def alone():
    """Address of a page with this tab alone."""
    with gr.Blocks(analytics_enabled=False, fill_width=True) as demo, gr.Tabs():
        rollout.build()
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


SLIDERS = """nodes => nodes.map((node) => {
  const slider = node.querySelector("input[type=range]"), box = node.getBoundingClientRect();
  const label = document.createRange();
  label.selectNodeContents(node.querySelector("[data-testid=block-info]"));
  const spans = [...node.querySelectorAll("span")];
  const end = spans.find((span) => span.textContent.trim() === "0.99")?.getBoundingClientRect();
  const lines = Math.round(label.getBoundingClientRect().height / 20);
  return { lines, track: slider.getBoundingClientRect().width, past: end ? end.right - box.right : 0 };
})"""


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_sliders_have_room_for_their_names_and_ends(open_page, alone, locale):
    page = open_page(alone, locale=locale)
    row = page.locator("#rollout-choices")
    row.wait_for()
    for wanted in (BESIDE_THE_PICTURE, 900, 330):
        spare = page.viewport_size["width"] - row.bounding_box()["width"]
        page.set_viewport_size({"width": int(wanted + spare), "height": 900})
        page.wait_for_timeout(300)
        sliders = page.locator("#discard_a, #discard_b").evaluate_all(SLIDERS)
        assert len(sliders) == 2
        for slider in sliders:
            assert slider["lines"] <= 2, (wanted, sliders)
            assert slider["past"] <= 0, (wanted, sliders)
            assert slider["track"] > 90, (wanted, sliders)
