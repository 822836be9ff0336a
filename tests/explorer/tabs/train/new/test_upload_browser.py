"""A visitor's own pictures and checkpoint in a real Chromium: uploaded, looked at, trained on by a real worker, which
is stopped and gone on with from the page; and an archive that means harm."""

import io
import zipfile

import pytest

from tests.explorer.page.whole_page import unfold
from tests.explorer.tabs.train.run_folders import write_pictures
from tests.explorer.tabs.train.test_train_browser import box, fact, train_tab, wait_for_command, wait_for_state
from training.runs.metrics import fold
from vit_model import VisionTransformer, ViTConfig, save_model

SLOW = 240_000  # milliseconds: processes that import torch, on a busy machine


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip with one folder a class, in a folder of its own."""
    folder = write_pictures(tmp_path_factory.mktemp("own") / "insects", ("ant", "bee", "cat"), each=12)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, f"insects/{path.relative_to(folder)}")
    return packed.getvalue()


def upload(page, part, field, *files):
    """Put files into an upload box of the form, and wait for its name in the box above."""
    page.locator(f"#{part} button").first.click()
    chosen = [{"name": name, "mimeType": "application/octet-stream", "buffer": content} for name, content in files]
    page.locator(f"#{part} input[type=file]").first.set_input_files(chosen if len(chosen) > 1 else chosen[0])
    page.wait_for_function("f => document.querySelector(`#field-${f} input`)?.value.startsWith('upload:')", arg=field)


def small(page):
    """A model that a slow machine trains several steps a second."""
    unfold(page, "#group-model", "#field-width")
    for name, value in {"width": "16", "depth": "1", "heads": "2", "patch_size": "8"}.items():
        box(page, name).fill(value)
    box(page, "resolution").fill("16")
    box(page, "batch").fill("8")
    wait_for_command(page, "--patch-size 8")


def test_an_uploaded_archive_is_trained_on_stopped_and_gone_on_with(open_page, trainer, runs, archive):
    page = train_tab(open_page, trainer)
    upload(page, "own-data", "data", ("insects.zip", archive))
    small(page)
    box(page, "length").fill("1000000")
    wait_for_command(page, "--data insects.zip")
    page.locator("#run-name input, #run-name textarea").first.fill("my insects")
    page.set_default_timeout(SLOW)
    page.locator("#start").click()
    wait_for_state(page, "running")
    (run,) = [run for run in runs.list() if run.name == "my insects"]
    steps = "n => Number.parseInt(document.querySelector('#live [data-fact=step]')?.innerText) > n"
    page.wait_for_function(steps, arg=3)
    assert run.config.data.startswith(str(runs.folder)), "the upload stays as long as the run names it"
    page.locator("#live .stop").click()
    wait_for_state(page, "stopped")
    assert run.process is None or not run.process.alive
    before = run.last.step
    assert before > 3 and fact(page, "step").startswith(f"{before} ")
    page.locator("#live .resume").click()
    page.wait_for_function(steps, arg=before)
    wait_for_state(page, "running")
    page.locator("#live .stop").click()
    wait_for_state(page, "stopped")
    assert run.attempt == 2 and run.last.step > before
    told = [event.step for event in fold(run.events()[0]) if event.split == "train"]
    assert told == sorted(set(told)) and f"resumed at step {before}" in run.log()[0]
    assert run.read("data.json")["classes"] == ["ant", "bee", "cat"]
    run.delete()


def test_an_archive_that_climbs_out_is_refused_in_words_and_harms_nothing(open_page, trainer, runs):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("ant/1.png", "bee/1.png", "../../../evil.png"):
            file.writestr(name, b"x")
    page = train_tab(open_page, trainer, locale="zh-CN")
    upload(page, "own-data", "data", ("evil.zip", packed.getvalue()))
    before = len(runs.list())
    page.set_default_timeout(SLOW)
    page.locator("#look-at-data").click()
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    assert "指向压缩包之外" in toast.inner_text() and "evil.png" in toast.inner_text()
    assert not list(runs.folder.parent.rglob("evil.png"))
    assert len(runs.list()) == before


def test_an_uploaded_checkpoint_is_what_a_dry_step_trains(open_page, trainer, tmp_path):
    config = ViTConfig(image_size=32, patch_size=16, width=24, depth=1, heads=2, mlp_width=40, classes=4)
    model = VisionTransformer(config, labels=list("abcd"))
    files = sorted(save_model(model, tmp_path / "mine").iterdir())
    page = train_tab(open_page, trainer)
    upload(page, "own-weights", "model", *((file.name, file.read_bytes()) for file in files))
    wait_for_command(page, "--model model.safetensors")
    wait_for_command(page, "--width none")  # which was the recipe's, for a new model
    box(page, "batch").fill("8")
    wait_for_command(page, "--batch 8")
    page.set_default_timeout(SLOW)
    page.locator("#try-step").click()
    page.wait_for_selector("#train-check .step dd")
    body = sum(parameter.numel() for parameter in model.parameters()) - (24 * 4 + 4)  # a new head for eight shapes
    assert f"{body + 8 * 25:,}" in page.locator("#train-check .step").inner_text()
