"""The viewer in a real Chromium: what a person does, what they see, and which requests that takes."""

import io
import re
import threading

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.viewer import AttentionViewer, StackSource, ViewerStore, viewer_value

GH, GW, PREFIX, PANELS, LAYERS = 3, 4, 2, 3, 3
PATCHES = GH * GW
STRANGE = "<img src=x onerror=alert(1)>"


def peaks(shift, strength=0.5):
    """Layers in which patch q of panel p looks at patch q + 1 + p + layer + shift, and every token a little at CLS."""
    layers = []
    for layer in range(LAYERS):
        matrices = np.full((PANELS, PREFIX + PATCHES, PREFIX + PATCHES), 0.01, np.float32)
        matrices[:, :, 0] = 0.1
        for panel in range(PANELS):
            for query in range(PATCHES):
                matrices[panel, PREFIX + query, PREFIX + (query + 1 + panel + layer + shift) % PATCHES] = strength / (
                    1 + panel
                )
        layers.append(matrices)
    return layers


class Slow(StackSource):
    """650 tokens, so that rows come on demand, each only once the test lets it through."""

    def __init__(self):
        matrix = np.full((650, 650), 0.001, np.float32)
        matrix[np.arange(650), (np.arange(650) + 7) % 650] = 0.75
        super().__init__([matrix[None]], (25, 26))
        self.gate = threading.Event()

    def rows(self, layer, query, direction):
        self.gate.wait(10)
        return super().rows(layer, query, direction)


