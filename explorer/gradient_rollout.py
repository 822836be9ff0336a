"""Gradient rollout (jacobgil/vit-explain): rollout with F = relu(mean over heads of A * dA), for one class.

dA = d logit[target] / dA is (d logit / dO) V^T of the head outputs O = A V, so attention stays fused and memory linear.
"""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from explorer.rollout import Fuse, Mixing, below_start, chained_matrices, chained_rows
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def gradient_rollout(
    model: VisionTransformer, pixels: Tensor, target: int, query: int = 0, **choices: object
) -> Tensor:
    """What token `query` is made of after the last layer as far as it speaks for class `target`: [N], not negative,
    summing to 1. Gradients are of the raw logit.

    Choices are those of `rollout` without `head_fusion`: this method takes the mean over heads. With
    `compat="vit-explain"` that tool's arithmetic with all its faults: columns are divided by row sums (its issue 16),
    each layer meets the gradient of its mirror image, first with last (issue 6), and the first token's attention to
    itself is not spared. (There, depending on torch's version, hooks see the gradient before the softmax; here, dA.)

    Raises ValueError for a choice out of range, a class that the model does not have, and a model without a head.
    """
    with torch.no_grad():
        trace, fuse, mixing = _fused(model, pixels, target, choices)
        return chained_rows(trace, fuse, query, mixing)[0]


def gradient_rollout_rows(
    model: VisionTransformer, pixels: Tensor, target: int, query: int = 0, **choices: object
) -> Tensor:
    """The same after each layer, [L, N]; below `start_layer` the token itself."""
    with torch.no_grad():
        trace, fuse, mixing = _fused(model, pixels, target, choices)
        return below_start(trace, query, mixing, chained_rows(trace, fuse, query, mixing, every_layer=True))


def gradient_rollout_matrices(model: VisionTransformer, pixels: Tensor, target: int, **choices: object) -> Tensor:
    """The same for every token after each layer, [L, N, N]: cubic in time, and L matrices of memory."""
    with torch.no_grad():
        return chained_matrices(*_fused(model, pixels, target, choices))


def _fused(model: VisionTransformer, pixels: Tensor, target: int, choices: dict) -> tuple[Trace, Fuse, Mixing]:
    """A differentiable trace of its own, how its layers are fused, and how they mix."""
    if not model.config.classes:
        raise ValueError("this model has no head, so it has no class to explain; use 'attention' or 'rollout'")
    if not isinstance(target, Integral) or not 0 <= target < model.config.classes:
        raise ValueError(f"target must be a class from 0 to {model.config.classes - 1}, got {target}")
    trace = model.trace(pixels, differentiable=True)
    mixing = Mixing.of(trace, **choices, spare_first=choices.get("compat") is None)
    with torch.enable_grad():  # the caller has switched it off
        score = trace.logits[0, target]
    return trace, _gradient_fuse(trace, trace.output_gradients(score), bool(mixing.compat)), mixing


def _gradient_fuse(trace: Trace, gradients: tuple[Tensor, ...], mirrored: bool) -> Fuse:
    def fuse(layer: int, tokens: slice) -> Tensor:
        other = trace.layers - 1 - layer if mirrored else layer
        weights = gradients[other][0, :, tokens] @ trace.values[other][0].transpose(-2, -1)  # dA [H, n, N]
        return weights.mul_(trace.attention(layer, tokens)[0]).float().mean(0).relu_()

    return fuse
