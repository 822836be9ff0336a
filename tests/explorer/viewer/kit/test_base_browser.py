"""What the canvas components share, in a real Chromium: colours of a map, and the numbers at the ends of its scale."""

from pathlib import Path

import pytest

from explorer.viewer.kit import component

BASE = Path(component.__file__).with_name("base.js")


@pytest.fixture(scope="module")
def vit(browser):
    """vit(expression, argument): what base.js says."""
    page = browser.new_page()
    page.add_script_tag(path=BASE)
    yield page.evaluate
    page.close()


DRAWN = """([values, low, high, colours, faded, smooth]) => {
  const canvas = document.createElement("canvas"), table = faded ? vit.faded(colours) : vit.colours(colours);
  new vit.HeatMap(canvas).draw(values, 0, 2, 2, low, high, table, smooth);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const at = (index) => [0, 1, 2, 3].map((c) => (table[index] >>> (8 * c)) & 255);
  return { pixels: [...data], lowest: at(0), middle: at(128) };
}"""


@pytest.mark.parametrize("smooth", [False, True])
def test_no_difference_is_neutral_and_not_the_strongest_negative_one(vit, smooth):
    drawn = vit(DRAWN, [[0, 0, 0, 0], -0.0, 0, "diverging", False, smooth])
    colours = {tuple(drawn["pixels"][i : i + 4]) for i in range(0, len(drawn["pixels"]), 4)}
    assert colours == {tuple(drawn["middle"])}
    assert min(drawn["middle"][:3]) > 200  # next to white


def test_no_difference_over_a_picture_lets_it_through(vit):
    assert vit(DRAWN, [[0, 0, 0, 0], 0, 0, "diverging", True, False])["pixels"][3] < 50


def test_a_flat_map_without_a_sign_keeps_the_low_end(vit):
    drawn = vit(DRAWN, [[0.2] * 4, 0.2, 0.2, "viridis", False, False])
    assert drawn["pixels"][:4] == drawn["lowest"]


@pytest.mark.parametrize(
    ("low", "high", "unit", "ends"),
    [
        (0.01, 0.0104, "percent", ["1.000%", "1.040%"]),
        (0.0099, 0.0101, "percent", ["0.990%", "1.010%"]),
        (0.006897, 0.006899, "percent", ["0.68970%", "0.68990%"]),
        (0.00002, 0.139, "percent", ["0.0%", "13.9%"]),
        (-0.49, 0.49, "percent", ["-49.0%", "49.0%"]),
        (-3.6e-5, 3.6e-5, "percent", ["-0.0036%", "0.0036%"]),
        (1e-15, 3e-15, "percent", ["1.0e-13%", "3.0e-13%"]),
        (0.1, 0.1, "percent", ["10.0%", "10.0%"]),
        (0, 0, "percent", ["0.0%", "0.0%"]),
        (0.5, 0.75, "number", ["0.500", "0.750"]),
        (0.5, 0.5004, "number", ["0.50000", "0.50040"]),
    ],
)
def test_the_ends_of_a_scale_have_equal_digits_and_differ_where_the_map_does(vit, low, high, unit, ends):
    assert vit("([low, high, unit]) => vit.ends(low, high, unit)", [low, high, unit]) == ends