class Page:
    """One viewer on a page."""

    def __init__(self, page, name):
        self.page, self.name, self.root = page, name, page.locator(f"#{name} .vit-viewer")

    def wait(self, state="ready", seq=None):
        mark = f"[data-state={state}]" + (f'[data-seq="{seq}"]' if seq else "")
        self.page.wait_for_selector(f"#{self.name} .vit-viewer{mark}")
        return self

    def loaded(self):
        """Until every layer is here, so that later requests can only be caused by what the test does."""
        self.page.wait_for_selector(f"#{self.name} [data-part=all]:not(:disabled)")
        return self

    def part(self, name):
        return self.root.locator(f"[data-part={name}]")

    def text(self, name):
        return self.part(name).inner_text()

    def settle(self):
        """Until what was done is drawn; words and numbers follow the maps 80 ms later."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 120)))")
        return self

    def hover(self, patch, gh=GH, gw=GW):
        box = self.part("stage").bounding_box()
        x, y = (patch % gw + 0.5) / gw * box["width"], (patch // gw + 0.5) / gh * box["height"]
        self.page.mouse.move(box["x"] + x, box["y"] + y)
        return self.settle()

    def press(self, *keys):
        self.part("stage").focus()
        for key in keys:
            self.page.keyboard.press(key)
        return self.settle()

    def pixels(self, selector="[data-part=heat]"):
        return self.page.evaluate(
            """(selector) => { const canvas = document.querySelector(selector);
            return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]; }""",
            f"#{self.name} {selector}",
        )

    def states(self):
        """Every vit:state from now on."""
        self.page.evaluate(
            "() => { window.states = []; document.addEventListener('vit:state', e => states.push(e.detail)); }"
        )
        return lambda: self.page.evaluate("states")


@pytest.fixture(scope="module")
def app(serve):
    store, slow, grid = ViewerStore(), Slow(), (GH, GW)
    picture = Image.effect_noise((GW * 8, GH * 8), 60)
    names = {"prefix_names": ["CLS", STRANGE], "title": STRANGE, "caption": STRANGE}

    def value(shift=0, source=None, **choices):
        source = source or StackSource(peaks(shift), grid, PREFIX)
        return viewer_value(source, store, picture=picture, query=PREFIX, shown_layer=1, **names | choices)

    def smaller():
        return viewer_value(StackSource([peaks(0)[0][:1, :5, :5]], (2, 2), 1), store)

    def expired():
        made = value()
        store._kept.pop(made["token"])
        return made

    def difference(other):
        stacks = [np.stack([m[0], m[other], m[0] - m[other]]) for m in peaks(0)]
        source = StackSource(stacks, grid, PREFIX, (False, False, True))
        return value(source=source, panel_names=["A", "B", "A-B"], mean=False)

    with gr.Blocks(analytics_enabled=False) as demo:
        buttons = [gr.Button(name, elem_id=f"to-{name}") for name in ("next", "smaller", "nothing")]
        with gr.Tabs():
            with gr.Tab("First"):
                first = AttentionViewer(value(), store=store, elem_id="first")
            with gr.Tab("Second"):
                AttentionViewer(value(panel_names=[STRANGE, "b", "c"]), store=store, elem_id="second")
            with gr.Tab("Slow"):
                AttentionViewer(viewer_value(slow, store, query=5), store=store, elem_id="slow")
            with gr.Tab("Partly"):
                AttentionViewer(expired(), store=store, elem_id="partly")
            with gr.Tab("Signed"):
                AttentionViewer(difference(1), store=store, elem_id="signed")
            with gr.Tab("Alike"):
                AttentionViewer(difference(0), store=store, elem_id="alike")
            with gr.Tab("Empty"):
                AttentionViewer(None, store=store, elem_id="empty")
        for button, function in zip(buttons, (lambda: value(3), smaller, lambda: None), strict=True):
            button.click(function, outputs=first)
    return serve(demo), slow


@pytest.fixture
def page(app, open_page):
    """A fresh page."""
    page = open_page(app[0])
    yield page
    page.close()


@pytest.fixture(scope="module")
def shared_page(app, watched):
    page = watched(app[0])
    Page(page, "first").wait().loaded()
    yield page
    page.close()


RESET = f"""() => {{
  const root = document.querySelector("#first .vit-viewer");
  root.dispatchEvent(new KeyboardEvent("keydown", {{key: "Escape", bubbles: true}}));
  for (const chosen of ["[data-direction=to]", "[data-scale=map]"]) root.querySelector(chosen).click();
  const plain = [["colours", "value", "viridis"], ["smooth", "checked", false], ["all", "checked", false]];
  for (const [part, property, value] of plain) {{
    const control = root.querySelector(`[data-part=${{part}}]`);
    control[property] = value;
    control.dispatchEvent(new Event("change"));
  }}
  const detail = {{viewer: "first", layer: 1, panel: 0, query: {PREFIX}}};
  document.dispatchEvent(new CustomEvent("vit:select", {{detail}}));
}}"""


@pytest.fixture
def viewer(shared_page, open_page):
    """The first viewer as a page opens it, on a page that other tests have used: opening one takes a second."""
    shared_page.mouse.move(1, 1)
    shared_page.get_by_role("tab", name="First", exact=True).click()
    shared_page.evaluate(RESET)
    return Page(shared_page, "first").settle()


@pytest.fixture
def fresh(page):
    """The first viewer on a page of its own, for tests that change its value."""
    return Page(page, "first").wait().loaded()


def tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()
    return Page(page, name.lower())


# ---- hovering


def test_hover_changes_reading_and_overlay_without_a_request(viewer):
    asked = len(viewer.page.asked)
    seen = set()
    for patch in range(PATCHES):
        viewer.hover(patch)
        row, column = divmod(patch, GW)
        strongest = (patch + 2) % PATCHES  # panel 0 of layer 1
        assert (
            viewer.text("reading")
            == f"Patch {patch} (row {row}, column {column}) → strongest: patch {strongest}, 50.0%"
        )
        alphas = viewer.pixels()[3::4]
        assert alphas.index(max(alphas)) == strongest
        seen.add(tuple(viewer.pixels()))
    assert len(seen) == PATCHES
    assert len(viewer.page.asked) == asked


def test_thumbnails_follow_the_hover(viewer):
    viewer.hover(0)
    for panel in range(PANELS):
        pixels = viewer.pixels(f".vit-thumb:nth-child({panel + 1}) canvas")
        greens = pixels[1::4]  # viridis grows in green
        assert greens.index(max(greens)) == (2 + panel) % PATCHES
    assert viewer.root.locator(".vit-thumb .vit-number").all_inner_texts() == ["50.0%", "25.0%", "16.7%", "17.3%"]


def test_click_pins_and_the_pointer_then_reads_values(viewer):
    viewer.hover(0)
    viewer.page.mouse.down()
    viewer.page.mouse.up()
    viewer.hover(2)
    assert viewer.text("reading").startswith("Patch 0 ")
    assert viewer.text("detail") == "Pinned. Under the pointer: patch 2 (row 0, column 2), 50.0%."
    viewer.page.mouse.down()
    viewer.page.mouse.up()
    viewer.hover(5)
    assert viewer.text("reading").startswith("Patch 5 ")


def test_a_finger_explores_and_does_not_pin(app, open_page):
    page = open_page(app[0], has_touch=True)
    viewer = Page(page, "first").wait()
    box = viewer.part("stage").bounding_box()
    for patch in (6, 9):
        x, y = (patch % GW + 0.5) / GW * box["width"], (patch // GW + 0.5) / GH * box["height"]
        page.touchscreen.tap(box["x"] + x, box["y"] + y)
        viewer.settle()
        assert viewer.text("reading").startswith(f"Patch {patch} ")
    assert viewer.root.get_attribute("data-pinned") is None
    assert viewer.part("stage").evaluate("node => getComputedStyle(node).touchAction") == "pan-y"


# ---- keyboard and screen readers


def test_keyboard_reaches_everything(viewer):
    viewer.hover(0)
    for keys, start in [
        (["ArrowRight", "ArrowDown"], "Layer 1, Head 0. patch 5 (row 1, column 1) → strongest: patch 7, 50.0%"),
        (["]"], "Layer 2, Head 0. patch 5 (row 1, column 1) → strongest: patch 8"),
        (["["] * 5, "Layer 0, Head 0. patch 5"),
        (["."], "Layer 0, Head 1. patch 5 (row 1, column 1) → strongest: patch 7, 25.0%"),
        ([".", ".", ".", "."], "Layer 0, mean of all maps. patch 5"),
        ([","], "Layer 0, Head 2. patch 5"),
        (["ArrowUp", "ArrowUp"], "Layer 0, Head 2. patch 1 "),
        (["c"], "Layer 0, Head 2. CLS → strongest"),
    ]:
        viewer.press(*keys)
        assert viewer.part("spoken").text_content().startswith(start)
    assert viewer.root.get_attribute("data-pinned") is not None
    viewer.press("Escape")
    assert viewer.root.get_attribute("data-pinned") is None
    viewer.press("Enter")
    assert viewer.root.get_attribute("data-pinned") is not None


def test_hovering_is_not_spoken(viewer):
    viewer.press("ArrowRight")
    spoken = viewer.part("spoken").text_content()
    viewer.hover(7)
    assert viewer.part("spoken").text_content() == spoken


def test_special_tokens_are_buttons_with_their_value(viewer):
    viewer.hover(0)
    chips = viewer.root.locator(".vit-chip")
    assert chips.all_inner_texts() == ["CLS\n10.0%", f"{STRANGE}\n1.00%"]
    chips.nth(0).click()
    viewer.settle()
    assert viewer.text("reading").startswith("CLS → strongest")
    viewer.hover(3)  # a chosen token is pinned
    assert viewer.text("reading").startswith("CLS ")


# ---- layers, heads, direction, scale


def test_layers_and_heads_change_without_a_request(viewer):
    asked = len(viewer.page.asked)
    viewer.hover(0)
    viewer.part("layer").fill("2")
    viewer.root.locator(".vit-thumb").nth(1).click()
    viewer.settle()
    assert viewer.text("reading").endswith("patch 4, 25.0%")
    assert viewer.text("layer-number") == "2 / 2"
    assert len(viewer.page.asked) == asked


def test_every_layer_travels_once(page):
    viewer = Page(page, "first").wait().loaded()
    files = [url for url in page.asked if url.endswith("layer.bin")]
    assert len(files) == len(set(files)) == LAYERS
    assert viewer.part("all").is_enabled()


def test_direction_reads_columns(viewer):
    viewer.root.get_by_role("button", name="Attended by").click()
    viewer.hover(5)
    assert viewer.text("reading") == "Patch 5 (row 1, column 1) ← most attended by: patch 3, 50.0%"


def test_the_mean_is_the_mean(viewer):
    viewer.hover(0)
    viewer.root.locator(".vit-thumb").nth(3).click()
    viewer.settle()
    assert viewer.text("reading").endswith("strongest: patch 2, 17.3%")  # (50 + 1 + 1) / 3


def test_legend_says_which_scale_with_its_numbers(viewer):
    viewer.hover(0)
    viewer.root.locator(".vit-thumb").nth(1).click()
    viewer.settle()
    assert (viewer.text("low"), viewer.text("high")) == ("1.0%", "25.0%")
    assert viewer.text("scale-note") == "Every map on its own scale, from its lowest patch to its highest."
    own = viewer.pixels()
    viewer.root.get_by_role("button", name="Shared").click()
    viewer.settle()
    assert (viewer.text("low"), viewer.text("high")) == ("0.0%", "50.0%")
    assert viewer.text("scale-note") == "One scale for all maps of this layer, from zero to the highest of them."
    assert viewer.pixels() != own


def test_signed_panels_diverge_about_zero(page):
    viewer = tab(page, "Signed").wait().hover(0)
    viewer.root.locator(".vit-thumb").nth(2).click()
    viewer.settle()
    assert (viewer.text("low"), viewer.text("high")) == ("-49.0%", "49.0%")
    pixels = np.array(viewer.pixels(".vit-thumb:nth-child(3) canvas")).reshape(-1, 4)
    assert pixels[2][0] > pixels[2][2] + 50  # red: more in A
    assert viewer.text("reading").endswith("largest difference: patch 2, 49.0%")


def test_no_difference_is_neutral_in_every_place(page):
    viewer = tab(page, "Alike").wait().loaded().hover(0)
    viewer.root.locator(".vit-thumb").nth(2).click()
    viewer.part("all").check()
    viewer.settle()
    assert (viewer.text("low"), viewer.text("high")) == ("0.0%", "0.0%")
    for scale in ("Per map", "Shared"):
        viewer.root.get_by_role("button", name=scale).click()
        viewer.settle()
        grid = np.array(viewer.pixels("[data-part=all-canvas]")).reshape(LAYERS * (GH + 1), PANELS * (GW + 1), 4)
        assert (grid[:GH, 2 * (GW + 1) : -1, :3] > 200).all(), scale  # the difference's column, the first layer
        assert min(viewer.pixels(".vit-thumb:nth-child(3) canvas")) > 200, scale
        chip = viewer.root.locator(".vit-chip i").first.evaluate("node => getComputedStyle(node).backgroundColor")
        assert min(int(part) for part in re.findall(r"\d+", chip)) > 200, scale
        assert viewer.part("mark").evaluate("node => node.style.transform") == "translateX(50%)", scale


def test_colours_smooth_and_opacity(viewer):
    viewer.hover(0)
    before, size = viewer.pixels(), viewer.part("heat").evaluate("node => [node.width, node.height]")
    assert size == [GW, GH]
    viewer.part("colours").select_option("magma")
    viewer.settle()
    assert viewer.pixels() != before
    viewer.part("smooth").check()
    viewer.settle()
    assert viewer.part("heat").evaluate("node => [node.width, node.height]") == [8 * GW, 8 * GH]
    viewer.part("opacity").fill("0.3")
    assert viewer.part("heat").evaluate("node => node.style.opacity") == "0.3"


def test_all_layers_at_once(viewer):
    viewer.part("all").check()
    viewer.hover(0)
    canvas = viewer.part("all-canvas")
    assert canvas.evaluate("node => [node.width, node.height]") == [PANELS * (GW + 1), LAYERS * (GH + 1)]
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.9})
    viewer.settle()
    assert viewer.text("layer-number") == "2 / 2"
    assert viewer.text("reading").endswith("patch 4, 25.0%")


# ---- other components


def test_selection_is_told_once_a_change_and_taken_from_events(viewer):
    states = viewer.states()
    viewer.hover(3)
    viewer.page.evaluate(
        """() => { for (const viewer of ["first", "another"]) document.dispatchEvent(new CustomEvent("vit:select",
        {detail: {viewer, layer: viewer === "first" ? 2 : 0, panel: viewer === "first" ? 1 : "<b>"}})); }"""
    )
    viewer.settle()
    query = PREFIX + 3
    assert states() == [
        {"viewer": "first", "layer": 1, "panel": 0, "query": query, "direction": "to"},
        {"viewer": "first", "layer": 2, "panel": 1, "query": query, "direction": "to"},
    ]


def test_nonsense_in_events_is_ignored(viewer):
    states = viewer.states()
    viewer.page.evaluate(
        """() => { for (const detail of [null, {viewer: "first", layer: 99, panel: -1, query: 1.5, direction: "x"}])
        document.dispatchEvent(new CustomEvent("vit:select", {detail})); }"""
    )
    viewer.settle()
    assert states() == []


def test_two_viewers_on_a_page_do_not_share_anything(viewer):
    viewer.press("]", ".")
    second = tab(viewer.page, "Second").wait()
    assert second.text("layer-number") == "1 / 2"
    assert second.root.locator('.vit-thumb[aria-pressed="true"]').count() == 1
    assert viewer.page.evaluate("['vit', 'TEXT', 'StackData', 'view', 'chosen'].filter(name => name in window)") == []


# ---- values


def test_a_new_value_keeps_what_the_person_chose(fresh):
    fresh.press("]", ".", "ArrowRight")
    fresh.part("colours").select_option("inferno")
    fresh.page.click("#to-next")
    fresh.wait(seq=2).settle()
    assert fresh.text("layer-number") == "2 / 2"
    assert fresh.part("colours").input_value() == "inferno"
    # patch 1, panel 1, layer 2, shift 3
    assert fresh.text("reading") == "Patch 1 (row 0, column 1) → strongest: patch 8, 25.0%"


def test_a_value_of_another_shape_resets_what_no_longer_fits(fresh):
    fresh.press("]", ".", "Enter")
    fresh.page.click("#to-smaller")
    fresh.wait(seq=2).settle()
    assert fresh.text("reading").startswith("CLS ")
    assert fresh.part("layer-row").is_hidden()
    assert fresh.part("thumbs").is_hidden()
    assert fresh.root.get_attribute("data-pinned") is None


def test_no_value_is_said_in_words(fresh):
    fresh.page.click("#to-nothing")
    fresh.wait("empty")
    assert fresh.text("message") == "Choose a picture and its maps appear here."
    assert tab(fresh.page, "Empty").wait("empty").text("message").startswith("Choose a picture")


def test_names_that_hold_html_are_text(page):
    viewer = tab(page, "Second").wait()
    assert viewer.text("title") == STRANGE
    assert viewer.root.locator(".vit-thumb-name").first.inner_text() == STRANGE
    assert viewer.root.locator("img").count() == 1  # the picture


# ---- expiry, and rows on demand


def test_expired_layers_say_so_and_what_is_here_still_works(page):
    viewer = tab(page, "Partly").wait("expired")
    assert viewer.text("notice").startswith("The layers that are not here yet have expired on the server")
    viewer.hover(4)
    assert viewer.text("reading").startswith("Patch 4 ")
    viewer.press("]")
    assert viewer.text("pending") == "These maps have expired on the server: run the picture again."
    viewer.press("[")
    assert viewer.part("pending").is_hidden()
    assert viewer.root.get_attribute("data-state") == "expired"


def test_an_expired_file_says_so(page, app):
    page.route("**/layer.bin*", lambda route: route.fulfill(status=403))
    viewer = tab(page, "Second").wait("expired")
    assert viewer.text("message") == "These maps have expired on the server: run the picture again."


def test_a_server_that_does_not_answer_is_an_error_in_words(page):
    page.route("**/layer.bin*", lambda route: route.abort())
    viewer = tab(page, "Second").wait("error")
    assert re.match(r"The maps could not be loaded \(.+\)\. Check the connection", viewer.text("message"))


def test_what_is_ready_is_drawn(app, page):
    """The words and maps stand there in the very task that says "ready": no empty frame in between."""
    page.add_init_script("""new MutationObserver(() => {
      const root = document.querySelector("#first .vit-viewer");
      if (window.readAtFirst !== undefined || root?.dataset.state !== "ready") return;
      window.readAtFirst = root.querySelector("[data-part=reading]").textContent;
    }).observe(document, {subtree: true, attributes: true, attributeFilter: ["data-state"]})""")
    page.reload()
    Page(page, "first").wait()
    assert page.evaluate("readAtFirst") == "Patch 0 (row 0, column 0) → strongest: patch 2, 50.0%"


def test_rows_on_demand_show_that_they_are_pending_and_are_asked_for_once(app, page):
    slow = app[1]
    viewer = tab(page, "Slow").wait("loading")
    slow.gate.set()
    viewer.wait()
    assert viewer.text("reading") == "Patch 5 (row 0, column 5) → strongest: patch 12, 75.0%"
    slow.gate.clear()
    asked = []  # rows alone: the viewer of the first tab may still be fetching its layers
    page.on("request", lambda request: '"fn_name":"rows"' in (request.post_data or "") and asked.append(request.url))
    for patch in (100, 101, 102, 103):
        viewer.hover(patch, 25, 26)
    assert viewer.text("pending") == "Waiting for patch 103 …"
    slow.gate.set()
    page.wait_for_selector("#slow .vit-viewer:not([data-pending])")
    assert viewer.text("reading").startswith("Patch 103 ")
    few = len(asked)
    assert 1 <= few <= 2  # not one for each patch that the pointer crossed
    viewer.hover(104, 25, 26)
    page.wait_for_selector("#slow .vit-viewer:not([data-pending])")
    viewer.hover(103, 25, 26)
    assert viewer.root.get_attribute("data-pending") is None  # kept
    assert len(asked) == few + 1


# ---- looks


CONTRAST = """(selector) => {
  const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const linear = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    const [red, green, blue] = paint.getImageData(0, 0, 1, 1).data;
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  let behind = document.querySelector(selector), ink = light(getComputedStyle(behind).color);
  while (behind && /, 0\\)$|transparent/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const page = light(getComputedStyle(behind || document.body).backgroundColor);
  return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(app, open_page, theme):
    page = open_page(f"{app[0]}?__theme={theme}")
    Page(page, "first").wait()
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    for selector in ("reading", "detail", "scale-note", "low", "title", "keys", "layer-label"):
        assert page.evaluate(CONTRAST, f"#first [data-part={selector}]") >= 4.5, selector


def test_a_phone_needs_no_sideways_scrolling(app, open_page):
    page = open_page(app[0], viewport={"width": 390, "height": 844})
    app[1].gate.set()
    Page(page, "first").wait()
    for name in ("First", "Second", "Signed", "Slow"):
        if page.get_by_role("tab", name=name, exact=True).is_visible():
            viewer = tab(page, name)
        else:
            page.locator(".overflow-menu > button").first.click()
            page.locator(".overflow-dropdown").get_by_text(name, exact=True).click()
            viewer = Page(page, name.lower())
        viewer.wait()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        inside, stage = viewer.root.bounding_box(), viewer.part("stage").bounding_box()
        assert inside["x"] >= 0 and inside["x"] + inside["width"] <= 390
        if thumbs := viewer.part("thumbs").bounding_box():
            assert thumbs["y"] >= stage["y"] + stage["height"]  # below, not beside


def test_a_phone_cuts_no_reading_off(app, open_page):
    viewer = Page(open_page(app[0], viewport={"width": 390, "height": 844}), "first").wait()
    viewer.hover(0).page.mouse.down()
    viewer.page.mouse.up()
    viewer.hover(GH * GW - 1)
    assert viewer.text("detail").startswith("Pinned. Under the pointer: ")
    for name in ("reading", "detail", "scale-note"):
        assert viewer.part(name).evaluate("p => p.scrollHeight <= p.clientHeight + 1"), name


def test_chinese_by_the_browsers_language(app, open_page):
    viewer = Page(open_page(app[0], locale="zh-CN"), "first").wait().hover(0)
    assert viewer.text("reading") == "图块 0（第 0 行，第 0 列） → 最强：图块 2，50.0%"
    assert viewer.root.get_by_role("button", name="保存 PNG").is_visible()


def test_save_png(viewer):
    viewer.hover(4)
    with viewer.page.expect_download() as download:
        viewer.part("save").click()
    assert download.value.suggested_filename == "first-layer1-0-patch4.png"
    with open(download.value.path(), "rb") as file:
        saved = Image.open(io.BytesIO(file.read())).convert("RGB")
    assert saved.width > 960
    row, column, cell = 1, 2, 960 / GW  # patch 6, the strongest: the bright end of viridis over the picture
    red, green, blue = saved.getpixel((24 + int((column + 0.5) * cell), 24 + int((row + 0.5) * cell)))
    assert min(red, green) > 120 and min(red, green) - blue > 30  # over a picture of random noise
