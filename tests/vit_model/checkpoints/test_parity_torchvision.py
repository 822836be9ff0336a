"""torchvision's ViTs: same logits, same attention in every layer."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import VisionTransformer as TorchvisionViT
from torchvision.models.vision_transformer import interpolate_embeddings

from vit_model import load_model


@pytest.mark.parametrize("pre_logits", [None, 16])
@pytest.mark.parametrize("spelling", ["mlp.0", "mlp.linear_1"])
def test_same_logits_and_attention(pre_logits, spelling, randomise, attention_inputs, assert_close, tmp_path):
    theirs = randomise(TorchvisionViT(32, 8, 2, 3, 24, 48, num_classes=5, representation_size=pre_logits))
    state = theirs.state_dict()
    if spelling == "mlp.linear_1":
        state = {key.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): v for key, v in state.items()}
    torch.save(state, tmp_path / "vit.pth")
    model = load_model(tmp_path / "vit.pth", heads=3)
    assert model.origin.format == "torchvision"
    assert model.config.pre_logits == (pre_logits or 0)

    pixels = torch.randn(2, 3, 32, 32)
    expected, seen = attention_inputs(theirs, pixels, ".self_attention")
    trace = model.trace(pixels)
    assert_close(trace.logits, expected)
    assert len(seen) == trace.layers == 2
    for layer, (module, inputs) in enumerate(seen):
        _, attention = module(inputs, inputs, inputs, need_weights=True, average_attn_weights=False)
        assert_close(trace.attention(layer), attention)


def test_preprocessing_and_interpolation_are_torchvisions(randomise, tmp_path):
    torch.save(randomise(TorchvisionViT(32, 8, 1, 3, 24, 48, num_classes=5)).state_dict(), tmp_path / "vit.pth")
    model = load_model(tmp_path / "vit.pth", heads=3)
    assert model.preprocessing.mean == (0.485, 0.456, 0.406)
    assert model.origin.interpolation == "torchvision"
    assert not any("align_corners" in note for note in model.origin.notes)


def test_another_resolution_gives_torchvisions_logits(randomise, assert_close, tmp_path):
    theirs = randomise(TorchvisionViT(32, 8, 1, 3, 24, 48, num_classes=5))
    torch.save(theirs.state_dict(), tmp_path / "vit.pth")
    model = load_model(tmp_path / "vit.pth", heads=3, image_size=56)
    larger = TorchvisionViT(56, 8, 1, 3, 24, 48, num_classes=5).eval()
    larger.load_state_dict(interpolate_embeddings(56, 8, theirs.state_dict()))
    pixels = torch.randn(2, 3, 56, 56)
    assert_close(model(pixels), larger(pixels))
