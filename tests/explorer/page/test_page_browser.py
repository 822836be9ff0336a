"""The page as a newcomer uses it, in a real Chromium; the `open_page` fixture fails a test on any error in the page and
on any request that leaves the server."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from explorer.figures.export import load_npz
from explorer.ui import model_picker as models
from explorer.ui.words import TEXT
from tests.explorer.page.whole_page import (
    at_home,
    load_own,
    resize,
    schemes,
    seen_anew,
    seq,
    slow_down,
    soon_after,
    upload_own,
    wait_for_new,
)
from vit_model import SIZES, VisionTransformer, ViTConfig, load_model, save_model

TABS = ("patches", "attention", "rollout", "positions", "explain", "inside", "laboratory", "compare", "figures")


def ready(page, name):
    page.wait_for_selector(f"#{name} [data-state=ready], #{name} [data-state=complete]")


def opened(open_page, url, **choices):
    page = open_page(url, **choices)
    ready(page, "scene-bar")
    ready(page, "attention")
    return page


@pytest.fixture
def page(kept_page, served):
    """For tests that do not need a page on which nothing has been done."""
    return at_home(kept_page(served))


def go_to(page, tab):
    if not page.locator(f"#tab-{tab}-button").count():  # a narrow screen has the others in a menu
        page.get_by_label("More tabs").first.click()
        page.locator("#tabs .overflow-dropdown button").get_by_text(TEXT["en"][f"tab_{tab}"], exact=True).click()
    else:
        page.locator(f"#tab-{tab}-button").click()
    ready(page, tab)


def upload(page, name, data, kind="image/jpeg"):
    """Give the picture another file, as a person would by dropping it."""
    page.locator("#picture input[type=file]").first.set_input_files({"name": name, "mimeType": kind, "buffer": data})


def message(page):
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    return toast.inner_text()


def test_opens_with_an_example_analysed_and_an_uploaded_photograph_is_seen_in_every_tab(open_page, served, photograph):
    page = opened(open_page, served)
    assert page.locator("#scene-bar .predictions li").count() == 5
    assert page.locator("#scene-bar .predictions li").first.get_attribute("title") == "parachute"
    card = page.locator("#model-card").inner_text()
    assert "12x12 grid" in card
    assert "ten kinds of things" in card
    after = seen_anew(page, lambda: upload(page, "photo.jpg", photograph))
    for tab in TABS:
        go_to(page, tab)
    assert seq(page) == after, "it stays"


def test_hovering_asks_the_server_for_nothing(page):
    page.wait_for_selector("#attention [data-part=all]:enabled", state="attached")  # the other layers have arrived
    asked = -1
    while asked < len(page.asked):
        asked = len(page.asked)
        page.wait_for_timeout(1000)
    box = page.locator("#attention canvas").first.bounding_box()
    for step in range(20):
        page.mouse.move(box["x"] + box["width"] * (step + 0.5) / 20, box["y"] + box["height"] * 0.4)
    page.wait_for_timeout(300)
    assert [url for url in page.asked[asked:] if "heartbeat" not in url] == []


def test_a_point_of_the_distance_plot_selects_its_head(page):
    page.locator("#attention [data-part=layer]").fill("0")
    page.wait_for_function("window.vitStates.attention.layer === 0")
    page.locator("#distance-plot").scroll_into_view_if_needed()
    ready(page, "distance-plot")
    points = page.locator("#distance-plot .points path.point")
    point = points.nth(load_model("bundled").config.heads + 1)  # layer 1, head 1
    point.scroll_into_view_if_needed()
    point.click(force=True)
    page.wait_for_function("window.vitStates.attention.layer === 1 && window.vitStates.attention.panel === 1")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.png", b"", "empty"),
        ("page.png", b"<html><script>alert(1)</script></html>", "HTML"),
        ("<img src=x onerror=alert(1)>.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "PNG"),
    ],
)
def test_a_bad_picture_is_refused_in_words_and_earlier_results_stay(page, name, data, words):
    before = seq(page)
    upload(page, name, data, "image/png")
    assert words.lower() in message(page).lower()
    assert page.locator("[data-testid=toast-text] img, [data-testid=toast-text] script").count() == 0
    assert seq(page) == before
    page.locator("#attention [data-state=ready]").wait_for()


def test_strange_pictures_simply_work(page):
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64)
    strange = {
        "one-pixel.png": Image.new("RGB", (1, 1), "red"),
        "thin.png": Image.new("L", (3000, 2), 90),
        "deep.png": Image.fromarray(ramp.astype(np.uint16)),
        "cmyk.jpg": Image.new("CMYK", (40, 30), (10, 200, 30, 0)),
        "float.tiff": Image.fromarray((ramp / 65535).astype(np.float32)),
    }
    for name, picture in strange.items():
        before, data = seq(page), io.BytesIO()
        picture.save(data, {"jpg": "JPEG", "png": "PNG", "tiff": "TIFF"}[name.split(".")[-1]])
        upload(page, name, data.getvalue(), "image/png")
        wait_for_new(page, before)


@pytest.fixture
def checkpoint(tmp_path):
    """A small model of our own with labels that try to be HTML."""
    config = ViTConfig(image_size=32, patch_size=8, width=48, depth=3, heads=4, mlp_width=96, classes=2)
    model = VisionTransformer(config, labels=["<b id=injected>bold</b>", "<img src=x onerror=alert(1)>"])
    save_model(model.eval(), tmp_path / "own")
    return tmp_path / "own"


def test_an_uploaded_checkpoint_is_explored_and_its_labels_are_text(page, checkpoint):
    before = seq(page)
    upload_own(page, *(checkpoint / name for name in ("model.safetensors", "config.json", "preprocessor_config.json")))
    page.locator("#own-load").click()
    wait_for_new(page, before)
    assert "4x4 grid" in page.locator("#model-card").inner_text()
    labels = page.locator("#scene-bar .label").all_inner_texts()
    assert "<b id=injected>bold</b>" in labels
    assert page.locator("#injected").count() == 0


def test_a_local_path_is_accepted_on_loopback(page, checkpoint):
    seen_anew(page, lambda: load_own(page, checkpoint))
    assert "4x4 grid" in page.locator("#model-card").inner_text()


@pytest.mark.parametrize("kind", ["text", "pickle", "nan"])
def test_a_bad_checkpoint_is_refused_in_words_and_earlier_results_stay(page, tmp_path, kind):
    path = tmp_path / "model.safetensors"
    if kind == "nan":
        model = VisionTransformer(SIZES["scratch-vit2"])
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state["blocks.0.mlp.fc1.weight"][0, 0] = float("nan")
        save_file(state, path)
    else:
        path.write_bytes(b"not a checkpoint" if kind == "text" else b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    before = seq(page)
    upload_own(page, path)
    page.locator("#own-load").click()
    assert len(message(page)) > 30
    assert seq(page) == before


def test_a_size_is_read_when_it_is_complete(page):
    go_to(page, "positions")
    box = page.locator("#new-size textarea, #new-size input").first
    box.press_sequentially("64", delay=300)  # "6" would be refused
    page.wait_for_timeout(500)
    assert page.locator("[data-testid=toast-text]").count() == 0
    box.press("Enter")
    page.wait_for_function("document.querySelector('#prediction-interpolated')?.textContent.includes('64x64')")
    box.fill("128")
    page.locator("#prediction-native").click()  # elsewhere
    page.wait_for_function("document.querySelector('#prediction-interpolated')?.textContent.includes('128x128')")
    box.fill("")
    box.press("Enter")


def test_of_sizes_chosen_in_quick_succession_the_last_is_shown(page, monkeypatch):
    slow_down(monkeypatch, models, "get_model", 1)
    for size in ("64", "128", "64x128"):
        resize(page, size)
        soon_after(page)
    page.wait_for_function("document.querySelector('#model-card')?.innerText.includes('8x16 grid')")
    page.wait_for_timeout(2500)
    assert "8x16 grid" in page.locator("#model-card").inner_text()


def test_another_resolution_and_one_that_the_patch_does_not_divide(page):
    after = seen_anew(page, lambda: resize(page, "128x64"))
    assert "16x8 grid" in page.locator("#model-card").inner_text()
    resize(page, "100")
    said = message(page)
    assert "96x96" in said
    assert "104x104" in said
    assert seq(page) == after


def test_what_a_tab_shows_can_be_taken_away_also_of_one_that_opened_late(open_page, served):
    page = opened(open_page, served)
    for tab, wanted in (
        ("attention", {"attention", "distance_pixels", "entropy_nats"}),
        ("patches", {"pixels", "tokens", "filters", "filters_explained_variance"}),
        ("rollout", {"rollout_a", "rollout_b"}),
        ("positions", {"native_embeddings", "native_similarity", "interpolated_embeddings", "interpolated_similarity"}),
    ):
        go_to(page, tab)
        if tab == "rollout":
            page.locator("#rollout [data-part=stage]").focus()
            page.keyboard.press("[")
            page.keyboard.press("ArrowRight")
            page.wait_for_function("window.vitStates.rollout && window.vitStates.rollout.query > 0")
            layer = page.evaluate("window.vitStates.rollout.layer")
            assert "undefined" not in page.evaluate("Object.keys(window.vitStates)")
        page.locator("#save-npz").click()
        link = page.locator(f"#saved-npz a[href*='vit-explorer-{tab}']").first
        link.wait_for()
        with page.expect_download() as download:
            link.click()
        arrays, manifest = load_npz(download.value.path())
        choices = manifest["choices"]
        assert set(arrays) == wanted
        assert manifest["model"] == "bundled"
        assert len(manifest["checksum_sha256"]) == 64
        assert choices["view"] == tab
        if tab == "rollout":
            assert (choices["layer"], choices["query"]) == (layer, page.evaluate("window.vitStates.rollout.query"))


def test_two_visitors_see_only_their_own(page, open_page, served, photograph):
    second = opened(open_page, served, viewport={"width": 1100, "height": 800})
    before = seq(page)
    mine = seen_anew(page, lambda: upload(page, "mine.jpg", photograph))
    second.reload()
    ready(second, "scene-bar")
    assert seq(second) == before != mine
    state = json.dumps(second.evaluate("window.vitStates"))
    assert "mine.jpg" not in state + second.content()


def test_chinese(open_page, served):
    page = opened(open_page, served, locale="zh-CN")
    assert page.get_by_role("tab").nth(0).inner_text() == "图块"
    assert "网格" in page.locator("#model-card").inner_text()
    upload(page, "empty.png", b"", "image/png")
    assert "未能完成：文件是空的（0 字节）" in message(page)


def test_language_link_switches_the_whole_page(open_page, served):
    page = opened(open_page, served, viewport={"width": 1000, "height": 900})
    page.locator("#header a.language").click()
    ready(page, "scene-bar")
    page.wait_for_function("document.querySelector('[role=tab]')?.innerText === '图块'")
    page.wait_for_function("document.querySelector('#model-card')?.innerText.includes('网格')")


def test_a_phone_never_scrolls_sideways(open_page, served):
    page = opened(open_page, served, viewport={"width": 390, "height": 844})
    for tab in TABS:
        go_to(page, tab)
        for scheme in schemes(page):
            page.evaluate("scrollTo(0, 0)")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, (tab, scheme)
            bar = page.locator("#scene-bar").bounding_box()
            page.mouse.wheel(0, 900)
            page.wait_for_function("scrollY > 800")
            assert page.locator("#scene-bar").bounding_box()["y"] <= max(bar["y"], 1), "the prediction stays in sight"
            if tab == "compare":
                sides = [page.locator(f"#compare-prediction-{side}").bounding_box() for side in "ab"]
                assert min(side["width"] for side in sides) > 250, "below one another"
    for scheme in schemes(page):
        assert page.evaluate(COVERED) == [], scheme


COVERED = """() => [...document.querySelectorAll("#side *")].filter((node) => { // what would be seen through the bar
  if (!node.offsetParent || node.closest("[data-testid=status-tracker]")) return false;
  node.scrollIntoView({ block: "start" });
  const box = node.getBoundingClientRect(), bar = document.querySelector("#scene-bar").getBoundingClientRect();
  if (!box.width || box.top < bar.top || box.bottom > bar.bottom) return false;
  const shown = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return shown && !shown.closest("#scene-bar");
}).map((node) => node.textContent.trim())"""


COUNTED = """window.frames = 0;
const native = window.requestAnimationFrame;
window.requestAnimationFrame = (callback) => {
  window.frames += 1;
  return native.call(window, callback);
};"""

CLOCK = """() => {
  const tick = () => requestAnimationFrame(() => { window.clock = (window.clock ?? 0) + 1; tick(); });
  tick();
}"""

MESSAGE = """document.body.append(Object.assign(document.createElement("div"), { id: "seen" }));
document.getElementById("seen").setAttribute("data-testid", "status-tracker");"""


def test_clocks_that_nobody_sees_do_not_tick_at_every_frame(open_page, served):
    """Gradio's clocks of messages that are gone ask for frame after frame, for ever; so does one of our own here."""
    page = open_page(f"{served}theme.css")
    page.add_init_script(COUNTED)  # inside of the page's own: it counts the frames that the browser is asked for
    page.goto(served)
    page.wait_for_selector("#attention [data-state=ready]")
    page.wait_for_function("!document.querySelector('[data-testid=status-tracker]:not(.hide)')")

    def frames():
        """A second, by the page's own clock, however late this machine is."""
        now = "() => [window.frames, performance.now() / 1e3]"
        before, begun = page.evaluate(now)
        page.wait_for_timeout(2000)
        after, ended = page.evaluate(now)
        return (after - before) / (ended - begun)

    page.evaluate(CLOCK)
    page.wait_for_timeout(4500)
    assert frames() <= 5, "Gradio's own, and one more"
    page.evaluate(MESSAGE)
    before = page.evaluate("window.clock")
    page.wait_for_function("before => window.clock > before + 30", arg=before)  # in sight it ticks at every frame
    page.evaluate("document.getElementById('seen').remove()")
    page.wait_for_timeout(2000)
    assert frames() <= 5


def test_a_frame_that_is_put_off_can_be_cancelled(open_page, served):
    page = open_page(served)
    page.wait_for_selector("#attention [data-state=ready]")
    page.evaluate(
        "window.asked = 0; window.ticks = 0;"
        "const tick = () => { window.asked = requestAnimationFrame(() => { window.ticks += 1; tick(); }); };"
        "tick();"
    )
    page.wait_for_function("window.asked < 0")  # an animation of three seconds
    ticks = page.evaluate("cancelAnimationFrame(window.asked), window.ticks")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.ticks") == ticks
