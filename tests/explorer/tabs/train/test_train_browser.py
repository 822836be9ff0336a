"""The Train tab in a real Chromium: the form, and a run watched while it goes. `Fake` stands for a worker, so that a
test says what is written and when; the last test trains."""

import base64
import contextlib
import copy
import io
import json
import subprocess
import sys

import pytest
from PIL import Image

from explorer.tabs.train.new.preflight import dry_run as train_probe
from explorer.ui.words import TEXT
from tests.explorer.page.whole_page import unfold
from training.recipes import recipe_named
from training.runs.metrics import MetricEvent, append_events
from training.runs.processes import Process
from training.runs.run import RunError
from training.storage.jsonfile import write_json
from vit_model.messages import message

PATIENCE = 40_000  # milliseconds: a page opens while other tests train
HOSTILE = "<img src=x onerror=\"document.title='broken'\"> & co"


class Fake:
    """A run whose worker is a process that only sleeps."""

    def __init__(self, runs, name="fake", steps=100):
        self.run = runs.create(recipe_named("scratch-tiny").config(steps=steps), name=name, queue=False)
        self.worker = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True, stdin=subprocess.DEVNULL
        )
        write_json(self.run.path / "process.json", Process.of(self.worker.pid).to_dict() | {"attempt": 1})
        self.steps, self.step = steps, 0

    def train(self, steps, val=False):
        """`steps` more steps, and an evaluation after the last if asked."""
        events = []
        for _ in range(steps):
            self.step += 1
            events.append(self.event("train", loss=2 / self.step, lr=1e-3, grad_norm=1.0, images_per_second=512.0))
        if val:
            events.append(self.event("val", loss=1.5 / self.step, accuracy=0.875))
        append_events(self.run.path / "events.jsonl", events)
        self.run.write_progress({"step": self.step, "steps": self.steps, "seconds": 0.1 * self.step, "batch": 64})

    def event(self, split, **values):
        return MetricEvent(self.step, self.step / 10, self.step * 0.1, split, values)

    def say(self, text):
        with open(self.run.path / "log.txt", "a", encoding="utf-8") as log:
            log.write(text)

    def end(self, state="finished", reason=""):
        self.run.end(state, reason)
        self.worker.kill()
        self.worker.wait()


@pytest.fixture
def fake(runs):
    made = []

    def make(*arguments, **choices):
        made.append(Fake(runs, *arguments, **choices))
        return made[-1]

    yield make
    for one in made:
        if one.worker.poll() is None:
            one.end("stopped")
        one.run.delete()


def watch(open_page, served, run, **choices):
    """A page opened by the run's link."""
    page = open_page(f"{served}?run={run.id}", **choices)
    page.set_default_timeout(PATIENCE)
    page.tails = []
    page.on("request", lambda request: '"tail"' in (request.post_data or "") and page.tails.append(request))
    page.wait_for_selector("#live [data-state=ready]")
    return page


def fact(page, name):
    return page.locator(f"#live [data-fact={name}]").inner_text()


def wait_for_step(page, step):
    page.wait_for_function(
        "s => document.querySelector('#live [data-fact=step]')?.innerText.startsWith(s)", arg=f"{step} "
    )


def wait_for_state(page, state):
    page.wait_for_selector(f"#live [data-run-state={state}]")


def asked(page):
    """How often the page has asked for what is new."""
    return len(page.tails)


def drawn(page, chart):
    """How many pixels of a chart are not blank."""
    return page.evaluate(
        "name => { const c = document.querySelector(`#live [data-chart=${name}] canvas`);"
        " const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        " return data.filter((value, index) => index % 4 === 3 && value).length }",
        chart,
    )


def picture(page, chart):
    return page.evaluate("name => document.querySelector(`#live [data-chart=${name}] canvas`).toDataURL()", chart)


