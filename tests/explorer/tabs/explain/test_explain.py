"""The Explain tab without a browser: what it answers to any class, contrast, choice and model."""

import itertools
import threading
import time
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from explorer.analysis.explain.methods import METHODS, explain
from explorer.session import explaining
from explorer.session.explaining import explained, is_explained
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.explain import choices as explain_choices
from explorer.tabs.explain import tab
from explorer.ui.events.progress import follow_progress
from vit_model import VisionTransformer, save_model
from vit_model.config import ViTConfig
from vit_model.errors import CodedError
from vit_model.messages import Message

NAN = Message("the gradients are NaN", "gradients_not_finite", {"what": "x", "type": "fp16"})
SLOW = [name for name, method in METHODS.items() if method.slow]
SHAPE = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 4, "mlp_width": 48}


@pytest.fixture(scope="module")
def keys():
    with gr.Blocks():
        return tuple(explain_choices.build())


@pytest.fixture(scope="module")
def plain(keys):
    """What the controls say at first."""
    with gr.Blocks():
        return [control.value for control in explain_choices.build().values()]


@pytest.fixture(scope="module")
def make_scene(tmp_path_factory):
    """config fields, labels -> a scene of a small random model."""
    folder = tmp_path_factory.mktemp("models")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(folder / "picture.png")

    def make(name, labels=(), **fields):
        torch.manual_seed(0)
        model = VisionTransformer(ViTConfig(**SHAPE | {"classes": len(labels)} | fields), labels).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
        save_model(model, folder / name)
        return scene_of(ModelChoice(str(folder / name), name), folder / "picture.png")

    return make


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene("headed", ("tabby cat", "Egyptian cat", "tiger", "crane"))


def test_controls_start_as_the_methods_do(keys, plain, scene):
    """A visitor who changes nothing gets `explain`'s defaults."""
    for method, chosen in explain_choices.chosen(keys, plain, scene.trace).items():
        defaults = METHODS[method].defaults
        assert {name: defaults[name] for name in chosen} == chosen, method


def test_choices_that_a_model_or_host_lacks_are_taken_as_the_nearest(keys, scene):
    wild = {"layer": 99, "start_layer": -5, "window": 50, "steps": 10**9, "samples": -1, "noise": 7, "discard_ratio": 2}
    values = [wild.get(choice) for _, choice in keys]
    found = explain_choices.chosen(keys, values, scene.trace)
    assert found["attention"]["layer"] == 1
    assert found["relevance"]["start_layer"] == 0
    assert found["occlusion"]["window"] == 3
    assert found["integrated-gradients"]["steps"] == METHODS["integrated-gradients"].most_passes
    assert found["smoothgrad"]["samples"] == 1


def test_shows_every_quick_method_and_says_which_are_not_computed(keys, plain, scene):
    (viewer,) = tab._show(keys, scene, None, None, None, *plain)
    assert [method["name"] for method in viewer["methods"]] == list(METHODS)
    assert {method["name"] for method in viewer["methods"] if method["values"] is None} == set(SLOW)
    assert len(viewer["methods"][0]["values"]) == len("A" * 88)  # 16 numbers of 4 bytes in base64
    assert "predicted class" in viewer["title"]["en"]


def test_any_class_and_contrast_by_number_or_label(keys, plain, scene):
    asked = tab.Asked.of(scene, keys, "#2", "egyptian cat", *plain)
    assert (asked.target, asked.against, asked.notice) == (2, 1, "")
    maps, off = asked.maps()
    assert not off
    expected = explain(scene.model, scene.pixels, "relevance", 2, against=1).values
    torch.testing.assert_close(maps["relevance"].values, expected)
    assert "tiger" in asked.value()["title"]["en"]
    assert "Egyptian cat" in asked.value()["title"]["zh"]


@pytest.mark.parametrize(
    ("typed", "hint"), [("cat", "did you mean 'tabby cat'"), ("99", "from 0 to 3"), ("#1e9", "no class")]
)
def test_an_unknown_class_is_told_and_the_predicted_one_shown(keys, plain, scene, typed, hint):
    asked = tab.Asked.of(scene, keys, typed, None, *plain)
    assert asked.target == int(scene.trace.logits.argmax())
    assert hint in asked.notice["en"]
    assert "现在显示的是预测类别" in asked.notice["zh"]
    assert asked.maps()[0]


