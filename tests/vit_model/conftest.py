"""Tiny random models of other libraries, saved by those libraries."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def randomise():
    return _randomise


def _randomise(model: nn.Module) -> nn.Module:
    """Every parameter random, so that none is trivially 0 or 1: biases, norms, LayerScale, positions and tokens too.

    Weights are scaled by their fan-in. With a fixed scale a wide model saturates its softmax and makes 1e-4 of rounding
    (each library differs that much from itself in float64), which would hide real differences.
    """
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if ("norm" in name.lower() and name.endswith("weight")) or "scale" in name or "gamma" in name:
                parameter.copy_(1 + 0.2 * noise)
            elif parameter.dim() in (2, 4):
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
            else:
                parameter.copy_(noise * (0.5 if parameter.dim() == 3 else 0.1))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def hugging_face(tmp_path_factory: pytest.TempPathFactory):
    """(class name, config fields) -> (model, the folder that transformers saved it to)."""
    import transformers

    def make(name: str, config: str, **fields) -> tuple[nn.Module, Path]:
        values = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "num_labels": 5} | fields
        settings = getattr(transformers, config)(**values, attn_implementation="eager")
        model = _randomise(getattr(transformers, name)(settings))
        folder = tmp_path_factory.mktemp(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.save_pretrained(folder)
        return model, folder

    return make


@pytest.fixture(scope="session")
def timm_folder(tmp_path_factory: pytest.TempPathFactory):
    """timm arguments -> (model, the folder that timm saved it to, with config.json)."""
    import timm

    def make(name: str = "vit_tiny_patch16_224", **arguments) -> tuple[nn.Module, Path]:
        values = {
            "embed_dim": 24,
            "depth": 2,
            "num_heads": 3,
            "img_size": 32,
            "patch_size": 8,
            "num_classes": 5,
        } | arguments
        model = _randomise(timm.create_model(name, **values))
        folder = tmp_path_factory.mktemp("timm")
        timm.models.save_for_hf(model, folder, safe_serialization=True)
        return model, folder

    return make


@pytest.fixture(scope="session")
def assert_close():
    """Equal to 1e-5 of the largest value."""

    def check(ours: Tensor, theirs: Tensor) -> None:
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
        assert theirs.abs().max() > 1e-3

    return check


@pytest.fixture(scope="session")
def attention_inputs():
    """Run `model(pixels)` and return (its result, what the modules of the given name ending were given as input)."""

    def run(model: nn.Module, pixels: Tensor, ending: str) -> tuple[Tensor, list[tuple[nn.Module, Tensor]]]:
        seen: list[tuple[nn.Module, Tensor]] = []
        hooks = [
            module.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs[0])))
            for name, module in model.named_modules()
            if name.endswith(ending)
        ]
        with torch.no_grad():
            result = model(pixels)
        for hook in hooks:
            hook.remove()
        return result, seen

    return run
