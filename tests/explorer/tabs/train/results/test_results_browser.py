"""The history and the results in a real Chromium: overlaid, renamed, deleted, clicked through to the explorer."""

import json
import sys
import time
import zipfile

import pytest
from PIL import Image
from transformers import AutoModelForImageClassification

import app
from explorer.figures.export import load_npz
from explorer.page.page import build_page
from explorer.tabs.train.history import panel as train_history
from explorer.tabs.train.results import panel as train_results
from explorer.tabs.train.runs.access import OWNER_COOKIE, owner_of_secret
from explorer.tabs.train.watch import panel as train_watch
from tests.explorer.page.whole_page import at_home, seen_anew, slow_down, soon_after, unfold
from tests.explorer.tabs.train.run_folders import HOSTILE, write_events, write_pictures, write_run
from training.runs.runs import Run
from training.storage.jsonfile import write_json

CLASSES = ("ant", "bee", "cat")
PARTS = {"watch": 1, "history": 2, "results": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "insects", CLASSES, each=4)


@pytest.fixture
def made(runs, data):
    """make(name, ...) -> a run on the served page, with results on `data` unless told otherwise; gone afterwards."""
    made = []

    def make(name, **choices):
        made.append(write_run(runs, name, **{"classes": CLASSES, "pictures": 4, "data": str(data)} | choices))
        return made[-1]

    yield make
    for run in made:
        (run.path / "process.json").unlink(missing_ok=True)
        if run.path.exists():
            run.delete()


def to_part(page, name):
    page.locator("#tab-train-button").click()
    page.locator("#train-tabs").get_by_role("tab").nth(PARTS[name]).click()


def history(open_page, url, **choices):
    page = open_page(url, **choices)
    to_part(page, "history")
    page.wait_for_selector("#run-table [data-state=ready]")
    return page


def row(page, run):
    return page.locator(f"#run-table tr[data-run='{run.id}']")


def to_results(page, run):
    """Open a run, which leads to Watch, and go on to its results."""
    row(page, run).locator(".open").click()
    page.locator("#watch-run").wait_for()
    to_part(page, "results")


def results(open_page, url, run, **choices):
    page = history(open_page, url, **choices)
    to_results(page, run)
    page.wait_for_selector("#results-matrix [data-state=ready]")
    page.wait_for_selector("#results-pictures [data-state=ready] .tile")
    return page


def title(page, words):
    has = "words => document.querySelector('#results-pictures .title')?.textContent.includes(words)"
    page.wait_for_function(has, arg=words)


def png_manifest(page, button):
    """What a saved picture says of itself."""
    with page.expect_download() as download:
        page.locator(button).click()
    with Image.open(download.value.path()) as picture:
        return json.loads(picture.text["vit-explorer"])


def test_two_runs_overlaid_with_what_differs(open_page, trainer, made):
    runs = [made("slow", lr=0.001), made("<b id=hacked>fast</b>", lr=0.01, level=0.9)]
    page = history(open_page, trainer)
    for run in runs:
        row(page, run).locator("input").check()
    page.wait_for_selector("#overlay [data-state=ready]")
    page.wait_for_function("document.querySelector('#overlay .js-plotly-plot').data.length === 8")
    head = page.locator("#overlay-facts thead").inner_text()
    assert "slow" in head and "<b id=hacked>fast</b>" in head
    assert page.locator("#hacked").count() == 0
    assert "Learning rate\t0.001\t0.01" in page.locator("#overlay-facts tbody").inner_text()
    assert page.locator("#overlay .legendtext").all_text_contents() == ["slow", "<b id=hacked>fast</b>"]
    write_events(runs[0], 60, 0.8, start=41)  # it goes on: the overlay follows by itself
    page.wait_for_function("Math.max(...document.querySelector('#overlay .js-plotly-plot').data[0].x) === 60")
    page.locator("#overlay-csv").click()
    with page.expect_download() as download:
        page.locator("#overlay-file a").first.click()
    assert len(download.value.path().read_text("utf-8-sig").splitlines()) == 1 + 48 + 72
    page.locator("#overlay-npz").click()
    page.locator("#overlay-file a[download$='.npz']").first.wait_for()
    with page.expect_download() as download:
        page.locator("#overlay-file a").first.click()
    arrays, manifest = load_npz(download.value.path())
    assert len(arrays["step"]) == 48 + 72
    page.locator("#overlay .js-plotly-plot").hover()
    drawn = png_manifest(page, "#overlay .modebar-btn[data-title='Download plot as a PNG']")
    assert drawn["runs"] == manifest["runs"] and len(drawn["runs"]) == 2


