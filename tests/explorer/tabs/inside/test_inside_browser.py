"""The Inside tab in a real Chromium: one slider for every map, hovered without a request, and what the numbers say."""

from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch

import app
from explorer.analysis.lens import read_tokens, top_by_layer
from explorer.analysis.tokens import token_norms, token_similarity
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.inside import tab as inside
from explorer.tabs.inside.view import InsideSource, InsideView, inside_value
from explorer.ui.examples import example_files
from explorer.ui.viewer_store import STORE
from explorer.viewer.matrix.store import ViewerStore
from vit_model import VisionTransformer, ViTConfig

MAPS = ["attention", "similarity", "classes", "certainty", "colours", "norms", "entropy"]


@pytest.fixture(scope="module")
def scene():
    return scene_of(ModelChoice(), str(example_files()[0]))


@pytest.fixture(scope="module")
def alone():
    """Address of a page with this tab and an empty one, which opens in a fraction of the whole page's time."""
    with gr.Blocks(analytics_enabled=False, fill_width=True) as demo:
        choice, picture = gr.State(ModelChoice()), gr.Textbox(str(example_files()[0]), visible=False)
        with gr.Tabs():
            with gr.Tab("First"):
                gr.Markdown("The other one is mounted late, as on the page")
            tab = inside.build()
            with gr.Tab("Planted", elem_id="tab-planted"):
                InsideView(planted(), store=STORE, elem_id="planted")

        def fill(request: gr.Request, choice, file):
            return tab.show(scene_of(choice, file), request)[0]

        tab.item.select(fill, [choice, picture], list(tab.outputs))
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


def planted():
    """The value of a picture with one artefact: patch 6 before layer 1."""
    model, pixels = tiny(), torch.randn(1, 3, 32, 32)
    trace = model.trace(pixels)
    states = [state.clone() for state in trace.residual]
    states[1][0, 7] *= 12
    picture = model.preprocessing.pixels_to_picture(pixels)
    return inside_value(model, replace(trace, residual=tuple(states)), STORE, picture)


def opened(open_page, url, **choices):
    page = open_page(url, **choices)
    page.set_default_timeout(60_000)
    page.locator("#tab-inside-button").click()
    page.wait_for_selector("#inside [data-state=ready]")
    page.wait_for_function("window.vitStates.inside")
    return page


@pytest.fixture
def page(kept_page, alone, scene):
    """The tab as it opens, whatever the test before has chosen."""
    page = opened(kept_page, alone)
    page.mouse.move(1, 1)
    for button in ("[data-map=colours]", "[data-joint=true]", "[data-map=attention]"):
        page.locator(f"#inside {button}").click()
    page.locator("#inside [data-part=stage]").focus()
    for key in ("c", "Escape"):
        page.keyboard.press(key)
    to_state(page, scene.trace.layers - 1)
    page.wait_for_function("vitStates.inside.query === 0 && vitStates.inside.map === 'attention'")
    page.evaluate("document.activeElement.blur()")
    return page


def quiet(page):
    """Once nothing more arrives: how many requests there were."""
    asked = -1
    while asked < len(page.asked):
        asked = len(page.asked)
        page.wait_for_timeout(1500)
    return asked


def state(page):
    return page.evaluate("window.vitStates.inside")


def canvas(page, name):
    """The pixels of one small map, as text."""
    return page.locator(f"#inside [data-map={name}] canvas").evaluate("canvas => canvas.toDataURL()")


def fact(page, name):
    return page.locator("#inside .inside-facts div", has_text=name).locator("dd").inner_text()


def to_state(page, layer):
    page.locator("#inside [data-part=layer]").fill(str(layer))
    page.wait_for_function("layer => window.vitStates.inside?.layer === layer", arg=layer)


def test_one_slider_moves_every_map_without_a_request(page, scene):
    asked = quiet(page)
    seen = []
    for layer in (6, 2):
        to_state(page, layer)
        seen.append({name: canvas(page, name) for name in MAPS})
    assert all(seen[0][name] != seen[1][name] for name in MAPS)
    assert page.locator("#inside tr[aria-current] th").inner_text() == "entering layer 2"
    box = page.locator("#inside [data-part=stage]").bounding_box()
    for step in range(12):
        page.mouse.move(box["x"] + box["width"] * (step + 0.5) / 12, box["y"] + box["height"] * 0.4)
    page.wait_for_timeout(300)
    assert [url for url in page.asked[asked:] if "heartbeat" not in url] == []
    query = state(page)["query"]
    reading = read_tokens(scene.model, scene.trace, 2)
    label = scene.model.labels[reading.classes[query]]
    assert fact(page, "Read as") == f"{label} · {100 * reading.probabilities[query]:.1f}%"
    assert float(fact(page, "Norm")) == pytest.approx(float(token_norms(scene.trace)[2, query]), rel=1e-3)
    similarity = token_similarity(scene.trace, 2, query)
    similarity[[0, query]] = -1
    nearest = float(fact(page, "Most similar patch").split(" · ")[1])
    assert nearest == pytest.approx(float(similarity.max()), abs=0.008)


