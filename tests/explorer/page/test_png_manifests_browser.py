"""What is saved as a PNG says the same of model, picture and choices as the tab's NPZ, on every tab of the page."""

import json

import pytest
import torch
from PIL import Image

from explorer.figures.export import load_npz
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.examples import example_files
from tests.explorer.page.whole_page import at_home, load_own, seen_anew
from vit_model import VisionTransformer, ViTConfig, save_model

LONG = 60_000  # milliseconds, on a busy machine
SAME = ("model", "format", "checksum_sha256", "config", "picture_sha256", "versions")

PNGS = {  # tab: {what is saved: what has to be ready}; the tab itself names its element
    "attention": {
        "#attention [data-part=save]": "#attention [data-state=ready]",
        "#distance-plot .modebar-btn[data-title='Download plot as a PNG']": "#distance-plot [data-state=ready]",
    },
    "patches": {"#patches .png": "#patches [data-state=complete]"},
    "rollout": {"#rollout [data-part=save]": "#rollout [data-state=ready]"},
    "positions": {"#positions .png": "#positions [data-state=complete]"},
    "explain": {"#explain [data-part=save]": "#explain [data-state=ready]"},
    "inside": {"#inside [data-part=save]": "#inside [data-state=ready]"},
    "laboratory": {"#laboratory-outcome [data-part=save]": "#laboratory-outcome [data-state=ready]"},
    "compare": {"#compare [data-part=save]": "#compare [data-state=ready]"},
    "figures": {
        "#figure-filters": "#figure-filters img",
        "#figure-positions": "#figure-positions img",
        "#figure-rollouts": "#figure-rollouts img",
        "#figure-distance .modebar-btn[data-title='Download plot as a PNG']": "#figure-distance [data-state=ready]",
    },
}


@pytest.fixture
def page(kept_page, served):
    page = kept_page(served)
    page.set_default_timeout(LONG)
    return at_home(page)


def downloaded(page, act):
    with page.expect_download() as download:
        act()
    return download.value


def png(page, button, ready):
    """(name, manifest) of what a button saves."""
    page.locator(ready.split()[0]).evaluate("node => node.scrollIntoView()")  # a plot is drawn once it is in sight
    page.locator(ready).first.wait_for()
    if "modebar" in button:
        page.locator(f"{button.split()[0]} .js-plotly-plot").hover()
    if button.startswith("#figure-") and " " not in button:
        button += " [aria-label='Download']"
    file = downloaded(page, lambda: page.locator(button).first.click())
    return file.suggested_filename, json.loads(Image.open(file.path()).text["vit-explorer"])


def npz(page, tab):
    page.locator("#save-npz").click()
    link = page.locator(f"#saved-npz a[href*='vit-explorer-{tab}']").first
    link.wait_for()
    return load_npz(downloaded(page, link.click).path())[1]


def agree(png, npz):
    """Of where they come from, and of every choice that both name."""
    assert {name: png[name] for name in SAME} == {name: npz[name] for name in SAME}
    choices = png["choices"]
    assert choices == {name: npz["choices"][name] for name in choices}


@pytest.mark.parametrize("tab", PNGS)
def test_a_png_agrees_with_the_npz_of_its_tab(page, tab):
    page.locator(f"#tab-{tab}-button").click()
    saved = {button: png(page, button, ready) for button, ready in PNGS[tab].items()}
    numbers = npz(page, tab)
    scene = scene_of(ModelChoice(), str(example_files()[0]))
    assert numbers["model"] == "bundled"
    assert numbers["checksum_sha256"] == scene.model.origin.checksum
    assert numbers["picture_sha256"] == scene.picture_hash
    for button, (_, manifest) in saved.items():
        if button in ("#figure-filters", "#figure-positions"):  # of the weights alone
            assert "pictures_sha256" not in manifest["choices"]
        agree(manifest, numbers)
        assert manifest["choices"]["view"] == tab
        assert example_files()[0].name not in json.dumps(manifest)
    if tab == "figures":
        names = [saved[f"#figure-{name}"][0] for name in ("filters", "positions", "rollouts")]
        assert names == ["figure-filters.png", "figure-positions.png", "figure-rollouts.png"]
        assert len(saved["#figure-rollouts"][1]["choices"]["pictures_sha256"]) == 4
    if tab == "compare":
        a, b = (saved["#compare [data-part=save]"][1]["choices"][side] for side in "AB")
        assert a["checksum_sha256"] == b["checksum_sha256"] == scene.model.origin.checksum
        assert a["map"] != b["map"]


