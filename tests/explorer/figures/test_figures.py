"""Pictures and Plotly figures: scales, places and labels."""

import json

import numpy as np
import plotly.graph_objects
import pytest
import torch
from PIL import Image

from explorer import Explanation
from explorer.figures import figures
from explorer.viewer.plot.plot import plot_value

LOW, HIGH = [0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]  # viridis' ends


def test_an_unsigned_scale_starts_at_zero():
    found = figures.colour([[0.0, 2.0], [1.0, 2.0]])
    assert found.dtype == np.uint8
    assert found[0].tolist() == [LOW, HIGH]
    assert found[1, 0].tolist() == figures.colour_table("viridis")[128].tolist()
    flat = figures.colour([[0.9, 1.0]])  # a nearly flat map looks nearly flat
    assert np.abs(flat[0, 0].astype(int) - flat[0, 1]).max() < 80


def test_a_signed_scale_has_zero_in_its_middle():
    table = figures.colour_table("diverging")
    found = figures.colour([-4.0, 0.0, 2.0, 4.0], "diverging", signed=True)
    assert found.tolist() == [table[index].tolist() for index in (0, 128, 191, 255)]


def test_a_limit_makes_maps_share_a_scale_and_cuts_what_is_beyond():
    assert figures.colour([1.0, 8.0], limit=4.0).tolist() == [figures.colour_table("viridis")[64].tolist(), HIGH]
    assert figures.colour(np.zeros((2, 2))).tolist() == [[LOW, LOW], [LOW, LOW]]


@pytest.mark.parametrize("name", figures.COLOUR_MAPS)
def test_every_colour_map_runs_from_its_first_stop_to_its_last(name):
    table = figures.colour_table(name)
    assert table.shape == (256, 3)
    stops = figures._STOPS[name].split()
    assert bytes(table[0]).hex() == stops[0]
    assert bytes(table[-1]).hex() == stops[-1]