def test_a_model_without_a_head_says_what_is_off_and_why(keys, plain, make_scene):
    headless = make_scene("headless")
    (viewer,) = tab._show(keys, headless, None, "cat", None, *plain)
    assert "has no head" in viewer["notice"]["en"]
    assert "没有分类头" in viewer["notice"]["zh"]
    for method in viewer["methods"]:
        assert bool(method["off"]) == METHODS[method["name"]].needs_head == (method["values"] is None)


def test_one_method_that_fails_leaves_the_others(keys, plain, scene, monkeypatch):
    def failing(model, pixels, trace, target, *, against=None, start_layer=0, pooling="head"):
        raise CodedError(NAN)

    monkeypatch.setattr(explaining, "_EXPLANATIONS", type(explaining._EXPLANATIONS)(2**20, 60, lambda _: 1))
    monkeypatch.setitem(METHODS, "legrad", replace(METHODS["legrad"], function=failing))
    maps, off = tab.Asked.of(scene, keys, None, None, *plain).maps()
    assert set(off) == {"legrad"}
    assert "NaN" in off["legrad"]["en"]
    assert "梯度" in off["legrad"]["zh"]
    assert "relevance" in maps


def test_slow_maps_are_made_one_by_one_kept_and_shown(keys, plain, scene, tmp_path):
    scene.picture.save(tmp_path / "again.png")
    sent = list(tab._compute(keys, None, scene.choice, str(tmp_path / "again.png"), "#1", None, *plain))
    values = [each[0] for each in sent if "methods" in each[0]]
    assert len(values) == 3
    assert all(method["values"] for method in values[-1]["methods"])
    assert sent[-1][1] == "All maps are there."
    asked = tab.Asked.of(scene, keys, "#1", None, *plain)
    for method in SLOW:
        target, choices = asked.of_method(method)
        assert is_explained(scene, method, target, **choices)
    arrays, manifest = tab._arrays(keys, scene, {"method": "occlusion"}, "#1", None, *plain)
    assert set(arrays) == {method.replace("-", "_") for method in METHODS} | {"logits"}
    assert (manifest["shown"], manifest["target"], manifest["target_label"]) == ("occlusion", 1, "Egyptian cat")
    assert manifest["methods"]["integrated-gradients"]["steps"] == 32
    assert tab._arrays(keys, scene, {"method": ["x"]}, "#1", None, *plain)[1]["shown"] is None


def test_a_slow_method_that_fails_says_so_and_leaves_the_others(keys, plain, scene, tmp_path, monkeypatch):
    def failing(model, pixels, trace, target, *, against=None, noise=0.1, samples=1, seed=0, progress=None):
        raise CodedError(NAN)

    monkeypatch.setitem(METHODS, "smoothgrad", replace(METHODS["smoothgrad"], function=failing))
    scene.picture.save(tmp_path / "again.png")
    sent = list(tab._compute(keys, None, scene.choice, str(tmp_path / "again.png"), "#3", None, *plain))
    last = [each[0] for each in sent if "methods" in each[0]][-1]
    assert [method["name"] for method in last["methods"] if not method["values"]] == ["smoothgrad"]
    assert "could not be made" in sent[-1][1]


def test_work_that_a_host_does_not_give_is_refused(scene, monkeypatch):
    with pytest.raises(CodedError, match="integrated-gradients would run the model 500 times over 17 tokens") as raised:
        explained(scene, "integrated-gradients", 1, steps=500)
    assert raised.value.code == "too_much_explaining"
    monkeypatch.setattr(explaining, "MOST_WORK", 100)
    with pytest.raises(CodedError, match="this host allows 5 times"):
        explained(scene, "occlusion", 2, against=0)
    with pytest.raises(ValueError, match="window must be a whole number from 1 to 3, got 100"):
        explained(scene, "occlusion", 2, against=0, window=100)


def test_work_is_followed_and_ends_when_nobody_follows():
    ended = threading.Event()

    def work(progress):
        try:
            for done in itertools.count():
                progress(done, 10**9)
                time.sleep(0.01)
        finally:
            ended.set()

    steps = follow_progress(work, seconds=0.02)
    while next(steps)[0] < 2:
        pass
    assert not ended.is_set()
    steps.close()
    assert ended.wait(60)


def test_what_the_work_returns_or_raises_reaches_its_follower():
    def fails(progress):
        raise ValueError("no such thing")

    with pytest.raises(StopIteration) as ended:
        next(follow_progress(lambda progress: "made", seconds=30))
    assert ended.value.value == "made"
    with pytest.raises(ValueError, match="no such thing"):
        next(follow_progress(fails, seconds=30))
