"""The Laboratory tab in a real Chromium: select, change, undo, switch off, ablate, cancel, take away."""

import itertools
import re
import threading

import gradio as gr
import pytest

import app
from explorer.analysis import ablation
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.laboratory import edits as laboratory_edits
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.laboratory.edits import ablation_of, read_wish
from explorer.ui.errors import plain_errors
from explorer.ui.examples import example_files
from tests.explorer.page.whole_page import slow_down


@pytest.fixture(scope="module")
def scene():
    return scene_of(ModelChoice(), str(example_files()[0]))


@pytest.fixture(scope="module")
def alone():
    """Address of a page with this tab and no other, which opens in a fraction of the whole page's time."""
    with gr.Blocks(analytics_enabled=False, fill_width=True) as demo:
        choice, picture = gr.State(ModelChoice()), gr.Textbox(str(example_files()[0]), visible=False)
        with gr.Tabs():
            tab = laboratory.build(choice, picture)

        @plain_errors
        def fill(request: gr.Request, choice, file):
            return tab.show(scene_of(choice, file), request)

        demo.load(fill, [choice, picture], list(tab.outputs))
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


def opened(open_page, url, **choices):
    page = open_page(url, **choices)
    page.set_default_timeout(60_000)
    for name in ("laboratory", "laboratory-outcome", "laboratory-parts"):
        page.wait_for_selector(f"#{name} [data-state=ready]")
    page.wait_for_function("window.vitStates.laboratory")
    return page


@pytest.fixture
def page(open_page, alone):
    return opened(open_page, alone)


def edits(page):
    return page.evaluate("window.vitStates.laboratory.edits")


def seq(page):
    return page.locator("#laboratory-outcome [data-seq]").get_attribute("data-seq")


def changed(page, act):
    """Do something and wait for what comes of it: the sentence on the class that is watched."""
    before = seq(page)
    act()
    page.wait_for_function(
        "b => document.querySelector('#laboratory-outcome [data-seq]').dataset.seq !== b", arg=before
    )
    page.wait_for_selector("#laboratory [data-state=ready]")
    return page.locator("#laboratory-outcome [data-part=watched]").inner_text()


def numbers(sentence):
    return [float(number) for number in re.findall(r"([\d.]+)%", sentence)]


def test_patches_are_masked_with_the_mouse_and_it_is_undone(page, scene):
    whole = pytest.approx(100 * scene.top()[0][1], abs=0.1)
    box = page.locator("#laboratory [data-part=stage]").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    for step in range(1, 7):
        page.mouse.move(box["x"] + 5 + box["width"] * step / 12, box["y"] + 5)
    page.mouse.up()
    sentence = changed(page, lambda: page.locator("#laboratory [data-kind=drop]").click())
    assert edits(page)["steps"] == [{"kind": "drop", "patches": [0, 1, 2, 3, 4, 5, 6], "seed": 0}]
    before, after = numbers(sentence)
    assert before == whole
    assert after != before
    sentence = changed(page, lambda: page.locator("#laboratory [data-part=undo]").click())
    assert edits(page)["steps"] == []
    assert numbers(sentence) == [whole, whole]
    assert page.locator("#laboratory [data-part=undo]").is_disabled()


def test_the_keyboard_selects_moves_and_changes(page):
    page.locator("#laboratory [data-part=stage]").focus()
    for key in ("ArrowDown", "Shift+ArrowRight", "ArrowDown", " "):
        page.keyboard.press(key)
    changed(page, lambda: page.keyboard.press("Alt+ArrowDown"))
    changed(page, lambda: page.keyboard.press("g"))
    steps = edits(page)["steps"]
    assert [(step["kind"], step["patches"]) for step in steps] == [("move", [12, 13, 25]), ("grey", [24, 25, 37])]
    assert steps[0]["by"] == [1, 0]
    changed(page, lambda: page.keyboard.press("Control+z"))
    assert len(edits(page)["steps"]) == 1


def test_a_change_made_while_the_one_before_is_on_its_way_is_shown(page, monkeypatch):
    """Gradio's `always_last` gives the later event the data of the first: the page would wait for ever."""
    slow_down(monkeypatch, laboratory, "outcome_of", 1)
    for head in (0, 1, 2):
        page.locator(f"#laboratory-parts [data-cell='0,{head}']").click()
        page.wait_for_timeout(500)
    page.wait_for_selector("#laboratory [data-state=ready]")
    assert edits(page)["heads"] == [[0, 0], [0, 1], [0, 2]]


