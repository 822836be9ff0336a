"""Moving a slider, or opening a tab again, costs no forward pass; and what the browser no longer has is made again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from explorer.analysis.explain.gradient_rollout import gradient_rollout_matrices
from explorer.analysis.explain.gradients import class_gradients
from explorer.page.events import fill
from explorer.page.events.fill import fill_tab
from explorer.page.events.scene_bar import bar_and_card
from explorer.page.page import build_page
from explorer.session.scenes import ModelChoice, gradients_of, scene_at_size, scene_of
from explorer.tabs.attention import tab as attention
from explorer.tabs.compare import tab as compare
from explorer.tabs.explain import tab as explain
from explorer.tabs.patches import tab as patches
from explorer.tabs.positions import tab as positions
from explorer.tabs.rollout import tab as rollout
from explorer.tabs.rollout.tab import GRADIENT, variants
from explorer.ui.events.sent_values import SentValues
from explorer.ui.events.stale_work import CURRENT_WORK
from explorer.ui.viewer_store import STORE
from vit_model import VisionTransformer, ViTConfig, save_model

MODULES = {"patches": patches, "attention": attention, "rollout": rollout, "positions": positions}
CONTROLS = {"patches": [], "attention": [], "rollout": ["mean", 0.0, "max", 0.9, "matrix", 0], "positions": ["", "own"]}


@pytest.fixture
def forwards(monkeypatch):
    """A list that grows with every forward pass, plain, traced or differentiable."""
    counted, run = [], VisionTransformer._run

    def counting(model, pixels, *choices, **named):
        counted.append(tuple(pixels.shape))
        return run(model, pixels, *choices, **named)

    monkeypatch.setattr(VisionTransformer, "_run", counting)
    return counted


@pytest.fixture
def picture(tmp_path):
    """No two tests share a picture, so none finds another's scene."""
    noise = np.random.default_rng(abs(hash(tmp_path)) % 2**32).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


class Visitor:
    """One browser's page: what it was sent, and the states that Gradio keeps for it."""

    def __init__(self, picture):
        self.choice, self.picture, self.request = ModelChoice(), picture, None
        self.controls = {name: list(values) for name, values in CONTROLS.items()}
        with gr.Blocks():
            self.tabs = {name: module.build() for name, module in MODULES.items()}
        self.sent = {}

    def open(self, name):
        """What the server sends for this tab; None where it leaves the tab as it is."""
        tab = self.tabs[name]
        own = self.controls[name]
        sent, *values = fill_tab(tab, self.request, self.choice, self.picture, self.sent.get(name), *own)
        if sent != gr.skip():
            self.sent[name] = sent
        values, self.classes = values[: len(tab.outputs)], values[len(tab.outputs) :]
        return None if values[0] == gr.skip() else values


@pytest.fixture
def visitor(picture):
    return Visitor(picture)


@pytest.mark.parametrize("name", MODULES)
def test_a_tab_opened_again_is_left_as_it_is(visitor, forwards, name):
    assert visitor.open(name)
    first = len(forwards)
    assert visitor.open(name) is None
    for other in MODULES:
        visitor.open(other)
    first = len(forwards)
    assert all(visitor.open(other) is None for other in MODULES)
    assert len(forwards) == first


def test_another_picture_model_size_or_language_is_shown_and_so_is_the_way_back(visitor, tmp_path, monkeypatch):
    visitor.open("attention")
    Image.new("RGB", (30, 30), "green").save(tmp_path / "green.png")
    mine = visitor.picture
    visitor.picture = str(tmp_path / "green.png")
    assert visitor.open("attention")
    visitor.picture = mine
    assert visitor.open("attention")
    visitor.choice = ModelChoice(size=(64, 64))
    assert visitor.open("attention")[0]["grid"] == [8, 8]
    visitor.choice = ModelChoice()
    assert visitor.open("attention")
    monkeypatch.setattr(fill, "language_of", lambda request: "zh")
    assert visitor.open("attention")
    assert visitor.open("attention") is None


class Held:
    """A function that waits where it is called for what `held` says, until it is let go."""

    def __init__(self, function, held):
        self.function, self.held = function, held
        self.there, self.go = threading.Event(), threading.Event()

    def __call__(self, *arguments):
        if self.held(*arguments):
            self.there.set()
            assert self.go.wait(30)
        return self.function(*arguments)


def test_an_earlier_choice_that_takes_longer_is_not_shown_after_a_later_one(visitor, monkeypatch):
    slow = ModelChoice(size=(64, 64))
    monkeypatch.setattr(fill, "scene_of", held := Held(scene_of, lambda choice, picture: choice == slow))
    with ThreadPoolExecutor() as threads:
        visitor.choice = slow
        first = threads.submit(visitor.open, "attention")
        assert held.there.wait(30)
        visitor.choice = ModelChoice()
        assert visitor.open("attention")[0]["grid"] == [12, 12]
        held.go.set()
        assert first.result(30) is None


