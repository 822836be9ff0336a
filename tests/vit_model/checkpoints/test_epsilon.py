"""LayerNorm's epsilon is each library's own. Ordinary activations lose it in rounding, so these are made small."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vit_model import load_model

VIT = {"intermediate_size": 48, "image_size": 32, "patch_size": 8}
DINOV2 = {"mlp_ratio": 2, "image_size": 42, "patch_size": 14}


def _quiet(model: nn.Module) -> nn.Module:
    """Tokens of about 1e-3, whose variance of 1e-6 is no larger than an epsilon."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(piece in name for piece in ("embed", "token", "conv_proj")):
                parameter.mul_(1e-3)
    return model


def _assert_sensitive(model, pixels, expected, assert_close) -> None:
    """Ours equals theirs, and would not with another epsilon."""
    assert_close(model(pixels), expected)
    right = model.config.norm_eps
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6 if right != 1e-6 else 1e-5
    assert (model(pixels) - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    ("name", "config", "fields", "epsilon"),
    [
        ("ViTForImageClassification", "ViTConfig", VIT, 1e-12),
        ("DeiTForImageClassification", "DeiTConfig", VIT, 1e-12),
        ("Dinov2ForImageClassification", "Dinov2Config", DINOV2, 1e-6),
        ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", DINOV2, 1e-6),
    ],
)
def test_hugging_face(name, config, fields, epsilon, stated, hugging_face, assert_close):
    theirs, folder = hugging_face(name, config, **fields)
    _quiet(theirs).save_pretrained(folder)
    if not stated:
        path = folder / "config.json"
        values = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in values.items() if key != "layer_norm_eps"}))
    model = load_model(folder)
    assert model.config.norm_eps == epsilon
    pixels = torch.randn(1, 3, *model.config.image_size)
    _assert_sensitive(model, pixels, theirs(pixel_values=pixels).logits, assert_close)


@pytest.mark.parametrize(("name", "epsilon"), [("vit_tiny_patch16_224", 1e-6), ("vit_base_patch16_clip_224", 1e-5)])
def test_timm(name, epsilon, timm_folder, assert_close):
    theirs, folder = timm_folder(name)
    save_file(_quiet(theirs).state_dict(), folder / "model.safetensors")
    model = load_model(folder)
    assert model.config.norm_eps == epsilon
    pixels = torch.randn(1, 3, 32, 32)
    _assert_sensitive(model, pixels, theirs(pixels), assert_close)


def test_torchvision(randomise, assert_close, tmp_path):
    from torchvision.models import VisionTransformer

    theirs = _quiet(randomise(VisionTransformer(32, 8, 2, 3, 24, 48, num_classes=5)))
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    pixels = torch.randn(1, 3, 32, 32)
    _assert_sensitive(load_model(tmp_path / "vit.pth", heads=3), pixels, theirs(pixels), assert_close)