@pytest.mark.parametrize("choices", [{}, {"viewport": {"width": 390, "height": 844}}], ids=["desktop", "phone"])
def test_the_overlay_is_in_sight_however_many_runs_there_are(open_page, trainer, made, choices):
    runs = [made(f"run {number}") for number in range(20)]
    page = history(open_page, trainer, **choices)
    for run in (runs[0], runs[10]):
        row(page, run).locator("input").check()
    page.wait_for_selector("#overlay [data-state=ready]")  # plots are drawn in sight only
    assert page.evaluate("scrollY") == 0


def test_a_run_ticked_while_the_one_before_is_on_its_way_is_in_the_overlay(open_page, trainer, made, monkeypatch):
    """Gradio's `always_last` gives the later event the data of the first."""
    runs = [made(name) for name in ("one", "two", "three")]
    page = history(open_page, trainer)
    slow_down(monkeypatch, train_history, "drawn_from", 0.7)
    for run in runs:
        row(page, run).locator("input").check()
        soon_after(page)
    page.wait_for_function("document.querySelector('#overlay .js-plotly-plot')?.data.length === 12")


def test_of_runs_opened_in_quick_succession_the_last_is_shown(open_page, trainer, made, monkeypatch):
    runs = [made(name) for name in ("first", "second")]
    page = history(open_page, trainer)
    slow_down(monkeypatch, train_history, "run_of", 0.7)
    slow_down(monkeypatch, train_watch, "opened", 1.5)
    for run in runs:
        row(page, run).locator(".open").click()
        soon_after(page)
    page.wait_for_function("document.querySelector('#watch-run input')?.value.startsWith('second')")
    time.sleep(2)
    assert page.locator("#watch-run input").input_value().startswith("second"), "it stays"
    to_part(page, "history")
    assert "opened" in row(page, runs[1]).get_attribute("class")


def test_of_runs_chosen_in_watch_in_quick_succession_the_last_is_shown(open_page, trainer, made, monkeypatch):
    runs = [made(name) for name in ("first", "second", "third")]
    page = history(open_page, trainer)
    to_part(page, "watch")
    page.wait_for_function("document.querySelector('#watch-run input')?.value.startsWith('third')")
    slow_down(monkeypatch, train_watch, "opened", 1)
    for run in runs[:2]:
        page.locator("#watch-run input").click()
        page.get_by_role("option").filter(has_text=run.name).click()
        soon_after(page)
    time.sleep(3)
    page.wait_for_function("document.querySelector('#watch-run input').value.startsWith('second')")
    to_part(page, "history")
    page.locator(f"#run-table tr.opened[data-run='{runs[1].id}']").wait_for()


def test_a_part_of_the_data_chosen_while_a_run_is_being_opened_stays(open_page, trainer, made, monkeypatch):
    runs = [made(name) for name in ("first", "second")]
    page = results(open_page, trainer, runs[0])
    slow_down(monkeypatch, train_results, "opens_on", 1.5)
    to_part(page, "history")
    to_results(page, runs[1])
    page.locator("#results-split input").nth(1).check()
    time.sleep(2)
    assert page.locator("#results-split input").nth(1).is_checked()
    page.wait_for_function("document.querySelector('#results-matrix .title')?.textContent.includes('test set')")


def test_rename_and_delete_ask_and_keep_to_the_run(open_page, trainer, made):
    run, live = made("old name"), made("going", live=True)
    page = history(open_page, trainer)
    assert row(page, live).locator(".remove").is_disabled(), "a live run is never deleted"
    row(page, run).locator(".rename").click()
    page.keyboard.type("<img src=x onerror=window.hacked=1> new")
    page.keyboard.press("Enter")
    row(page, run).locator(".open").get_by_text("new").wait_for()
    assert run.name == "<img src=x onerror=window.hacked=1> new"
    assert page.evaluate("window.hacked") is None
    row(page, run).locator(".remove").click()
    page.keyboard.press("Enter")  # "Keep it" has the focus
    assert run.path.exists()
    row(page, run).locator(".remove").click()
    page.locator("#run-table .delete").click()
    row(page, run).wait_for(state="detached")
    assert not run.path.exists()
    assert live.path.exists()


def test_what_is_asked_while_the_server_is_busy_with_another_run_is_done_too(open_page, trainer, made, monkeypatch):
    runs = [made(name) for name in ("one", "two", "three", "four")]
    page = history(open_page, trainer)
    for method in ("delete", "rename"):
        slow_down(monkeypatch, Run, method, 1)
    for run in runs[:2]:
        row(page, run).locator(".remove").click()
        page.locator("#run-table .delete").click()
    for run in runs[2:]:
        row(page, run).locator(".rename").click()
        page.keyboard.type(f"new {run.name}")
        page.keyboard.press("Enter")
    for run in runs[:2]:
        row(page, run).wait_for(state="detached")
    for run, name in zip(runs[2:], ("new three", "new four"), strict=True):
        row(page, run).locator(".open").get_by_text(name, exact=True).wait_for()