def test_an_earlier_choice_that_takes_longer_is_not_in_the_bar_after_a_later_one(picture, monkeypatch):
    slow = ModelChoice(size=(64, 64))
    monkeypatch.setattr(fill, "scene_of", held := Held(scene_of, lambda choice, picture: choice == slow))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(bar_and_card, None, slow, picture)
        assert held.there.wait(30)
        bar, card = bar_and_card(None, ModelChoice(), picture)
        assert "12x12 grid" in card["card"]
        assert bar["top"]
        held.go.set()
        assert first.result(30) == [gr.skip(), gr.skip()]


def test_a_choice_that_is_taken_back_while_it_is_on_its_way_is_not_shown(visitor, monkeypatch):
    assert visitor.open("rollout")
    held = Held(visitor.tabs["rollout"].show, lambda scene, request, *controls: controls[0] == "max")
    visitor.tabs["rollout"] = replace(visitor.tabs["rollout"], show=held)
    with ThreadPoolExecutor() as threads:
        visitor.controls["rollout"][0] = "max"
        first = threads.submit(visitor.open, "rollout")
        assert held.there.wait(30)
        visitor.controls["rollout"][0] = "mean"
        assert visitor.open("rollout") is None, "it is there"
        held.go.set()
        assert first.result(30) is None


def test_a_choice_that_is_taken_back_when_the_other_has_gone_out_is_shown_again(visitor):
    assert visitor.open("rollout")
    before = dict(visitor.sent)
    visitor.controls["rollout"][0] = "max"
    assert visitor.open("rollout")
    visitor.sent = before  # the event that follows began before Gradio had written it down
    visitor.controls["rollout"][0] = "mean"
    assert visitor.open("rollout")


def test_a_choice_that_is_refused_leaves_what_is_in_sight_and_its_work(visitor):
    assert visitor.open("rollout")
    seen = (visitor.choice, visitor.picture, *visitor.controls["rollout"])
    work = CURRENT_WORK.run((None, "rollout"), seen, iter_of(3))
    assert next(work) == 0
    visitor.controls["rollout"][3] = 2.0
    with pytest.raises(ValueError, match="discard_ratio"):
        visitor.open("rollout")
    assert list(work) == [1, 2]
    visitor.controls["rollout"][3] = 0.9
    assert visitor.open("rollout") is None


def iter_of(count):
    yield from range(count)


@pytest.mark.parametrize("name", MODULES)
def test_an_expired_cache_file_is_made_again(visitor, name):
    files = [Path(file) for file in SentValues.of("", (), visitor.open(name)).files]
    assert files
    assert all(file.exists() for file in files)
    for file in files:
        file.unlink()
        assert visitor.open(name)
        assert file.exists()
        assert visitor.open(name) is None


@pytest.mark.parametrize("name", ["attention", "rollout"])
def test_a_source_that_left_the_store_is_put_there_again(visitor, monkeypatch, name):
    (value,) = visitor.open(name)
    monkeypatch.setattr(STORE, "_clock", lambda: 1e12)
    (again,) = visitor.open(name)
    assert again["token"] != value["token"]


def test_a_restarted_server_shows_what_an_open_page_asks_for(visitor):
    visitor.open("patches")
    visitor.sent = {}  # a session that this process does not know
    assert visitor.open("patches")


def test_classes_to_choose_from_are_listed_once_for_a_model(visitor, tmp_path):
    """A hundred changes of a checkpoint with 21,000 classes would send a hundred megabytes."""
    with gr.Blocks():
        tabs = [explain.build(gr.State(), gr.Image()), compare.build(True, None)]
    visitor.tabs = {tab.name: tab for tab in tabs}
    visitor.controls = {tab.name: [control.value for control in tab.inputs] for tab in tabs}

    def listed(name):
        visitor.open(name)
        return [None if each == gr.skip() else [value for _, value in each.choices] for each in visitor.classes]

    numbers = [f"#{index}" for index in range(10)]
    for name, dropdowns in (("explain", 2), ("compare", 1)):
        assert listed(name) == [numbers] * dropdowns
        assert listed(name) == [None] * dropdowns
        visitor.controls[name][0 if name == "explain" else 3] = "#7"
        assert listed(name) == [None] * dropdowns
    for classes in (3, 0):
        shape = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "heads": 2, "mlp_width": 48}
        model = VisionTransformer(ViTConfig(**shape, classes=classes), "abc"[:classes])
        save_model(model, tmp_path / str(classes))
        visitor.choice = ModelChoice(str(tmp_path / str(classes)), "small")
        assert listed("explain") == [numbers[:classes]] * 2
        assert listed("explain") == [None] * 2