def test_the_table_is_the_lens_and_a_row_leads_to_its_layer(page, scene):
    rows = page.locator("#inside [data-part=rows] tr")
    top = top_by_layer(scene.model, scene.trace)
    assert rows.count() == len(top.classes) == scene.trace.layers + 1
    for layer in (0, scene.trace.layers // 2, scene.trace.layers):
        expected = [scene.model.labels[index] for index in top.classes[layer].tolist()]
        assert rows.nth(layer).locator(".label").all_inner_texts() == expected
    assert rows.last.locator(".label").all_inner_texts() == [label for label, _ in scene.top()]
    rows.nth(3).locator("button").click()
    page.wait_for_function("window.vitStates.inside?.layer === 3")


def test_keys_reach_every_layer_map_and_token(page, scene):
    last = scene.trace.layers
    page.locator("#inside [data-part=stage]").focus()
    for key in ("[", ".", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_function("window.vitStates.inside?.map === 'similarity'")
    assert state(page)["layer"] == last - 2
    assert state(page)["query"] == 1
    page.keyboard.press("]")
    page.keyboard.press("]")
    page.keyboard.press("c")
    page.wait_for_function(f"window.vitStates.inside?.layer === {last} && window.vitStates.inside?.query === 0")
    page.keyboard.press(",")
    page.wait_for_function("window.vitStates.inside?.map === 'attention'")
    assert "No attention follows" in page.locator("#inside [data-part=how]").inner_text()
    spoken = page.locator("#inside [data-part=spoken]").inner_text()
    assert spoken.startswith("after the last layer. Attention. Token CLS")


def test_colours_can_be_fitted_layer_by_layer_and_drawn_as_a_png(page, scene):
    page.locator("#inside [data-map=colours]").click()
    joint = canvas(page, "colours")
    page.locator("#inside [data-joint=false]").click()
    page.wait_for_function("window.vitStates.inside?.joint === false")
    assert canvas(page, "colours") != joint
    with page.expect_download() as download:
        page.locator("#inside [data-part=save]").click()
    assert download.value.suggested_filename == f"inside-colours-state{scene.trace.layers - 1}.png"


def test_an_artefact_is_framed_and_attention_can_be_shown_without_it(page):
    page.locator("#tab-planted-button").click()
    page.wait_for_selector("#planted [data-state=ready]")
    sentence = page.locator("#planted [data-part=artefacts]")
    page.wait_for_function("document.querySelector('#planted [data-part=artefacts]')?.textContent")
    assert "Patches that stand out: 1 (framed)." in sentence.inner_text()
    assert "by their number alone it would be 5.9%" in sentence.inner_text(), "one of 17 tokens"
    assert page.locator("#planted [data-part=marks]").evaluate("canvas => canvas.width") == 4 * 16
    small = page.locator("#planted [data-map=attention] canvas")
    before = small.evaluate("canvas => canvas.toDataURL()")
    page.locator("#planted [data-part=without]").check()
    page.wait_for_function("window.vitStates.planted?.without === true")
    assert small.evaluate("canvas => canvas.toDataURL()") != before
    pixel = small.evaluate("canvas => [...canvas.getContext('2d').getImageData(2, 1, 1, 1).data].slice(0, 3)")
    assert pixel == [0x44, 0x01, 0x54], "the lowest colour: it gets nothing"
    page.locator("#planted [data-part=layer]").fill("0")
    page.wait_for_function("document.querySelector('#planted [data-part=artefacts]')?.textContent === ''")


def test_what_is_taken_away_as_numbers(scene):
    last = scene.trace.layers
    arrays, choices = inside._arrays(scene, {"layer": last, "query": 3})
    assert (choices["state"], choices["query"]) == (last, 3)
    assert arrays["layer_logits"].shape == (last + 1, 10)
    np.testing.assert_array_equal(arrays["layer_logits"][-1], scene.trace.logits[0])
    assert arrays["components_own"].shape == (last + 1, 12, 12, 3)
    assert "attention" not in arrays, "none follows the last layer"
    attention = inside._arrays(scene, {"layer": 2, "query": 3})[0]["attention"]
    np.testing.assert_allclose(attention, scene.trace.attention(2)[0, :, 3], rtol=1e-4, atol=1e-6)


def test_on_a_phone_in_chinese_nothing_is_wider_than_the_screen(open_page, alone):
    page = opened(open_page, alone, viewport={"width": 390, "height": 844}, locale="zh-CN")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#inside [data-part=how]").inner_text().startswith("所选 token")


def tiny(**fields):
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2, "mlp_width": 48, "classes": 3}
    return VisionTransformer(ViTConfig(**shape | fields)).eval()


def test_a_source_gives_the_same_rows_as_matrices():
    source = InsideSource(tiny(registers=1).trace(torch.randn(1, 3, 32, 32)))
    assert source.layers == 3
    for layer in range(3):
        whole = source.matrices(layer)
        torch.testing.assert_close(source.rows(layer, 5, "to"), whole[:, 5])
    assert not source.matrices(2)[0].any(), "no attention follows the last layer"
    with pytest.raises(ValueError, match="attends to"):
        source.rows(0, 0, "by")


@pytest.mark.parametrize("fields", [{"classes": 0}, {"pool": "mean-patches", "class_token": False}], ids=str)
def test_models_without_a_head_or_a_class_token_have_values(fields):
    model = tiny(**fields)
    pixels = torch.randn(1, 3, 32, 32)
    value = inside_value(model, model.trace(pixels), ViewerStore(), model.preprocessing.pixels_to_picture(pixels))
    assert (value["lens"] is None) == (not model.config.classes)
    assert len(value["artefacts"]["shares"]) == 2


def test_hostile_states_fall_back(scene):
    for hostile in ({"layer": 99, "query": -1}, {"layer": "1", "query": None}, {"layer": True}):
        arrays, choices = inside._arrays(scene, hostile)
        assert (choices["state"], choices["query"]) == (scene.trace.layers - 1, 0)
    assert arrays["similarity"].shape == (145,)
