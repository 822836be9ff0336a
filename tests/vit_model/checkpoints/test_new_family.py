"""A new family of checkpoints: its Format and its line in FORMATS, and it is detected, read and saved."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_model import VisionTransformer, load_model, save_model
from vit_model.checkpoints import formats
from vit_model.checkpoints.declared import Declared, read_number
from vit_model.checkpoints.detect import detect
from vit_model.checkpoints.format import Format, Layout, Saving
from vit_model.config import ViTConfig
from vit_model.errors import CheckpointError
from vit_model.preprocess import Preprocessing

CONFIG = ViTConfig(image_size=32, patch_size=8, width=24, depth=2, heads=3, mlp_width=48, classes=5, pre_norm=True)


def _layout(config):
    return Layout(TOWER, "tower", "TowerModel", "visual.", {"attention_heads": config.heads})


TOWER = Format(
    "Tower",
    {
        "cls": "class_token",
        "place": "positions",
        "patches": "patch_embed.projection",
        "norm_before": "pre_norm",
        "norm_after": "norm",
        "proj_out": "head",
    },
    "resblocks.",
    {
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attn.in_proj": "attention.qkv",
        "attn.out_proj": "attention.projection",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    },
    {"logit_scale": "of the text tower"},
    prefixes=("visual.",),
    model_types=("tower",),
    holds=lambda has, file: has("resblocks."),
    declare=lambda config, norm_eps: Declared(
        {"heads": read_number(config, "attention_heads")}, {"norm_eps": norm_eps}
    ),
    norm_eps=1e-5,
    interpolation="jax",
    usual=lambda names: Preprocessing.for_imagenet(),
    saving=Saving(lambda config: config.pre_norm, lambda config: [], _layout),
)


@pytest.fixture
def family(monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (TOWER, *formats.FORMATS))


def test_a_family_more_is_detected_read_and_saved(family, randomise, tmp_path):
    model = randomise(VisionTransformer(CONFIG))
    folder = save_model(model, tmp_path / "saved")
    tensors = load_file(folder / "model.safetensors")
    assert "visual.resblocks.1.attn.in_proj.weight" in tensors
    declared = json.loads((folder / "config.json").read_text())
    assert (declared["model_type"], declared["attention_heads"]) == ("tower", 3)
    pixels = torch.randn(1, 3, 32, 32)
    opened = load_model(folder)
    assert opened.origin.format == "Tower"
    assert opened.config.norm_eps == 1e-5
    torch.testing.assert_close(opened(pixels), model(pixels), rtol=1e-3, atol=1e-4)  # another epsilon

    save_file(tensors | {"logit_scale": torch.zeros(1)}, tmp_path / "bare.safetensors")  # with no config.json
    bare = load_model(tmp_path / "bare.safetensors", heads=3)
    assert (bare.origin.format, bare.origin.interpolation, bare.preprocessing.resize) == ("Tower", "jax", 37)
    assert bare.origin.dropped == ("logit_scale: of the text tower",)


def test_its_tensors_are_foreign_without_it():
    keys = ["visual.resblocks.0.ln_1.weight", "logit_scale"]
    with pytest.raises(CheckpointError, match="this is a CLIP model"):
        detect(keys, None)
    with pytest.raises(CheckpointError, match=r"config\.json says model_type 'tower'"):
        detect(keys, {"model_type": "tower"})


def test_errors_list_every_format(family):
    with pytest.raises(CheckpointError, match=r"supported are Vision Transformers: .*Tower"):
        detect(["weight"], None)


@pytest.mark.parametrize("format", formats.FORMATS, ids=lambda format: format.name)
def test_a_model_type_belongs_to_one_format(format):
    assert [each for each in formats.FORMATS if set(each.model_types) & set(format.model_types)] in ([], [format])
