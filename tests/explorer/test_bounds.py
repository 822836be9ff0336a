"""What this host allows a model: on every way to one, its patches and the memory of a trace are bounded."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.session import scenes as session
from explorer.session.cache import ByteCache
from explorer.session.scenes import (
    MAX_PATCHES,
    ModelChoice,
    get_model,
    most_patches,
    scene_at_size,
    scene_of,
    token_bytes,
    with_model,
)
from vit_model import VisionTransformer, ViTConfig, load_model, save_model
from vit_model.checkpoints.loading import size_within


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """A checkpoint whose own pictures make 65,536 patches, and a class token."""
    folder = tmp_path_factory.mktemp("huge")
    torch.manual_seed(0)
    config = ViTConfig(image_size=256, patch_size=1, width=8, depth=1, heads=2, mlp_width=8, classes=2)
    save_model(VisionTransformer(config).eval(), folder)
    return folder


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def little_memory(monkeypatch):
    """Room for a trace of 50 patches of the model of `small`."""
    cache = ByteCache(token_bytes(small().config) * 51, 3600, lambda scene: scene.nbytes)
    monkeypatch.setattr(session, "_SCENES", cache)


def small(**fields):
    config = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 2, "heads": 2, "mlp_width": 32, "classes": 2}
    torch.manual_seed(0)
    return VisionTransformer(ViTConfig(**config | fields)).eval()


def test_a_checkpoint_of_65537_tokens_is_opened_at_the_largest_size_allowed(huge, picture):
    """It was traced at its own size, as only sizes that a visitor typed were compared with the bound."""
    assert load_model(huge).config.tokens == 65_537, "a program of one's own may"
    model = get_model(ModelChoice(str(huge), "huge"))
    assert model.config.grid == (64, 64) and model.config.grid[0] * model.config.grid[1] == MAX_PATCHES
    assert model.origin.own_size == (256, 256)
    assert "its own size, 256x256, makes more patches than are allowed here: opened at 64x64" in model.origin.notes
    assert scene_of(ModelChoice(str(huge), "huge"), picture).trace.tokens == 4097


def test_the_bound_holds_for_a_second_model_and_other_sizes(huge, picture, tmp_path):
    save_model(small(), tmp_path / "small")
    scene = scene_of(ModelChoice(str(tmp_path / "small"), "small"), picture)
    other = with_model(scene, ModelChoice(str(huge), "huge"))
    assert other.trace.tokens == 4097
    words = "256x256 pixels would make 65536 patches; this host allows 4096"
    with pytest.raises(ValueError, match=words):
        scene_at_size(other, (256, 256))
    with pytest.raises(ValueError, match=words):
        get_model(ModelChoice(str(huge), "huge", (256, 256)))


def test_a_size_within_the_bound_is_resampled_once(huge):
    chosen = get_model(ModelChoice(str(huge), "huge", (32, 48)))
    assert torch.equal(chosen.positions, load_model(huge, image_size=(32, 48)).positions)


def test_nothing_else_of_the_explorer_loads_models():
    """`get_model` knows the bounds: a way around it would not."""
    callers = {
        path.name
        for path in Path(explorer.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name) and node.id in ("load_model", "inspect_model") and isinstance(node.ctx, ast.Load)
    }
    assert callers <= {"scenes.py", "__init__.py"}


def test_a_pictures_preprocessing_of_another_size_is_bounded_before_positions_are_made(tmp_path):
    """4,096 pixels a side at a patch of one are 16.8 million positions."""
    save_model(small(patch_size=1), tmp_path / "model")
    path = tmp_path / "model" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"height": 4096, "width": 4096}}))
    model = get_model(ModelChoice(str(tmp_path / "model"), "model"))
    assert (model.config.grid, model.origin.own_size) == ((64, 64), (4096, 4096))


def test_the_memory_of_a_trace_is_known_before_it_is_made():
    model = small()
    trace = model.trace(torch.zeros(1, 3, 16, 16))
    logits = trace.logits.numel() * 4
    assert trace.nbytes - logits == token_bytes(model.config) * model.config.tokens


def test_a_trace_that_the_cache_could_not_keep_is_not_made(little_memory, tmp_path):
    save_model(small(image_size=64), tmp_path / "model")
    model = get_model(ModelChoice(str(tmp_path / "model"), "model"))
    assert most_patches(model.config) == 50
    assert (model.config.grid, model.origin.own_size) == ((7, 7), (64, 64))
    with pytest.raises(ValueError, match="64x64 pixels would make 64 patches; this host allows 50 for a model of this"):
        get_model(ModelChoice(str(tmp_path / "model"), "model", (64, 64)))


@pytest.mark.parametrize(
    ("size", "patch", "most", "within"),
    [
        ((224, 224), (16, 16), 196, None),
        ((224, 224), (16, 16), 195, (208, 208)),
        ((224, 448), (16, 16), 100, (112, 224)),
        ((1, 5000), (1, 1), 4096, (1, 4096)),
        ((5000, 1), (1, 1), 4096, (4096, 1)),
        ((64, 64), (8, 8), 1, (8, 8)),
    ],
)
def test_the_largest_size_within_a_bound(size, patch, most, within):
    assert size_within(size, patch, most) == within
