"""Everything that is computed on the page's device runs on one that is not the CPU, with the CPU's numbers."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch

from explorer import explain
from explorer.analysis.ablation import ablate
from explorer.analysis.attention import attention_columns, attention_rows, layer_attention
from explorer.analysis.edits import Edits, PatchEdit, apply_edits
from explorer.analysis.explain.gradient_rollout import gradient_rollout_matrices, gradient_rollout_rows
from explorer.analysis.explain.gradients import class_gradients
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.faithfulness.faithfulness import deletion_curve, faithfulness
from explorer.analysis.faithfulness.leaderboard import leaderboard
from explorer.analysis.faithfulness.sanity import sanity
from explorer.analysis.filters import patch_filters
from explorer.analysis.lens import layer_logits, read_tokens, top_by_layer
from explorer.analysis.position import position_similarity
from explorer.analysis.rollout import rollout, rollout_matrices, rollout_rows
from explorer.analysis.statistics import attention_distance, attention_entropy
from explorer.analysis.tokens import (
    artefact_share,
    artefacts,
    asking_row,
    token_components,
    token_norms,
    token_similarity,
)
from tests.other_device import other_device
from vit_model import VisionTransformer, ViTConfig

pytestmark = pytest.mark.other_device
SHAPE = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 3, "heads": 2, "mlp_width": 64, "classes": 5}
TRACED = {
    "rows": lambda model, trace: attention_rows(trace, 1, 2),
    "columns": lambda model, trace: attention_columns(trace, 1, 2),
    "layer": lambda model, trace: layer_attention(trace, -1),
    "rollout": lambda model, trace: rollout(trace, 3, "max"),
    "rollout, row discarded": lambda model, trace: rollout(trace, 3, discard_ratio=0.5, discard="row"),
    "rollout, matrix discarded": lambda model, trace: rollout(trace, 0, "min", discard_ratio=0.5),
    "rollout of vit-explain": lambda model, trace: rollout(trace, discard_ratio=0.9, compat="vit-explain"),
    "rollout rows": lambda model, trace: rollout_rows(trace, 1, start_layer=1),
    "rollout matrices": lambda model, trace: rollout_matrices(trace),
    "distance": lambda model, trace: attention_distance(trace, 8),
    "entropy": lambda model, trace: attention_entropy(trace),
    "positions": lambda model, trace: position_similarity(model, (24, 40), kind="dot"),
    "filters": lambda model, trace: patch_filters(model, 4),
    "components": lambda model, trace: token_components(model, trace),
    "own components": lambda model, trace: token_components(model, trace, joint=False),
    "similarity": lambda model, trace: token_similarity(trace, 2, 1),
    "norms": lambda model, trace: token_norms(trace),
    "artefacts": lambda model, trace: artefact_share(trace, artefacts(trace)),
    "asking": lambda model, trace: asking_row(trace, 1),
    "lens": lambda model, trace: (
        layer_logits(model, trace),
        top_by_layer(model, trace, 2),
        read_tokens(model, trace, 1),
    ),
    "ablation": lambda model, trace: list(ablate(model, trace, 1)),
}
MAP = torch.linspace(0, 1, 16).reshape(4, 4)
STEPS = tuple(
    PatchEdit(kind, (at, at + 5), by=(0, 1)) for at, kind in enumerate(("blur", "grey", "shuffle", "move", "drop"))
)
EDITS = Edits(STEPS, positions="shuffled", heads=((0, 1),), mlps=(1,), layers=(2,))
OF_PIXELS = {
    **{name: lambda model, pixels, name=name: explain(model, pixels, name, 1) for name in METHODS},
    "gradients": lambda model, pixels: class_gradients(model, pixels, 1, 2),
    "gradient rollout rows": lambda model, pixels: gradient_rollout_rows(
        model.trace(pixels), class_gradients(model, pixels, 1)
    ),
    "gradient rollout matrices": lambda model, pixels: gradient_rollout_matrices(
        model.trace(pixels), class_gradients(model, pixels, 1), discard_ratio=0.5
    ),
    "edits": lambda model, pixels: edited_trace(apply_edits(model, pixels, EDITS)),
    "deletion": lambda model, pixels: deletion_curve(model, pixels, MAP, 1, trace=model.trace(pixels)),
    "faithfulness": lambda model, pixels: list(faithfulness(model, pixels, {"map": MAP}, 1, value="logit"))[-1],
    "leaderboard": lambda model, pixels: list(leaderboard(model, pixels, 1, steps=4))[-1],
    "sanity": lambda model, pixels: list(sanity(model, pixels, 1))[-1],
}


def model_of(**changes) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**SHAPE | changes)).eval().requires_grad_(False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def edited_trace(edited):
    return edited.canvas, edited.mixing(edited.model.trace(edited.pixels))


def numbers(value) -> list[np.ndarray]:
    """Every array in it, in their order."""
    if isinstance(value, torch.Tensor):
        return [value.detach().cpu().numpy()]
    if isinstance(value, np.ndarray | float):
        return [np.asarray(value)]
    if is_dataclass(value):
        return numbers([getattr(value, field.name) for field in fields(value)])
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [array for part in parts for array in numbers(part)]


def same_elsewhere(function, model: VisionTransformer, *inputs) -> None:
    expected = numbers(function(model, *inputs))
    with other_device() as device:
        found = numbers(function(model.to(device), *(each.to(device) for each in inputs)))
    assert len(found) == len(expected) > 0
    for there, here in zip(found, expected, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", TRACED)
def test_analyses_of_a_trace(name):
    model = model_of()
    same_elsewhere(TRACED[name], model, model.trace(torch.randn(1, 3, 32, 32)))


@pytest.mark.parametrize("name", OF_PIXELS)
def test_analyses_of_pixels(name):
    same_elsewhere(OF_PIXELS[name], model_of(), torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize("pool", ["class", "class-distilled", "class+mean", "mean-patches", "mean-all"])
def test_pools(pool):
    prefix = {"distillation_token": True} if pool == "class-distilled" else {}
    same_elsewhere(
        lambda model, pixels: explain(model, pixels, "relevance", 1),
        model_of(pool=pool, **prefix),
        torch.randn(1, 3, 32, 32),
    )


def test_the_device_refuses_what_real_ones_refuse():
    with other_device() as device:
        values = torch.ones(3).to(device)
        assert values.device.type != "cpu"
        with pytest.raises(TypeError, match=r"has no torch\.float64"):
            values.double()
        with pytest.raises(RuntimeError, match="expected all tensors on one device"):
            values + torch.ones(3)
        with pytest.raises(RuntimeError, match="numpy"):
            values.numpy()
        torch.testing.assert_close((values + 1).cpu(), torch.full((3,), 2.0))
