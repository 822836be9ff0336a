"""Visitors at the same time: equal pictures are computed once, and nobody's numbers depend on who else asks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.session import explaining
from explorer.session import scenes as session
from explorer.session.explaining import explained
from explorer.session.scenes import ModelChoice, get_model, scene_of
from vit_model import VisionTransformer, ViTConfig, save_model
from vit_model.picture import read_picture

TOGETHER = 6


@pytest.fixture
def choice(tmp_path):
    torch.manual_seed(0)
    config = ViTConfig(image_size=32, patch_size=8, width=64, depth=2, heads=2, classes=3)
    model = VisionTransformer(config).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    save_model(model, tmp_path / "model")
    return ModelChoice(str(tmp_path / "model"), "model")


@pytest.fixture
def pictures(tmp_path):
    drawn = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(TOGETHER)]
    for file in files:
        Image.fromarray(drawn.integers(0, 256, (40, 40, 3), np.uint8)).save(file)
    return files


def all_wait_for_one(cache):
    """Until everyone has asked the cache, of which one makes the value."""
    end = time.monotonic() + 20
    while sum(making.asking for making in cache._making.values()) < TOGETHER:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_equal_pictures_and_their_explanations_are_computed_once(choice, pictures, monkeypatch):
    traced, made, trace, explain = [], [], VisionTransformer.trace, explaining.explain

    def slow_trace(*arguments, **choices):
        traced.append(arguments)
        all_wait_for_one(session._SCENES)
        return trace(*arguments, **choices)

    def slow_explain(*arguments, **choices):
        made.append(arguments)
        all_wait_for_one(explaining._EXPLANATIONS)
        return explain(*arguments, **choices)

    monkeypatch.setattr(VisionTransformer, "trace", slow_trace)
    monkeypatch.setattr(explaining, "explain", slow_explain)
    copies = [pictures[0].with_name(f"copy {number}.png") for number in range(TOGETHER)]
    for copy in copies:
        copy.write_bytes(pictures[0].read_bytes())
    with ThreadPoolExecutor(TOGETHER) as pool:
        scenes = list(pool.map(lambda file: scene_of(choice, file), copies))
        maps = list(pool.map(lambda scene: explained(scene, "occlusion", 1), scenes))
    assert (len(traced), len(made)) == (1, 1)
    assert all(scene is scenes[0] for scene in scenes)
    assert all(found is maps[0] for found in maps)


def test_numbers_are_ones_own_whoever_else_asks(choice, pictures):
    model, ready = get_model(choice), threading.Barrier(TOGETHER)

    def ask(file):
        ready.wait(20)
        scene = scene_of(choice, file)
        return scene, explained(scene, "smoothgrad", 1, samples=3)

    with ThreadPoolExecutor(TOGETHER) as pool:
        found = list(pool.map(ask, pictures))
    for file, (scene, made) in zip(pictures, found, strict=True):
        alone = model.trace(model.preprocess(read_picture(file))[0])
        close = {"rtol": 1e-4, "atol": 1e-5}  # in a batch products add in another order
        torch.testing.assert_close(scene.trace.logits, alone.logits, **close)
        torch.testing.assert_close(scene.trace.residual, alone.residual, **close)
        again = explaining.explain(model, scene.pixels, "smoothgrad", 1, trace=alone, samples=3)
        torch.testing.assert_close(made.values, again.values, **close)