def test_heads_switch_off_and_a_reset_brings_all_back(page, scene):
    whole = pytest.approx(100 * scene.top()[0][1], abs=0.1)
    head = scene.trace.heads - 1  # the MLP stands to its right
    cell = page.locator(f"#laboratory-parts [data-cell='0,{head}']")
    sentence = changed(page, cell.click)
    assert edits(page)["heads"] == [[0, head]]
    assert cell.get_attribute("aria-pressed") == "true"
    assert numbers(sentence)[1] != whole
    page.keyboard.press("ArrowRight")
    changed(page, lambda: page.keyboard.press("Enter"))
    assert edits(page)["mlps"] == [0]
    sentence = changed(page, lambda: page.locator("#laboratory [data-part=reset]").click())
    assert numbers(sentence) == [whole, whole]
    assert cell.get_attribute("aria-pressed") == "false"


def test_another_resolution_takes_the_changes_along_and_says_what_it_could_not(page):
    head = page.locator("#laboratory-parts [data-cell='0,0']")
    changed(page, head.click)
    select_corner(page)
    changed(page, lambda: page.locator("#laboratory [data-kind=drop]").click())
    page.locator("#laboratory [data-part=all]").click()
    changed(page, lambda: page.locator("#laboratory [data-kind=shuffle]").click())
    size = page.locator("#laboratory [data-part=size]")
    size.fill("192")
    changed(page, lambda: size.press("Enter"))
    assert edits(page)["grid"] == [24, 24]
    assert [(step["kind"], step["patches"]) for step in edits(page)["steps"]] == [("drop", [0, 1, 24, 25])]
    assert edits(page)["heads"] == [[0, 0]]
    assert head.get_attribute("aria-pressed") == "true"
    notice = page.locator("#laboratory [data-part=notice]")
    assert notice.inner_text().endswith("Moves and shuffles, which could not be carried over: 1.")
    shape = page.locator("#laboratory-outcome [data-side=after] canvas").evaluate("c => [c.height, c.width]")
    assert shape == [24, 24]
    size.fill("100")
    size.press("Enter")
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    assert "96x96" in toast.inner_text()
    assert edits(page)["grid"] == [24, 24], "what was there stays"
    changed(page, lambda: page.locator("#laboratory [data-part=undo]").click())
    changed(page, lambda: page.locator("#laboratory [data-part=undo]").click())
    assert [step["kind"] for step in edits(page)["steps"]] == ["drop", "shuffle"], "undone, the shuffle is back"
    assert edits(page)["grid"] == [12, 12]
    assert notice.is_hidden()
    for typed in ("192", "96x96", "192", ""):
        size.fill(typed)
        changed(page, lambda: size.press("Enter"))
    assert [step["kind"] for step in edits(page)["steps"]] == ["drop", "shuffle"], "the way back brings it back too"
    size.fill("192")
    changed(page, lambda: size.press("Enter"))
    changed(page, lambda: page.locator("#laboratory [data-part=reset]").click())
    assert edits(page)["steps"] == []


def select_corner(page):
    page.locator("#laboratory [data-part=none]").click()
    page.locator("#laboratory [data-part=stage]").click(position={"x": 5, "y": 5})


def test_the_attention_of_every_layer_is_here_without_another_request(page, scene):
    select_corner(page)
    changed(page, lambda: page.locator("#laboratory [data-kind=drop]").click())
    page.locator("#laboratory-outcome [data-map=attention]").click()
    slider = page.locator("#laboratory-outcome [data-part=layer]")
    last, asked = scene.trace.layers - 1, len(page.asked)
    assert slider.input_value() == str(last)
    whole = "[...document.querySelectorAll('#laboratory-outcome canvas')].map(c => c.toDataURL())"
    seen = [page.evaluate(whole)]
    slider.focus()
    for layer in reversed(range(last)):
        page.keyboard.press("ArrowLeft")
        assert f"in layer {layer}," in page.locator("#laboratory-outcome [data-part=how]").inner_text()
        seen.append(page.evaluate(whole))
    assert all(len(set(side)) == last + 1 for side in zip(*seen, strict=True)), "before, after and difference move"
    assert len(page.asked) == asked
    sentence = page.locator("#laboratory-outcome [data-side=before] figcaption").inner_text()
    row = scene.trace.attention(0)[0, :, 0, 1:].mean(0)
    assert sentence.endswith(f"{float(row.min() / row.mean()):.2f} to {float(row.max() / row.mean()):.2f}")


def test_of_a_long_sequence_another_layer_is_asked_for(page, scene, monkeypatch):
    monkeypatch.setattr(laboratory_edits, "VALUES_AT_ONCE", 100)
    changed(page, page.locator("#laboratory-parts [data-cell='1,0']").click)
    page.locator("#laboratory-outcome [data-map=attention]").click()
    slider = page.locator("#laboratory-outcome [data-part=layer]")
    changed(page, lambda: slider.fill("2"))
    assert slider.input_value() == "2"
    row = scene.trace.attention(2)[0, :, 0, 1:].mean(0)
    sentence = page.locator("#laboratory-outcome [data-side=before] figcaption").inner_text()
    assert sentence.endswith(f"{float(row.min() / row.mean()):.2f} to {float(row.max() / row.mean()):.2f}")
    assert page.locator("#laboratory-outcome [data-pending]").count() == 0