def test_the_run_that_was_opened_is_the_one_shown(open_page, trainer, made):
    runs = [made(name) for name in ("oldest", "middle", "newest")]
    page = history(open_page, trainer)
    for run in (runs[0], runs[1]):
        row(page, run).locator(".open").click()
        watched = "n => document.querySelector('#watch-run input')?.value.startsWith(n)"
        page.wait_for_function(watched, arg=run.name)
        page.wait_for_timeout(500)  # nothing that comes late may change it
        assert page.evaluate(watched, run.name)
        to_part(page, "results")
        page.locator("#results-matrix .title").get_by_text(run.name).wait_for()
        to_part(page, "history")


def test_a_stopped_run_is_resumed(open_page, trainer, made, monkeypatch):
    monkeypatch.setattr("training.runs.run.worker_command", lambda path: [sys.executable, "-c", "pass"])
    run, finished = made("stopped", ended="stopped"), made("finished")
    page = history(open_page, trainer)
    assert row(page, finished).locator(".resume").is_hidden()
    row(page, run).locator(".resume").click()
    row(page, run).locator(".state:not([data-kind=stopped])").wait_for()
    while run.state != "failed":  # its worker has been started, and does nothing
        page.wait_for_timeout(100)
    assert run.attempt == 2


def test_the_sweep_and_what_was_published(open_page, trainer, made, monkeypatch, tmp_path):
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path))
    run = made("sweep", recipe="paper", data="cifar10", model="google/vit-base-patch16-224-in21k", held_out=0.0)
    for rate, level in ((0.001, 0.5), (0.01, 0.9)):
        write_events(Run.create(run.path / "trials" / f"lr-{rate!r}", run.config), 40, level)
    told = {"rates": [0.001, 0.01], "trials": ["lr-0.001", "lr-0.01"], "accuracies": [0.5, 0.9], "best": 0.01}
    write_json(run.path / "sweep.json", told)
    (run.path / "results" / "val.json").unlink()
    page = history(open_page, trainer)
    to_results(page, run)
    page.wait_for_selector("#results-sweep [data-state=ready]")
    assert page.locator("#results-sweep polyline").count() == 2
    assert page.locator("#results-sweep .picked").inner_text().startswith("rate 0.01")
    table = page.locator("#results-published tbody").inner_text()
    assert "98.95%" in table and "75.00%" in table
    assert page.locator("#results-split input:checked").get_attribute("value") == "test", "nothing is held out"
    page.locator("#results-pictures .fetch").wait_for()  # and nothing is downloaded unasked
    page.locator("#results-sweep .npz").click()
    with page.expect_download() as download:
        page.locator("#sweep-file a").first.click()
    arrays, _ = load_npz(download.value.path())
    assert arrays["rates"].tolist() == [0.001, 0.01] and arrays["picked"].tolist() == [False, True]


def test_a_cell_by_mouse_and_by_keyboard_shows_its_pictures(open_page, trainer, made):
    page = results(open_page, trainer, made("insects"))
    title(page, "most confident")
    assert page.locator("#results-pictures .tile").count() == 3
    box = page.locator("#results-matrix canvas").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.98, box["y"] + box["height"] * 0.98)
    title(page, "cat, named right")
    assert page.locator("#results-pictures .tile").count() == 3
    page.locator("#results-matrix .frame").focus()
    for key in ("ArrowUp", "Enter"):
        page.keyboard.press(key)
    title(page, "bee taken for cat")
    assert "bee taken for cat: 1 of 4" in page.locator("#results-matrix .reading").inner_text()
    page.locator("#results-matrix .classes button").first.click()
    title(page, "wrong answers")


def test_a_picture_opens_in_the_explorer_with_that_checkpoint(kept_page, served, made):
    run = made("insects")
    at_home(kept_page(served))
    page = results(kept_page, served, run)
    seen_anew(page, page.locator("#results-pictures .tile").first.click)
    page.wait_for_function("document.querySelector('#model-card')?.innerText.includes('Run insects · step 20')")
    page.wait_for_selector("#attention [data-state=ready], #attention [data-state=complete]")
    assert page.get_by_role("tab", selected=True).first.inner_text() == "Attention"
    assert page.locator("#model input").input_value() == "Run insects · step 20"
    assert set(page.locator("#scene-bar .label").all_inner_texts()) == set(CLASSES)
    assert str(run.path) not in page.content()


