"""The Figures tab in a real Chromium: over the examples, over a visitor's pictures, and what can be taken away."""

import io
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from explorer.figures.export import load_npz
from explorer.tabs.figures import tab as figures
from tests.explorer.page.whole_page import load_own, without_messages
from vit_model import VisionTransformer, ViTConfig, save_model

EXAMPLES = "Over 4 pictures: the one in sight and the examples."


@pytest.fixture
def page(kept_page, served):
    page = kept_page(served)
    page.set_default_timeout(40_000)
    page.wait_for_selector("#attention [data-state=ready]", state="attached")
    without_messages(page)
    page.get_by_role("tab", name="Figures", exact=True).click()
    page.wait_for_selector("#figure-rollouts img")
    page.locator("#figure-distance").scroll_into_view_if_needed()
    page.wait_for_selector("#figure-distance [data-state=ready]")
    if page.locator(CLEAR).count():
        page.locator(CLEAR).click()
    if page.get_by_label(FOLDER).input_value():
        folder(page, "")
    status(page, EXAMPLES)
    return page


CLEAR = "#figures-files button[aria-label='Clear']"
FOLDER = "Or a folder on this computer"


def folder(page, path):
    page.get_by_label(FOLDER).fill(str(path))
    page.get_by_label(FOLDER).press("Enter")


def status(page, text):
    page.locator("#figures-status").get_by_text(text).wait_for()


def test_the_four_figures_are_there_at_once(page):
    status(page, EXAMPLES)
    for name in ("filters", "positions", "rollouts"):
        width = page.locator(f"#figure-{name} img").evaluate("image => image.naturalWidth")
        assert width > 100, name
    page.locator("#figure-distance").get_by_text("mean attention distance (pixels)").first.wait_for()


def test_a_visitors_own_pictures_and_their_numbers(page, photograph):
    drawn = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").save(drawn, "PNG")
    page.locator("#figures-files input[type=file]").set_input_files(
        [
            {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": photograph},
            {"name": "again.jpg", "mimeType": "image/jpeg", "buffer": photograph},
            {"name": "two.png", "mimeType": "image/png", "buffer": drawn.getvalue()},
            {"name": "<b>no.png", "mimeType": "image/png", "buffer": drawn.getvalue()[:50]},
        ]
    )
    status(page, "Over your own pictures, 2 in all.")
    said = page.locator("#figures-status").inner_text()
    assert "Left out" in said
    assert "no.png" in said
    assert "again.jpg" not in said  # the same picture once more counts once
    page.locator("#save-npz").click()
    with page.expect_download() as download:
        page.locator("#saved-npz a").first.click()
    arrays, manifest = load_npz(download.value.path())
    assert arrays["distance_pixels"].shape[0] == arrays["rollouts"].shape[0] == 2
    assert arrays["filters"].shape[-1] == 3
    assert arrays["position_similarity"].ndim == 4
    assert len(manifest["choices"]["pictures_sha256"]) == 2


def test_an_archive_and_a_folder(page, photograph, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (70, 16, 16, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for index, each in enumerate(pixels):
            encoded = io.BytesIO()
            Image.fromarray(each).save(encoded, "PNG")
            archive.writestr(f"many/{index:02}.png", encoded.getvalue())
        archive.writestr("many/notes.txt", "no picture")
    page.locator("#figures-files input[type=file]").set_input_files(tmp_path / "many.zip")
    status(page, "Over your own pictures, 64 in all. Of 70, 64 were taken")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "folder" / "inside" / "one.jpg").write_bytes(photograph)
    folder(page, tmp_path / "nowhere")
    page.locator("[data-testid=toast-text]").get_by_text("is neither a folder nor an archive").wait_for()
    page.locator(CLEAR).click()
    status(page, EXAMPLES)
    folder(page, tmp_path / "folder")
    status(page, "Over your own pictures, 1 in all.")


def test_a_hostile_archive_changes_nothing(page, tmp_path):
    with zipfile.ZipFile(tmp_path / "climbing.zip", "w") as archive:
        archive.writestr("../../climbing.png", b"x")
    page.locator("#figures-files input[type=file]").set_input_files(tmp_path / "climbing.zip")
    page.locator("[data-testid=toast-text]").first.wait_for()
    page.locator("#figure-rollouts img").wait_for()


def test_long_work_can_be_stopped(page, monkeypatch, photograph):
    def slow(sources, scene, progress=None):
        done = 0
        while True:  # until it is stopped
            progress(min(done := done + 1, 599), 600)
            time.sleep(0.05)

    monkeypatch.setattr(figures.Sources, "seen", slow)
    file = {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": photograph}
    page.locator("#figures-files input[type=file]").set_input_files([file])
    page.get_by_text("of 600 …").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    status(page, "Stopped; the figures are of before.")


NEW = "src => document.querySelector('#figure-positions img').src !== src"


def test_another_model_draws_its_own(page, tmp_path):
    config = ViTConfig(image_size=32, patch_size=16, width=12, depth=2, heads=2, mlp_width=24, classes=0)
    save_model(VisionTransformer(config), tmp_path / "other")
    before = page.locator("#figure-positions img").get_attribute("src")
    load_own(page, tmp_path / "other")
    page.wait_for_function(NEW, arg=before)
    assert page.locator("[data-testid=toast-text]").count() == 0
    other = page.locator("#figure-positions img").get_attribute("src")
    load_own(page, "bundled")
    page.wait_for_function(NEW, arg=other)