def train_tab(open_page, served, **choices):
    page = open_page(served, **choices)
    page.set_default_timeout(PATIENCE)
    page.locator("#tab-train-button").click()
    page.wait_for_selector("#train-command [data-state=ready]")
    return page


def box(page, name):
    return page.locator(f"#field-{name} input, #field-{name} textarea").first


def command(page):
    return page.locator("#train-command pre").inner_text()


def wait_for_command(page, words):
    page.wait_for_function("w => document.querySelector('#train-command pre')?.innerText.includes(w)", arg=words)


def choose(page, box_id, name):
    opened = page.locator(f"#{box_id} input")
    opened.click()
    opened.fill(name)
    opened.press("Enter")


# ---- the form --------------------------------------------------------------------------------------------------------


def test_the_form_keeps_its_place_among_the_tabs(open_page, served):
    page = train_tab(open_page, served)
    names = page.locator("#tabs [role=tab]").all_inner_texts()
    assert names.count("Train") == 1 and names[-4:] == ["New run", "Watch", "History", "Results"]
    page.locator("#save").wait_for(state="hidden")
    page.get_by_role("tab").nth(1).click()
    page.locator("#save-npz").wait_for()


def test_a_recipe_fills_the_form_and_the_command_follows(open_page, trainer):
    page = train_tab(open_page, trainer)
    assert (
        command(page)
        == "python -m training run --recipe scratch-tiny \\\n  --data shapes \\\n  --out runs/scratch-tiny"
    )
    choose(page, "recipe", "paper")
    wait_for_command(page, "sweep --recipe paper")
    assert box(page, "length").input_value() == "10000"
    assert box(page, "rates").input_value() == "0.001,0.003,0.01,0.03"
    assert "98.95" in page.locator("#recipe-about").inner_text()
    choose(page, "field-data", "pets")
    page.wait_for_function("document.querySelector('#field-length input, #field-length textarea')?.value === '500'")
    box(page, "lr").fill("0.02")
    wait_for_command(page, "--lr 0.02")
    assert "--steps" not in command(page)
    marked = "getComputedStyle(document.querySelector('#field-lr')).getPropertyValue('--changed')"
    assert page.evaluate(marked).strip() == "1"
    assert "differ from the recipe, and are marked: 2." in page.locator("#train-command").inner_text()


def test_a_fault_is_said_beside_the_form_and_nothing_typed_is_lost(open_page, trainer, runs):
    page = train_tab(open_page, trainer)
    before = len(runs.list())
    unfold(page, "#group-optimiser", "#field-weight_decay")
    box(page, "weight_decay").fill("lots")
    page.wait_for_selector("#train-command [data-state=error]")
    assert "Weight decay" in page.locator("#train-command .problem").inner_text()
    page.locator("#start").click()
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    assert "weight_decay expects a number" in toast.inner_text()
    assert box(page, "weight_decay").input_value() == "lots"
    assert len(runs.list()) == before
    box(page, "weight_decay").fill("0.1")
    wait_for_command(page, "--weight-decay 0.1")


def test_hostile_words_are_text(open_page, trainer):
    page = train_tab(open_page, trainer)
    choose(page, "field-data", HOSTILE)
    page.wait_for_selector("#train-command [data-state=error]")
    assert HOSTILE in page.locator("#train-command .problem").inner_text()
    assert page.locator("#train-command img").count() == 0
    assert page.title() == "ViT Explorer"


