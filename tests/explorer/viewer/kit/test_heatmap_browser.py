"""Colours of a map, drawn in a real Chromium."""

import gradio as gr
import pytest

from explorer.viewer.kit.component import MOUNT
from explorer.viewer.kit.served import script_address

DRAWN = """async ([folder, values, low, high, colours, faded, smooth]) => {
  const { colourTable, fadedTable } = await import(`${folder}/colours.js`);
  const { HeatMap } = await import(`${folder}/heatmap.js`);
  const canvas = document.createElement("canvas"), table = (faded ? fadedTable : colourTable)(colours);
  new HeatMap(canvas).draw(values, 0, 2, 2, low, high, table, smooth);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const at = (index) => [0, 1, 2, 3].map((c) => (table[index] >>> (8 * c)) & 255);
  return { pixels: [...data], lowest: at(0), middle: at(128) };
}"""


@pytest.fixture(scope="module")
def drawn(browser, serve):
    """drawn(values, low, high, colours, faded, smooth) -> pixels of a 2 x 2 map and of its colours."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Markdown("scripts")
    url, page = serve(demo), browser.new_page()
    page.goto(f"{url}theme.css")  # of the server, and nothing else on it
    folder = f"{url}{script_address(MOUNT)}".removesuffix("/mount.js")
    yield lambda *about: page.evaluate(DRAWN, [folder, *about])
    page.close()


@pytest.mark.parametrize("smooth", [False, True])
def test_no_difference_is_neutral_and_not_the_strongest_negative_one(drawn, smooth):
    map_ = drawn([0, 0, 0, 0], -0.0, 0, "diverging", False, smooth)
    colours = {tuple(map_["pixels"][i : i + 4]) for i in range(0, len(map_["pixels"]), 4)}
    assert colours == {tuple(map_["middle"])}
    assert min(map_["middle"][:3]) > 200  # next to white


def test_no_difference_over_a_picture_lets_it_through(drawn):
    assert drawn([0, 0, 0, 0], 0, 0, "diverging", True, False)["pixels"][3] < 50


def test_a_flat_map_without_a_sign_keeps_the_low_end(drawn):
    map_ = drawn([0.2] * 4, 0.2, 0.2, "viridis", False, False)
    assert map_["pixels"][:4] == map_["lowest"]
