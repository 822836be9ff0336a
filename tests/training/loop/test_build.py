"""The model of a run: what is kept of a checkpoint, what is new, and what is frozen."""

import pytest
import torch
from torchvision.models import resnet18

from training.config import ConfigError, RunConfig
from training.loop.build import at_resolution, build_model
from vit_model import VisionTransformer, ViTConfig, load_model, resample_positions, save_model

CLASSES = ("cat", "dog", "fish")


@pytest.fixture
def folder(tmp_path):
    """A checkpoint with a head of five classes, all weights random."""
    torch.manual_seed(3)
    config = ViTConfig(image_size=16, patch_size=4, width=8, depth=3, heads=2, mlp_width=32, classes=5)
    model = VisionTransformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    save_model(model, tmp_path / "model")
    return tmp_path / "model"


def config(model, **more):
    return RunConfig(**({"steps": 1, "model": str(model)} | more))


def test_a_pretrained_encoder_is_kept_to_the_bit_and_its_head_is_a_zero_one(folder):
    before, model = load_model(folder).state_dict(), build_model(config(folder), CLASSES)
    assert model.labels == CLASSES and model.config.classes == 3
    for name, tensor in model.state_dict().items():
        if name.startswith("head."):
            assert not tensor.any()
        else:
            assert torch.equal(tensor, before[name]), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_positions_are_interpolated_to_the_resolution(folder):
    before, model = load_model(folder), build_model(config(folder, resolution=24), CLASSES)
    expected = resample_positions(before.positions, (4, 4), (6, 6), 1, before.origin.interpolation)
    assert torch.equal(model.positions, expected) and model.preprocessing.size == (24, 24)


def test_changing_the_resolution_in_training_keeps_everything_else(folder):
    model = build_model(config(folder), CLASSES)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    at_resolution(model, 32)
    assert model.config.image_size == model.preprocessing.size == (32, 32)
    assert model.positions.requires_grad
    assert torch.equal(model.positions, resample_positions(before["positions"], (4, 4), (8, 8), 1, "bilinear"))
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items() if n != "positions")
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [("head", {"head"}), ("1", {"head", "norm", "blocks.2"}), ("2", {"head", "norm", "blocks.1", "blocks.2"})],
)
def test_what_is_not_to_be_trained_is_frozen(folder, trainable, expected):
    model = build_model(config(folder, trainable=trainable), CLASSES)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parts = {".".join(name.split(".")[: 2 if name.startswith("blocks") else 1]) for name in trained}
    assert parts == expected


@pytest.mark.parametrize("init", ["zero", "zero-no-bias", "random"])
def test_initial_heads(folder, init):
    head = build_model(config(folder, head_init=init), CLASSES).head
    assert bool(head.weight.any()) == (init == "random") and not head.bias.any()
    assert head.bias.requires_grad == (init != "zero-no-bias")


def test_a_head_is_kept_only_where_the_classes_agree(folder):
    kept = build_model(config(folder, head_init="keep"), ("a", "b", "c", "d", "e"))
    assert torch.equal(kept.head.weight, load_model(folder).head.weight)
    with pytest.raises(ConfigError, match=r"needs a model with the data's 3 classes, this one has 5"):
        build_model(config(folder, head_init="keep"), CLASSES)


def test_another_pool_and_dropout_rates(folder):
    model = build_model(config(folder, pool="mean-patches", dropout=0.1, drop_path=0.3), CLASSES)
    assert model.config.pool == "mean-patches" and model.config.norm_after_pool
    assert [block.drop_path for block in model.blocks] == pytest.approx([0, 0.15, 0.3])
    assert model.blocks[0].mlp.dropout.p == 0.1


def test_a_new_model_has_the_shape_asked_for_and_weights_by_its_seed():
    fresh = config("new:Ti/16", width=32, depth=2, heads=4, patch_size=8, resolution=32)
    a, b = build_model(fresh, CLASSES), build_model(fresh, CLASSES)
    other = build_model(config("new:Ti/16", width=32, depth=2, heads=4, patch_size=8, resolution=32, seed=1), CLASSES)
    shape = a.config
    assert (shape.width, shape.depth, shape.heads, shape.grid, shape.mlp_width) == (32, 2, 4, (4, 4), 128)
    assert torch.equal(a.positions, b.positions) and not torch.equal(a.positions, other.positions)


def test_fields_of_new_models_are_not_for_a_checkpoint(folder):
    with pytest.raises(ConfigError, match=r"width, depth are for a model with random weights"):
        build_model(config(folder, width=8, depth=3), CLASSES)


def test_a_pretrained_resnet_keeps_all_but_its_last_layer(tmp_path):
    torch.manual_seed(0)
    weights = resnet18().state_dict()
    torch.save(weights, tmp_path / "resnet.pth")
    model = build_model(config(f"resnet18:{tmp_path / 'resnet.pth'}", resolution=64), CLASSES)
    state = model.state_dict()
    assert all(torch.equal(state[name], t) for name, t in weights.items() if not name.startswith("fc."))
    assert state["fc.weight"].shape == (3, 512) and not state["fc.weight"].any()
    torch.save({"something": torch.zeros(1)}, tmp_path / "else.pth")
    with pytest.raises(ConfigError, match=r"else\.pth does not hold torchvision's resnet18"):
        build_model(config(f"resnet18:{tmp_path / 'else.pth'}"), CLASSES)
    with pytest.raises(ConfigError, match="trainable: a number of blocks is for a ViT"):
        build_model(config("resnet18", trainable="2"), CLASSES)