def test_what_a_look_ahead_finds(open_page, trainer, monkeypatch, photograph):
    small = io.BytesIO()
    Image.open(io.BytesIO(photograph)).resize((32, 32)).save(small, "PNG")
    encoded = base64.b64encode(small.getvalue()).decode()
    report = {
        "classes": [HOSTILE, "dog"],
        "notes": [],
        "parts": {
            "train": {"count": 90, "per_class": [80, 10]},
            "val": {"count": 10, "per_class": [9, 1]},
            "test": {"count": 5, "per_class": [5, 0]},
        },
        "unreadable": {"count": 1, "names": [HOSTILE], "reasons": ["empty"]},
        "imbalance": {"ratio": 8.0, "largest": [HOSTILE, 80], "smallest": ["dog", 10]},
        "single": [],
        "sizes": {"height": [20, 32.0, 900], "width": [32, 32.0, 32], "resolution": 32, "smaller": 3},
        "duplicates": {
            "within": {"train": {"extra": 2, "contradicting": 1, "groups": [["a.png", "b.png"]]}},
            "across": [{"parts": ["train", "test"], "count": 4, "pairs": [["a.png", "c.png"]]}],
        },
        "samples": [{"picture": encoded, "name": HOSTILE}],
    }
    dry = {"parameters": 459368, "trainable_parameters": 1000, "pictures": 90, "held_out": 10, "classes": 2}
    dry |= {"resolution": [32, 32], "grid": [8, 8], "steps": 400, "steps_in_budget": 400, "epochs": 7.1}
    dry |= {
        "images_per_second": 640.0,
        "seconds": 40.0,
        "peak_bytes": 2**30,
        "batch": 64,
        "batch_parts": 4,
        "device": "cpu",
    }
    batch = {"pictures": [encoded] * 3, "names": [HOSTILE, "dog", "dog 70% + cat 30%"], "patch": [4, 4]}

    def ask(kind, config, limit=0, guest=False):
        yield train_probe.Progress(1, 2, "half")
        yield copy.deepcopy({"data": report, "batch": batch, "step": dry}[kind])

    monkeypatch.setattr(train_probe, "ask", ask)
    page = train_tab(open_page, trainer)
    page.locator("#look-at-data").click()
    page.wait_for_selector("#train-check .batch canvas")
    said = page.locator("#train-check").inner_text()
    for words in (
        "The data: shapes",
        "Leakage: pictures of the test part that are also in the training part, pixel for pixel: 4.",
        "Pictures that cannot be read and are left out: 1.",
        "80 + 9 + 5",
        "20 – 900",
    ):
        assert words in said
    assert page.locator("#use-batch").is_hidden(), "64 of 90 fit"
    page.wait_for_function("document.querySelector('#train-check .batch canvas').width > 300")
    assert page.locator("#train-check img").count() == 1, "the sample; a class name is no HTML"
    page.locator("#try-step").click()
    page.wait_for_selector("#train-check .step dd")
    assert "64 = 4 × 16" in page.locator("#train-check .step").inner_text()
    page.locator("#use-batch").click()
    wait_for_command(page, "--accumulation 4")
    report["parts"]["train"]["count"] = 50
    page.locator("#look-at-data").click()
    page.get_by_text("A batch of 64 is larger than the training part of 50: such a run would fail.").wait_for()
    page.get_by_role("button", name="Use a batch of 48").click()  # which four parts share equally
    wait_for_command(page, "--batch 48")
    assert page.locator("#use-batch").is_hidden()
    report["parts"]["train"]["count"] = 3
    page.locator("#look-at-data").click()
    page.get_by_role("button", name="Use a batch of 3").click()
    wait_for_command(page, "--batch 3")
    assert "accumulation" not in page.locator("#train-command").inner_text(), "three pictures make no four parts"
    assert page.title() == "ViT Explorer"


# ---- watching --------------------------------------------------------------------------------------------------------


def test_curves_move_while_a_run_goes_and_stand_still_when_it_has_ended(open_page, trainer, fake):
    one = fake(HOSTILE)
    one.train(5)
    page = watch(open_page, trainer, one.run)
    wait_for_step(page, 5)
    before = picture(page, "loss")
    one.train(20, val=True)
    one.say("a line of the log\n")
    wait_for_step(page, 25)
    assert picture(page, "loss") != before
    assert drawn(page, "accuracy") > 200
    assert fact(page, "best") == "87.50%"
    assert fact(page, "batch") == "64"
    page.locator("#live summary").click()
    assert "a line of the log" in page.locator("#live pre").inner_text()
    assert page.locator("#live .name").inner_text() == HOSTILE
    assert page.locator("#live img").count() == 0
    one.end("failed", f"no luck {HOSTILE}")
    wait_for_state(page, "failed")
    assert "no luck <img" in page.locator("#live .reason").inner_text()
    page.wait_for_function("document.querySelector('#watch-run input')?.value.includes('failed')")  # by itself
    still = asked(page)
    page.wait_for_timeout(2500)
    assert asked(page) == still, "an ended run is asked for no more"
    assert page.title() == "ViT Explorer"