def test_sliders_of_rollout_run_no_forward(visitor, forwards):
    visitor.open("rollout")
    assert len(forwards) == 1
    for discard in (0.1, 0.5, 0.9):
        visitor.controls["rollout"][1] = discard
        assert visitor.open("rollout")
    assert len(forwards) == 1


def test_sliders_of_gradient_rollout_run_one_forward_and_backward_in_all(visitor, forwards):
    visitor.open("rollout")
    visitor.controls["rollout"][0] = visitor.controls["rollout"][2] = GRADIENT
    visitor.open("rollout")
    assert len(forwards) == 2, "the differentiable one, for both variants"
    for discard, start in ((0.1, 0), (0.5, 1), (0.9, 2), (0.0, 0)):
        visitor.controls["rollout"][1], visitor.controls["rollout"][5] = discard, start
        assert visitor.open("rollout")
    assert len(forwards) == 2


def test_positions_run_one_forward_for_each_size_and_method(visitor, forwards):
    choices = [("", "own"), ("64x128", "timm"), ("64x128", "jax"), ("64", "jax")]
    for choice in choices:
        visitor.controls["positions"] = list(choice)
        assert visitor.open("positions")
    assert len(forwards) == 1 + len(choices)
    for choice in choices:
        visitor.controls["positions"] = list(choice)
        assert visitor.open("positions")
    assert len(forwards) == 1 + len(choices)


def test_gradients_that_are_kept_give_the_same_rollout(picture):
    scene = scene_of(ModelChoice(), picture)
    controls = (GRADIENT, 0.3, GRADIENT, 0.0, "row", 1)
    target = int(scene.trace.logits.argmax())
    for _ in range(2):
        a, b = variants(scene, *controls)
        fresh = scene.model.trace(scene.pixels), class_gradients(scene.model, scene.pixels, target)
        expected = gradient_rollout_matrices(*fresh, discard_ratio=0.3, discard="row", start_layer=1)
        torch.testing.assert_close(a.layers, expected)
        torch.testing.assert_close(b.rows(7)[-1], b.layers[-1, 7], rtol=1e-4, atol=1e-6)
    assert not torch.equal(gradients_of(scene, target).pixels, gradients_of(scene, (target + 1) % 10).pixels)
    assert not any(layer.requires_grad for layer in gradients_of(scene, target).outputs)


def test_the_scene_at_another_size_is_what_the_model_at_that_size_sees(picture):
    scene = scene_of(ModelChoice(), picture)
    seen = scene_at_size(scene, (64, 128), "jax")
    other = scene.model.at_size((64, 128), "jax")
    pixels, box = other.preprocess(scene.picture)
    torch.testing.assert_close(seen.trace.logits, other(pixels))
    assert seen.box == box
    assert scene_at_size(scene, (64, 128), "jax") is seen
    assert scene_at_size(scene, (64, 128), "timm").key != seen.key != scene.key
    assert scene_at_size(scene, scene.model.config.image_size) is scene


def test_in_the_browser_a_tab_opened_again_keeps_its_value(open_page, served, forwards):
    at = open_page(served)
    tabs = {name: at.get_by_role("tab", name=name.capitalize(), exact=True) for name in MODULES}
    for name, tab in tabs.items():
        tab.click()
        at.wait_for_selector(f"#{name} [data-state=ready], #{name} [data-state=complete]")
    at.wait_for_timeout(500)
    sequence = "[...document.querySelectorAll('#attention [data-seq], #rollout [data-seq]')].map((e) => e.dataset.seq)"
    before, ran = at.evaluate(sequence), len(forwards)
    for tab in tabs.values():
        with at.expect_response(lambda response: "queue/data" in response.url or "queue/join" in response.url):
            tab.click()
        at.wait_for_timeout(300)
    assert at.evaluate(sequence) == before
    assert len(forwards) == ran


def test_a_control_fills_its_own_tab_and_no_other(picture):
    demo = build_page()
    (control,) = (block for block in demo.blocks.values() if block.elem_id == "discard-scope")
    (change,) = (event for event in demo.fns.values() if (control._id, "change") in event.targets)
    values = [ModelChoice(), picture, None, *CONTROLS["rollout"]]
    filled = dict(zip(change.outputs, change.fn(None, *values), strict=True))
    assert [block.elem_id for block in filled] == [None, "rollout"], "its state, and its viewer"
    assert gr.skip() not in filled.values()