def tiny(folder):
    torch.manual_seed(0)
    config = ViTConfig(image_size=32, patch_size=8, width=32, depth=2, heads=2, mlp_width=48, classes=2)
    model = VisionTransformer(config, labels=["cat", "dog"]).eval()
    save_model(model.requires_grad_(False), folder)
    return folder


def test_scores_and_a_models_path(page, tmp_path):
    """The measurements of a model that a visitor opened by its path: its last part is its name."""
    folder = tiny(tmp_path / "private" / "own-model")
    seen_anew(page, lambda: load_own(page, folder))
    page.locator("#tab-truth-button").click()
    page.locator("#measure").click()
    saved = png(page, "#truth-table .png", "#truth-table [data-state=ready]")[1]
    matrix = png(page, "#truth-matrix .png", "#truth-matrix [data-state=ready]")[1]
    numbers = npz(page, "truth")
    for manifest in (saved, matrix):
        agree(manifest, numbers)
        assert manifest["choices"]["complete"] is True
        assert manifest["model"] == "own-model"
    for manifest in (saved, numbers):
        assert "private" not in json.dumps(manifest)


def test_an_ablation_says_of_which_model_it_is(page, tmp_path):
    seen_anew(page, lambda: load_own(page, tiny(tmp_path / "own-model")))
    page.locator("#tab-laboratory-button").click()
    page.wait_for_function("document.querySelectorAll('#laboratory-parts [data-cell]').length === 8")  # of this model
    page.locator("#laboratory-parts [data-part=run]").click()
    manifest = png(page, "#laboratory-parts [data-part=save]", "#laboratory-parts [data-state=complete]")[1]
    agree(manifest | {"choices": {"view": "laboratory"}}, npz(page, "laboratory"))
    assert manifest["choices"]["target"] in (0, 1)


def changed(page, tab, field, text):
    """Type, and wait for what comes of it."""
    seq = page.locator(f"#{tab} [data-seq]").first.get_attribute("data-seq")
    page.locator(field).fill(text)
    page.locator(field).press("Enter")
    page.wait_for_function(
        """([tab, seq]) => { const root = document.querySelector(`#${tab} [data-seq]`);
        return root.dataset.seq !== seq && ["ready", "complete"].includes(root.dataset.state); }""",
        arg=[tab, seq],
    )


def test_two_rollouts_have_two_manifests_and_two_captions(page):
    page.locator("#tab-rollout-button").click()
    save = "#rollout [data-part=save]", "#rollout [data-state=ready]"
    first = png(page, *save)[1]
    assert first["choices"]["a"] == {
        "formula": "mean",
        "discard_ratio": 0.0,
        "discard": "matrix",
        "start_layer": 0,
    }
    assert first["choices"]["b"]["discard_ratio"] == 0.9
    changed(page, "rollout", "#start-layer input", "2")
    second = png(page, *save)[1]
    assert second["choices"]["a"] == first["choices"]["a"] | {"start_layer": 2}
    assert first["caption"] == ("bundled · A: mean, from layer 0 · B: max, -90% of whole matrix, from layer 0")
    assert second["caption"] == first["caption"].replace("layer 0", "layer 2")
    agree(second, npz(page, "rollout"))


def test_positions_name_the_interpolation_that_was_used(page):
    page.locator("#tab-positions-button").click()
    manifest = png(page, "#positions .png", "#positions [data-state=complete]")[1]
    model = scene_of(ModelChoice(), str(example_files()[0])).model
    assert manifest["choices"]["method"] == model.origin.interpolation
    assert manifest["choices"]["image_size"] != list(model.config.image_size)
    assert manifest["caption"] == "bundled · bilinear (as the paper)"
    agree(manifest, npz(page, "positions"))
    changed(page, "positions", "#new-size textarea, #new-size input", "x".join(map(str, model.config.image_size)))
    manifest = png(page, "#positions .png", "#positions [data-state=complete]")[1]
    assert manifest["choices"]["method"] is None, "the model's own grid is not interpolated"
    assert manifest["caption"] == "bundled"
    changed(page, "positions", "#new-size textarea, #new-size input", "")