def test_a_reload_a_second_browser_and_the_link_show_the_same(open_page, trainer, fake):
    one = fake()
    one.train(30, val=True)
    page = watch(open_page, trainer, one.run)
    wait_for_step(page, 30)
    first = picture(page, "loss")
    page.reload()
    wait_for_step(page, 30)
    page.wait_for_function("document.querySelector('#live [data-chart=loss] canvas').width > 300")
    page.wait_for_timeout(300)
    assert picture(page, "loss") == first
    assert f"run={one.run.id}" in page.url
    second = open_page(trainer, viewport={"width": 1100, "height": 800})
    second.get_by_role("tab", name="Watch").click()
    wait_for_step(second, 30)
    one.train(10)
    wait_for_step(page, 40)
    wait_for_step(second, 40)


def test_half_a_line_waits_and_a_resume_replaces_what_it_measures_again(open_page, trainer, fake):
    one = fake()
    one.train(50)
    page = watch(open_page, trainer, one.run)
    wait_for_step(page, 50)
    line = one.event("train", loss=9.0).to_line()
    with open(one.run.path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(line[:25])
    page.wait_for_timeout(1500)
    one.step = 20  # as after a resume from step 20: append_events closes the half line
    one.train(2)
    wait_for_step(page, 22)
    page.locator("#live .charts").focus()
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('#live .spoken')?.innerText.includes('22')")
    assert "training Loss 0." in page.locator("#live .spoken").inner_text()


def test_stop_asks_the_worker_and_resume_queues_it_again(open_page, trainer, fake):
    one = fake()
    one.train(3)
    page = watch(open_page, trainer, one.run)
    page.get_by_role("button", name="Stop").click()
    wait_for_state(page, "stopping")
    assert one.run.stop_requested()
    one.end("stopped", "as asked")
    wait_for_state(page, "stopped")
    page.locator("#live .stop").wait_for(state="hidden")
    page.locator("#live .resume").wait_for()


def test_a_run_goes_on_with_data_that_moved_and_changed_when_told_so(open_page, trainer, fake):
    one = fake()
    one.train(3)
    page = watch(open_page, trainer, one.run)
    one.end("failed", "the data are not those that this run was made from")
    wait_for_state(page, "failed")
    page.locator("#watch-data").get_by_role("button", name="Its data have changed").click()
    page.locator("#watch-data-place textarea, #watch-data-place input").first.fill("cifar10")
    page.locator("#watch-data-changed input").check()
    page.locator("#watch-data-resume").click()
    wait_for_state(page, "queued")
    assert one.run.config.data == "cifar10" and (one.run.path / "data_changed.json").exists()
    with contextlib.suppress(RunError):  # it may have ended
        one.run.ask_stop()  # the server may have begun it, and what runs cannot be deleted
    for _ in range(600):
        if one.run.state in ("stopped", "failed", "finished"):
            break
        page.wait_for_timeout(100)


def test_a_page_that_nobody_looks_at_asks_for_nothing(open_page, trainer, fake):
    one = fake()
    one.train(3)
    page = watch(open_page, trainer, one.run)
    wait_for_step(page, 3)
    page.get_by_role("tab", name="Elsewhere").click()
    page.get_by_text("Nothing").wait_for()
    page.wait_for_timeout(1200)
    still = asked(page)
    one.train(4)
    page.wait_for_timeout(2500)
    assert asked(page) == still
    assert "run=" not in page.url
    page.get_by_role("tab", name="Train").click()
    wait_for_step(page, 7)


def test_hovering_reads_every_chart_and_asks_for_nothing(open_page, trainer, fake):
    one = fake()
    one.train(100, val=True)
    one.end()
    page = watch(open_page, trainer, one.run)
    wait_for_state(page, "finished")
    page.wait_for_timeout(300)
    still, canvas = asked(page), page.locator("#live [data-chart=lr] canvas")
    canvas.scroll_into_view_if_needed()
    area, latest = canvas.bounding_box(), page.locator("#live [data-chart=loss] .key b").first.inner_text()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + 40)
    page.wait_for_function("l => document.querySelector('#live [data-chart=loss] .key b').innerText !== l", arg=latest)
    assert asked(page) == still


