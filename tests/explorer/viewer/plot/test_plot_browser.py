"""PlotlyView: figures made JSON-safe, and drawn, linked and themed in a real Chromium."""

import json

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.viewer.plot.plot import PlotlyView, json_safe, plot_value

LINK = {"event": "vit:select", "viewer": "attention", "fields": ["layer", "panel"]}


def figure(scale=1.0, title="Attention distance"):
    layers, heads = (index.ravel() for index in np.indices((4, 2)))
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": layers,
        "y": scale * (1 + layers + heads / 4),
        "customdata": np.stack([layers, heads], axis=1),
        "marker": {"size": 12},
    }
    layout = {"title": {"text": title}, "yaxis": {"title": {"text": "metres"}}, "height": 300}
    return {"data": [points], "layout": layout}


def test_arrays_become_what_json_and_plotly_take():
    large = np.arange(2048, dtype=np.float64).reshape(2, 1024)
    safe = json_safe({"x": np.array([1.0, np.nan]), "z": large, "customdata": np.zeros((1024, 2)), "n": np.int64(3)})
    json.dumps(safe, allow_nan=False)
    assert safe["x"] == [1.0, None]
    assert safe["n"] == 3 and type(safe["n"]) is int
    assert safe["z"]["dtype"] == "f8" and safe["z"]["shape"] == "2, 1024"
    assert isinstance(safe["customdata"], list)


def test_wording_of_a_figure_without_traces():
    with pytest.raises(
        ValueError, match=r'expected a figure \{"data": \[traces\], "layout": .*got keys \[\'layout\'\]'
    ):
        plot_value({"layout": {}})
    with pytest.raises(ValueError, match="missing: fields, viewer"):
        plot_value(figure(), {"event": "vit:select"})


def test_api_calls_it_an_object():
    assert PlotlyView(render=False).api_info() == {"type": "object"}


@pytest.fixture(scope="module")
def url(serve):
    heat = {"data": [{"type": "heatmap", "z": np.arange(1600.0).reshape(40, 40)}], "layout": {"title": "Heat"}}
    with gr.Blocks() as demo, gr.Tabs():
        with gr.Tab("Empty"):
            PlotlyView(elem_id="nothing")
        with gr.Tab("Plots"):
            plot = PlotlyView(plot_value(figure(), LINK, "a <model>"), elem_id="plot")
            PlotlyView(plot_value(heat), elem_id="heat")
            title = {"en": "Distance, doubled", "zh": "两倍距离"}
            gr.Button("Again").click(lambda: plot_value(figure(2.0, title), LINK), None, plot)
            gr.HTML("<div style='height: 3000px'></div>")
            PlotlyView(plot_value(heat), elem_id="below")
    return serve(demo)


def open_plots(watched, url, **choices):
    page = watched(url, **choices)
    page.wait_for_selector("#nothing [data-state=empty]", state="attached")
    assert not any("plotly.min.js" in address for address in page.asked), "plotly.js was loaded before any plot"
    page.get_by_role("tab", name="Plots").click()
    page.wait_for_selector("#plot [data-state=ready]")
    page.wait_for_selector("#heat [data-state=ready]")
    return page


@pytest.fixture(scope="module")
def shared_page(watched, url):
    page = open_plots(watched, url)
    yield page
    page.close()


@pytest.fixture
def page(shared_page, open_page):
    """One page for all tests that leave the figure as it is."""
    return shared_page


def test_plots_share_one_library_and_offer_no_upload(page):
    assert sum("plotly.min.js" in address for address in page.asked) == 1
    assert page.get_by_role("img", name="Attention distance").is_visible()
    assert page.get_by_role("img", name="Heat").is_visible()
    buttons = page.eval_on_selector_all(".modebar-btn", "all => all.map((one) => one.dataset.title)")
    assert "Download plot as a PNG" in buttons
    assert not [title for title in buttons if "loud" in title or "Edit" in title]