def test_overlay_puts_every_patch_in_its_place():
    picture = Image.new("RGB", (60, 40), (100, 100, 100))
    explanation = Explanation("rollout", torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    found = np.asarray(figures.overlay(picture, explanation, opacity=1.0))
    assert found.shape == (40, 60, 3)
    assert (found[:20, 40:] == HIGH).all()
    assert (found[20:] == LOW).all()
    assert (found[:, :40] == LOW).all()
    assert np.array_equal(np.asarray(figures.overlay(picture, explanation, opacity=0.0)), np.asarray(picture))
    half = np.asarray(figures.overlay(picture, explanation, opacity=0.5))
    np.testing.assert_allclose(half[0, 50], (np.array(HIGH) + 100) / 2, atol=1)


def test_smooth_overlay_keeps_the_peak_in_its_patch():
    explanation = Explanation("rollout", torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    found = np.asarray(figures.overlay(Image.new("RGB", (90, 90)), explanation, "grey", 1.0, smooth=True))[..., 0]
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 30 <= row < 60
    assert column >= 60
    assert len(np.unique(found)) > 20


def test_filter_tile_draws_zero_as_grey_and_each_filter_on_its_own_scale():
    filters = np.zeros((3, 2, 2, 3), np.float32)
    filters[0, 0, 0] = [1.0, 0.0, -1.0]
    filters[1, 1, 1] = [0.0, 0.01, 0.0]
    found = np.asarray(figures.filter_tile(filters, across=2, zoom=4, gap=2))
    assert found.shape == (18, 18, 3)
    assert found[0, 0].tolist() == [255, 128, 0]
    assert found[6, 16].tolist() == [128, 255, 128]
    assert found[12, 2].tolist() == [128, 128, 128]
    assert (found[8:10] == 255).all()
    grey = figures.filter_tile(filters[..., :1])
    assert grey.mode == "RGB"


def test_position_mosaic_has_a_map_for_every_position():
    similarity = torch.eye(6).reshape(2, 3, 2, 3)
    found = np.asarray(figures.position_mosaic(similarity, "grey", zoom=2, gap=1))
    assert found.shape == (2 * 4 + 1, 3 * 6 + 2, 3)
    assert found[0, 0].tolist() == [255, 255, 255]  # the first map is brightest at the first place
    assert found[0, 2].tolist() == [0, 0, 0]
    assert found[8, 19].tolist() == [255, 255, 255]  # and the last one at the last


@pytest.mark.parametrize(
    ("make", "language", "title"),
    [
        (figures.distance_figure, "en", "mean attention distance (pixels)"),
        (figures.entropy_figure, "zh", "平均注意力熵（nat）"),
    ],
)
def test_plotly_figures_hold_every_head_and_say_the_unit(make, language, title):
    values = torch.arange(12.0).reshape(4, 3)
    figure = make(values, language)
    assert figure["layout"]["yaxis"]["title"]["text"] == title
    (points,) = figure["data"]
    for index, (layer, head) in enumerate(points["customdata"].tolist()):
        assert points["x"][index] == layer
        assert points["y"][index] == values[layer, head]
    plotly.graph_objects.Figure(figure)  # raises on a property that plotly.js does not have
    json.dumps(plot_value(figure))


@pytest.mark.parametrize("paper", ["#ffffff", "#1e293b"])
def test_points_are_seen_on_a_light_and_on_a_dark_page(paper):
    """Their outline is: head 0 is nearly the dark page's own colour. 3 to 1 is what WCAG asks of graphics."""

    def luminance(colour):
        shares = np.array(list(bytes.fromhex(colour[1:]))) / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    (points,) = figures.distance_figure(np.zeros((2, 2)))["data"]
    dark, light = sorted(luminance(colour) for colour in (paper, points["marker"]["line"]["color"]))
    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.colour([1.0], "jet"), "unknown colour map 'jet'; there are viridis, magma"),
        (lambda: figures.colour([np.nan]), "NaN or infinite values; check the model's weights"),
        (lambda: figures.colour([1.0], limit=0.0), "limit must be above 0, got 0.0"),
        (lambda: figures.filter_tile(np.zeros((2, 4, 4, 2))), r"expected filters \[count, ph, pw, 1 or 3 channels\]"),
        (lambda: figures.position_mosaic(np.zeros((2, 3, 3, 2))), r"expected similarities \[gh, gw, gh, gw\]"),
        (lambda: figures.entropy_figure(np.zeros(3)), r"expected values \[layers, heads\], got \[3\]"),
        (lambda: figures.entropy_figure(np.zeros((2, 2)), "fr"), "language must be one of en, zh, got 'fr'"),
        (
            lambda: figures.overlay(Image.new("RGB", (4, 4)), Explanation("a", torch.ones(2, 2)), opacity=2),
            "opacity must be from 0 to 1, got 2",
        ),
    ],
)
def test_wording_of_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_rollout_sheet_darkens_what_was_not_attended_to():
    white = Image.new("RGB", (60, 60), "white")
    values = torch.zeros(3, 3)
    values[0, 0] = 0.2
    wide = Image.new("RGB", (60, 30), "white")
    sheet = figures.rollout_sheet(
        [(white, Explanation("rollout", values)), (wide, Explanation("rollout", values))], across=1, side=60
    )
    assert sheet.mode == "RGBA"
    assert np.asarray(sheet)[61, :, 3].max() == 0, "between the rows there is only the page"
    pixels = np.asarray(Image.alpha_composite(Image.new("RGBA", sheet.size, "white"), sheet).convert("RGB")).mean(-1)
    assert pixels.shape == (60 + 3 + 60, 60 + 1 + 60)
    assert pixels[:60, :60].min() == 255  # the picture itself
    beside = pixels[:60, 61:]
    assert beside[5, 5] == 255  # its strongest patch, as bright as the picture however small the value
    assert beside[50, 50] == 0
    assert 0 < beside[10, 20] < 255  # interpolated between patches
    assert pixels[63:78, :60].min() == 255  # a wide picture is centred
    assert pixels[63 + 40, 61 + 50] == 0
    assert pixels[63 + 50, 61 + 50] == 255
    with pytest.raises(ValueError, match="at least one"):
        figures.rollout_sheet([])