def test_memory_does_not_grow_with_the_run(open_page, trainer, fake):
    one = fake(steps=45_000)
    one.train(45_000)
    one.end()
    page = watch(open_page, trainer, one.run)
    wait_for_state(page, "finished")
    wait_for_step(page, 45000)
    assert drawn(page, "loss") > 500


def test_a_run_that_is_not_there_is_said_so(open_page, trainer):
    page = open_page(f"{trainer}?run=20260101-000000-nothing-abcdef")
    toast = page.locator("[data-testid=toast-text]").last
    toast.wait_for()
    assert TEXT["en"]["train_gone"] in toast.inner_text()
    page.wait_for_selector("#train-command [data-state=ready]")


def test_chinese(open_page, trainer, fake):
    one = fake("实验")
    one.train(3)
    page = watch(open_page, trainer, one.run, locale="zh-CN")
    assert page.locator("#live .state").inner_text() == "训练中"
    text = "the disk is full; make room and resume the run from its last checkpoint"
    one.end("failed", message("run_disk_full", text))
    wait_for_state(page, "failed")
    assert page.locator("#live .reason").inner_text().startswith("磁盘已满")
    assert "步数" in page.locator("#live .facts").inner_text()
    page.get_by_role("tab", name="新建训练").click()
    page.wait_for_selector("#train-command [data-state=ready]")
    box(page, "lr").fill("fast")
    page.wait_for_selector("#train-command [data-state=error]")
    assert "“学习率”有误" in page.locator("#train-command .problem").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(open_page, trainer, fake, scheme):
    one = fake()
    one.train(40, val=True)
    page = watch(open_page, trainer, one.run, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    wait_for_step(page, 40)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="New run").click()
    page.wait_for_selector("#train-command [data-state=ready]")
    for group in page.locator("#train-groups button").all():
        group.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


# ---- training --------------------------------------------------------------------------------------------------------


def test_shapes_are_trained_from_the_page(open_page, trainer, runs):
    page = train_tab(open_page, trainer)
    page.set_default_timeout(240_000)
    box(page, "length").fill("12")
    unfold(page, "#group-measuring", "#field-eval_every")
    box(page, "eval_every").fill("6")
    unfold(page, "#group-model", "#field-width")
    box(page, "width").fill("48")
    box(page, "depth").fill("2")
    for said in ("--eval-every 6", "--width 48", "--depth 2"):
        wait_for_command(page, said)
    page.locator("#run-name input, #run-name textarea").first.fill("from the page")
    page.locator("#start").click()
    page.wait_for_selector("#live [data-state=ready]")
    wait_for_state(page, "finished")
    run = next(run for run in runs.list() if run.name == "from the page")
    assert f"run={run.id}" in page.url
    assert fact(page, "step").startswith("12 ")
    assert fact(page, "test_accuracy").endswith("%")
    assert drawn(page, "loss") > 200
    assert [event.step for event in run.events()[0] if event.split == "val"] == [6, 12]
    assert json.loads((run.path / "run.json").read_text())["config"]["depth"] == 2
    run.delete()
