"""Scenes: what is found again, and what must not be."""

import gc
import json
import weakref

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from explorer.session import scenes as session
from explorer.session.cache import ByteCache
from explorer.session.scenes import (
    ModelChoice,
    could_be_other_than_square,
    get_model,
    scene_at_size,
    scene_of,
    with_picture,
)
from vit_model import VisionTransformer, ViTConfig, save_model
from vit_model.picture import read_picture


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def folders(tmp_path):
    """The same weights three times: as saved, with other labels, and with another preprocessing."""
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(image_size=16, patch_size=8, width=16, depth=1, heads=2, classes=2)).eval()
    for name in ("saved", "labels", "pixels"):
        save_model(model, tmp_path / name)
    change(tmp_path / "labels" / "config.json", id2label={"0": "cat", "1": "dog"}, label2id={"cat": 0, "dog": 1})
    change(tmp_path / "pixels" / "preprocessor_config.json", image_mean=[0.1, 0.2, 0.3])
    return tmp_path


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_same_model_and_picture_are_traced_once(folders, picture):
    choice = ModelChoice(str(folders / "saved"), "saved")
    assert scene_of(choice, picture) is scene_of(choice, picture)


def test_a_scene_is_made_again_from_the_visitors_file_and_until_then_kept_by_nobody(folders, picture, monkeypatch):
    monkeypatch.setattr(session, "_SCENES", ByteCache(10**9, 60, lambda scene: scene.nbytes, most=2))
    choice = ModelChoice(str(folders / "saved"), "saved")
    scene = scene_of(choice, picture)
    larger = scene_at_size(scene, (32, 32))
    kept = [(one.again, one.trace.logits, weakref.ref(one)) for one in (scene, larger)]
    one = scene
    del scene, larger, one
    session._SCENES = ByteCache(10**9, 60, lambda scene: scene.nbytes, most=2)
    gc.collect()
    for again, logits, reference in kept:
        assert reference() is None
        assert torch.equal(again().trace.logits, logits)
    assert len(session._SCENES) == 2


def test_as_many_scenes_are_kept_as_the_host_says(monkeypatch):
    """1.5 GiB of them came together, 300 of the bundled model's."""
    assert session._of_pictures("VIT_EXPLORER_TRACE_BYTES", 10**9).most == session.KEPT
    monkeypatch.setenv("VIT_EXPLORER_TRACE_BYTES", "123")
    cache = session._of_pictures("VIT_EXPLORER_TRACE_BYTES", 10**9)
    assert (cache.max_bytes, cache.most) == (123, None)


def test_another_picture_of_the_same_model_is_seen_as_if_it_had_been_opened(folders, picture, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 50, 3), np.uint8)).save(tmp_path / "other.png")
    choice = ModelChoice(str(folders / "saved"), "saved")
    scene = scene_of(choice, picture)
    other = with_picture(scene, read_picture(tmp_path / "other.png"))
    assert other is with_picture(scene, read_picture(tmp_path / "other.png"))
    opened = scene_of(choice, tmp_path / "other.png")
    assert other.key == opened.key != scene.key
    assert other.model_key == scene.model_key
    assert torch.equal(other.trace.logits, opened.trace.logits)


def test_the_same_weights_under_another_name_or_with_another_config_are_not_mixed_up(folders, picture):
    scenes = {name: scene_of(ModelChoice(str(folders / name), name), picture) for name in ("saved", "labels", "pixels")}
    assert [scene.name for scene in scenes.values()] == list(scenes)
    assert {label for label, _ in scenes["labels"].top()} == {"cat", "dog"}
    assert not torch.equal(scenes["pixels"].pixels, scenes["saved"].pixels)
    assert len({scene.key for scene in scenes.values()}) == 3
    assert len({scene.model.origin.checksum for scene in scenes.values()}) == 1


def test_a_checkpoint_that_has_expired_is_named_without_its_path(folders, picture):
    choice = ModelChoice(str(folders / "gone"), "mine.safetensors")
    with pytest.raises(ValueError, match=r"mine\.safetensors are no longer on this host; upload or open") as error:
        scene_of(choice, picture)
    assert str(folders) not in str(error.value)


def test_a_size_tells_the_grid_of_a_file_that_does_not(tmp_path):
    """3 x 5 patches and a class token have as many positions as 4 x 4 patches: taken for those before a size."""
    theirs = timm.models.VisionTransformer(
        img_size=(12, 20), patch_size=4, embed_dim=192, depth=1, num_heads=3, num_classes=2
    ).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    source = str(tmp_path / "model.safetensors")
    assert could_be_other_than_square(get_model(ModelChoice(source)))
    model = get_model(ModelChoice(source, size=(12, 20)))
    pixels = torch.randn(1, 3, 12, 20)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels), theirs(pixels), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="this host allows"):
        get_model(ModelChoice(source, size=(40_000, 40_000)))