def test_the_ablation_fills_the_table_and_all_of_it_can_be_taken_away(page, scene):
    page.locator("#laboratory [data-part=target]").fill("church")
    changed(page, lambda: page.locator("#laboratory [data-part=target]").press("Enter"))
    page.locator("#laboratory-parts [data-part=run]").click()
    page.wait_for_selector("#laboratory-parts [data-state=complete]")
    cells = page.locator("#laboratory-parts [data-cell]")
    assert cells.count() == scene.trace.layers * (scene.trace.heads + 2)
    assert all(re.fullmatch(r"[+−]?\d+\.\d", text) for text in cells.all_inner_texts())
    cells.nth(scene.trace.heads).hover()
    assert (
        "MLP of layer 0: on. Without it the logit of church changes by"
        in page.locator("#laboratory-parts [data-part=reading]").inner_text()
    )
    for component, name in (("parts", "ablation.png"), ("outcome", "laboratory-rollout.png")):
        with page.expect_download() as download:
            page.locator(f"#laboratory-{component} [data-part=save]").click()
        assert download.value.suggested_filename == name
    assert page.evaluate("window.vitStates.laboratory.ablation") is True, "so that it is saved with the numbers"


def test_the_ablation_is_of_what_is_changed_and_says_when_it_is_out_of_date(page, scene):
    about, root = (page.locator(f"#laboratory-parts [data-part={name}]") for name in ("about", "root"))
    measure(page)
    assert "unchanged picture and model: parachute has a logit of" in about.inner_text()
    page.locator("#laboratory [data-part=all]").click()
    changed(page, lambda: page.locator("#laboratory [data-kind=shuffle]").click())
    assert root.get_attribute("data-stale") is not None
    assert "Out of date" in about.inner_text()
    assert page.evaluate("window.vitStates.laboratory.ablation") is False, "it is not of what would be saved"
    measure(page)
    assert root.get_attribute("data-stale") is None
    assert "with your changes to picture and model: parachute then has" in about.inner_text()
    *_, expected = ablation_of(scene, read_wish(edits(page), scene))
    assert f"logit of {expected.logit:.2f}" in about.inner_text()
    first_layer = page.locator(f"#laboratory-parts [data-cell='0,{scene.trace.heads + 1}']")
    assert first_layer.inner_text() == f"{float(expected.logits[0, -1]):+.1f}".replace("-", "−")
    changed(page, lambda: page.locator("#laboratory [data-part=undo]").click())
    assert root.get_attribute("data-stale") is not None


def measure(page):
    page.locator("#laboratory-parts [data-part=run]").click()
    page.wait_for_selector("#laboratory-parts [data-state=complete]:not([data-stale])")


@pytest.mark.parametrize("end", ["[data-part=stop]", "[data-cell='0,0']"], ids=["cancelled", "something is changed"])
def test_an_ablation_ends_where_it_is(page, scene, monkeypatch, end):
    make, calls, go_on = ablation._variants, itertools.count(), threading.Event()

    def held(*arguments):
        if next(calls):  # the first comes, and then nothing until it is to go on
            go_on.wait(300)
        return make(*arguments)

    monkeypatch.setattr(ablation, "_variants", held)
    page.locator("#laboratory-parts [data-part=run]").click()
    page.wait_for_function("document.querySelector('#laboratory-parts [data-part=progress]')?.value > 0")
    page.locator(f"#laboratory-parts {end}").click()
    page.wait_for_selector("#laboratory-parts [data-state=ready]")
    go_on.set()
    page.wait_for_timeout(1000)
    filled = [text for text in page.locator("#laboratory-parts [data-cell]").all_inner_texts() if text]
    assert 0 < len(filled) < scene.trace.layers * (scene.trace.heads + 2), "what was there stays, and no more comes"
    go_on.clear()
    page.locator("#laboratory-parts [data-part=run]").click()
    page.wait_for_selector("#laboratory-parts [data-state=running]")
    page.locator("#laboratory-parts [data-part=stop]").click()
    page.locator("#laboratory-parts [data-part=run]").click()  # while the one before still ends
    go_on.set()
    page.wait_for_selector("#laboratory-parts [data-state=complete]")


def test_on_a_phone_in_chinese_nothing_is_wider_than_the_screen(open_page, alone):
    page = opened(open_page, alone, viewport={"width": 390, "height": 844}, locale="zh-CN")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#laboratory [data-kind=drop]").inner_text().startswith("遮蔽")
