"""The model and every method of explanation give on the GPU what they give on the CPU."""

from dataclasses import replace

import pytest
import torch

from explorer import METHODS, explain
from explorer.analysis.rollout import rollout_matrices
from explorer.analysis.statistics import attention_distance, attention_entropy
from vit_model import SIZES, VisionTransformer, ViTConfig

SMALL = {"image_size": 64, "patch_size": 8, "width": 64, "depth": 3, "heads": 4, "mlp_width": 128, "classes": 7}


def model_of(config: ViTConfig) -> VisionTransformer:
    """One whose attention and logits are far from uniform."""
    torch.manual_seed(0)
    model = VisionTransformer(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=2 * parameter.shape[-1] ** -0.5)
    return model


def close(there: torch.Tensor, here: torch.Tensor, share: float = 1e-3) -> None:
    """Equal to `share` of the largest value."""
    assert there.shape == here.shape
    assert here.abs().max() > 0
    assert (there.cpu() - here).abs().max() <= share * here.abs().max()


@pytest.mark.parametrize("pool", ["class", "class+mean", "mean-patches", "mean-all"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_traced_forward_gives_the_bits_of_a_plain_one(device, pool, batch):
    model = model_of(ViTConfig(**SMALL, pool=pool)).to(device)
    pixels = torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(1)).to(device)
    with torch.no_grad():
        assert torch.equal(model.trace(pixels).logits, model(pixels))


def test_a_large_one_too(device):
    config = replace(SIZES["S/16"], classes=10)
    if device.type == "cpu":
        config = replace(config, depth=2)
    model, pixels = model_of(config).to(device), torch.randn(2, 3, 224, 224).to(device)
    with torch.no_grad():
        assert torch.equal(model.trace(pixels).logits, model(pixels))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_against_the_cpu(device, method):
    model = model_of(ViTConfig(**SMALL))
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    here = explain(model, pixels, method, 2).values
    there = explain(model.to(device), pixels.to(device), method, 2).values
    assert there.device.type == "cpu"
    close(there, here)


@pytest.mark.parametrize("pool", ["class+mean", "mean-patches", "mean-all"])
def test_relevance_of_other_pools(device, pool):
    model = model_of(ViTConfig(**SMALL, pool=pool))
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    here = explain(model, pixels, "relevance", 2).values
    close(explain(model.to(device), pixels.to(device), "relevance", 2).values, here)


@pytest.mark.parametrize("analysis", [rollout_matrices, attention_entropy, lambda trace: attention_distance(trace, 8)])
def test_analyses_of_a_trace(device, analysis):
    model, pixels = model_of(ViTConfig(**SMALL)), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    here = list(analysis(model.trace(pixels)))
    there = list(analysis(model.to(device).trace(pixels.to(device))))
    for one, other in zip(there, here, strict=True):
        close(one, other)