def test_any_checkpoint_is_in_the_model_picker(kept_page, served, made):
    run = made("going", live=True)
    made("convolutions", model="resnet18")
    page = at_home(kept_page(served))
    page.locator("#model input").click()
    page.get_by_role("option", name="Run going · last (step 40)").click()
    page.wait_for_function("document.querySelector('#model-card')?.innerText.includes('Run going · step 40')")
    assert page.get_by_role("option", name="convolutions").count() == 0
    (run.path / "checkpoints" / "step-00000040").rename(run.path / "gone")
    page.locator("#examples button.gallery-item").nth(1).click()
    said = page.locator("[data-testid=toast-text]").last
    said.wait_for()
    assert "newest checkpoint" in said.inner_text()
    assert str(run.path) not in said.inner_text()


def test_hostile_class_names_are_text_everywhere(open_page, trainer, made):
    page = results(open_page, trainer, made("hostile", classes=HOSTILE, data="shapes"))
    page.wait_for_selector("#results-pictures .tile")
    page.mouse.move(300, 500)
    page.locator("#results-matrix .frame").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#results-matrix b, #results-pictures b, #results-matrix img").count() == 0
    assert HOSTILE[0] in page.locator("#results-matrix .classes").inner_text()
    with page.expect_download() as download:
        page.locator("#results-matrix .csv").click()
    text = download.value.path().read_text("utf-8-sig")
    assert '"\'=cmd()"' in text


def test_numbers_and_the_folder_can_be_taken_away(open_page, trainer, made, tmp_path):
    run = made("insects")
    page = results(open_page, trainer, run)
    page.locator("#results-npz").click()
    with page.expect_download() as download:
        page.locator("#results-file a").first.click()
    arrays, manifest = load_npz(download.value.path())
    assert arrays["confusion"].sum() == 12
    assert manifest["run"] == run.id
    drawn = png_manifest(page, "#results-matrix .png")
    assert {name: drawn[name] for name in manifest if name != "date"} == {
        name: said for name, said in manifest.items() if name != "date"
    }
    page.locator("#take button").first.click()
    page.wait_for_function("document.querySelector('#take-checkpoint input')?.value.startsWith('best')")
    page.locator("#take-zip").click()
    with page.expect_download() as download:
        page.locator("#take-file a").first.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = {name.split("/")[1] for name in archive.namelist()}
        archive.extractall(tmp_path)
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= names
    assert not {name for name in names if name.startswith("state.")}
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "insects-step-20")
    assert set(model.config.id2label.values()) == set(CLASSES)
    unfold(page, "#take-hub", "#take-repo")
    page.locator("#take-repo input, #take-repo textarea").fill("no/such/name")
    page.locator("#take-push").click()
    said = page.locator("[data-testid=toast-text]").last
    said.wait_for()
    assert "owner/name" in said.inner_text()


def test_visitors_of_a_public_page_see_only_their_own(open_page, runs, made):
    secrets = ("c" * 64, "d" * 64)
    owned = zip(("my run", "their run"), map(owner_of_secret, secrets), strict=True)
    mine, theirs = (made(name, owner=owner) for name, owner in owned)
    demo = build_page(local_paths=False)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        page = open_page(url, viewport={"width": 1270, "height": 880})
        page.evaluate(f"localStorage.setItem('{OWNER_COOKIE}', '{secrets[0]}')")
        page.reload()
        page.wait_for_selector("#scene-bar [data-state=ready]")
        to_part(page, "history")
        page.wait_for_selector("#run-table [data-state=ready]")
        assert page.locator("#run-table .open").all_inner_texts() == ["my run"]
        page.locator("#model input").click()
        page.get_by_role("option", name="Run my run · last").wait_for()
        assert page.get_by_role("option", name="their run").count() == 0
        assert theirs.id not in json.dumps(page.content())
        assert mine.id in page.content()
    finally:
        demo.close()


PHONES = {"dark, Chinese": {"color_scheme": "dark", "locale": "zh-CN"}, "light": {"color_scheme": "light"}}


@pytest.mark.parametrize("choices", PHONES.values(), ids=PHONES)
def test_a_phone_never_scrolls_sideways(open_page, trainer, made, choices):
    run = made("a-rather-long-name-of-a-run-" * 4)
    page = results(open_page, trainer, run, viewport={"width": 390, "height": 844}, **choices)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if "locale" in choices:
        title(page, "错得最有把握")
    to_part(page, "history")
    page.wait_for_selector("#run-table [data-state=ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