def test_on_a_phone_the_toolbar_leaves_the_title_free(open_page, url):
    """Where nothing hovers, plotly.js shows it for good."""
    page = open_plots(open_page, url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    buttons = page.eval_on_selector_all("#plot .modebar-btn", "all => all.map((one) => one.dataset.title)")
    assert buttons == ["Download plot as a PNG"]
    edge = "name => document.querySelector(`#plot ${name}`).getBoundingClientRect()"
    assert page.evaluate(f"({edge})('.gtitle').right") <= page.evaluate(f"({edge})('.modebar').left")


def test_click_on_a_point_selects_and_the_viewers_state_is_ringed_without_a_request(page):
    page.evaluate("document.addEventListener('vit:select', (event) => (window.selected = event.detail))")
    before = len(page.asked)
    page.locator("#plot .points path").nth(5).hover(force=True)
    page.wait_for_timeout(100)
    page.locator("#plot .points path").nth(5).click(force=True)
    page.wait_for_function("window.selected")
    assert page.evaluate("window.selected") == {"viewer": "attention", "layer": 2, "panel": 1}

    state = (
        "(layer, viewer) => document.dispatchEvent(new CustomEvent('vit:state', {detail: {viewer, layer, panel: 0}}))"
    )
    rings = "document.querySelector('#plot .js-plotly-plot').data.at(-1)"
    page.evaluate(f"(({state})(3, 'attention'))")
    assert page.evaluate(f"[{rings}.x, {rings}.y]") == [[3], [4]]
    page.evaluate(f"(({state})(1, 'another viewer'))")
    assert page.evaluate(f"{rings}.x") == [3]
    assert len(page.asked) == before


def test_points_are_walked_and_selected_with_the_keyboard(page):
    plot, spoken = page.locator("#plot .vit-plot"), page.locator("#plot .vit-plot-spoken")
    assert plot.get_attribute("aria-label").endswith(
        "a chart of 8 points. Arrow keys move from point to point, Enter selects."
    )
    plot.focus()
    seen = []
    for key in (
        "ArrowRight",
        "ArrowUp",
        "ArrowUp",
        "ArrowRight",
        "ArrowDown",
        "ArrowLeft",
        "End",
        "ArrowRight",
        "Home",
    ):
        page.keyboard.press(key)
        seen.append(spoken.text_content())
    first, above, next_, below, last = "0, 1", "0, 1.25", "1, 2", "1, 2", "3, 4.25"
    assert seen == [first, above, above, next_, below, above, last, last, first]
    assert page.locator("#plot .hoverlayer .hovertext").count() == 1, "and shown"
    page.evaluate("document.addEventListener('vit:select', (event) => (window.walked = event.detail))")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.evaluate("window.walked") == {"viewer": "attention", "layer": 0, "panel": 1}
    page.keyboard.press("Escape")
    assert spoken.text_content() == ""
    assert page.locator("#plot .hoverlayer .hovertext").count() == 0
    assert page.locator("#heat .vit-plot").get_attribute("tabindex") is None, "a heat map has no points to walk over"


def test_zoom_holds_when_the_value_changes(open_page, url):
    page = open_plots(open_page, url)
    shown = "document.querySelector('#plot .js-plotly-plot')._fullLayout.xaxis.range"
    whole = page.evaluate(shown)
    box = page.locator("#plot .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_function(f"({shown})[1] < {whole[1]}")
    zoomed = page.evaluate(shown)
    page.get_by_role("button", name="Again").click()
    page.wait_for_selector("#plot [data-seq='2']")
    assert page.evaluate(shown) == pytest.approx(zoomed)
    assert page.get_by_role("img", name="Distance, doubled").is_visible()


def test_dark_mode_is_followed_live(page):
    template = "document.querySelector('#plot .js-plotly-plot').layout.template.layout"
    colours = f"[{template}.paper_bgcolor, {template}.font.color]"
    light = page.evaluate(colours)
    page.evaluate("document.body.classList.toggle('dark')")
    page.wait_for_function(f"({colours})[0] !== {json.dumps(light[0])}")
    assert page.evaluate(colours)[1] != light[1]


def test_what_is_out_of_sight_is_drawn_when_it_is_scrolled_to(page):
    page.wait_for_selector("#below [data-state=loading]")
    page.wait_for_timeout(500)
    assert page.locator("#below .js-plotly-plot").count() == 0
    page.locator("#below .vit-plot").scroll_into_view_if_needed()
    page.wait_for_selector("#below [data-state=ready]")


def test_a_missing_library_is_said_in_words(open_page, url):
    page = open_page(url)
    page.route("**/plotly.min.js", lambda route: route.fulfill(status=403, body=""))
    page.get_by_role("tab", name="Plots").click()
    page.wait_for_selector("#plot [data-state=error]")
    assert "could not be loaded" in page.inner_text("#plot")


def test_a_saved_picture_says_what_it_shows(page):
    page.locator("#plot .js-plotly-plot").hover()
    with page.expect_download() as download:
        page.locator("#plot .modebar-btn[data-title='Download plot as a PNG']").click()
    assert download.value.suggested_filename == "attention-distance.png"
    with Image.open(download.value.path()) as picture:
        about = json.loads(picture.text["vit-explorer"])
        assert len(picture.convert("RGB").getcolors(2**20)) > 10
    about.pop("date")
    assert about == {
        "viewer": "plot",
        "title": "Attention distance",
        "caption": "a <model>",
        "x": "",
        "y": "metres",
        "traces": [""],
    }
