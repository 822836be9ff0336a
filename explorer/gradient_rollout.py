"""Gradient rollout (jacobgil/vit-explain): rollout with F = relu(mean over heads of A * dA), for one class.

dA = d logit[target] / dA is (d logit / dO) V^T of the head outputs O = A V, so attention stays fused and memory linear.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral

import torch
from torch import Tensor

from explorer.attention import rows_of_layer
from explorer.rollout import Fuse, Mixing, below_start, chained_matrices, chained_rows
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

Gradients = tuple[Tensor, ...]
"""What `logit_gradients` makes."""


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
    trace, gradients = _differentiated(model, pixels, target)
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        return chained_rows(trace, _gradient_fuse(trace, gradients, mixing), query, mixing)[0]


def gradient_rollout_rows(trace: Trace, gradients: Gradients, query: int = 0, **choices: object) -> Tensor:
    """The same after each layer, [L, N]; below `start_layer` the token itself. `gradients`: of the picture that `trace`
    was made of, see `logit_gradients`."""
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        rows = chained_rows(trace, _gradient_fuse(trace, gradients, mixing), query, mixing, every_layer=True)
        return below_start(trace, query, mixing, rows)


def gradient_rollout_matrices(trace: Trace, gradients: Gradients, **choices: object) -> Tensor:
    """The same for every token after each layer, [L, N, N]: cubic in time, and L matrices of memory."""
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        return chained_matrices(trace, _gradient_fuse(trace, gradients, mixing), mixing)


def logit_gradients(model: VisionTransformer, pixels: Tensor, target: int) -> Gradients:
    """d logit[target] / d head outputs of every layer, L of [1, H, N, d]: one forward and one backward pass. They hold
    no graph, so unlike a differentiable trace they can be kept; with a plain trace they are all that this method needs.

    Raises ValueError for a class that the model does not have, and for a model without a head.
    """
    return _differentiated(model, pixels, target)[1]


def _differentiated(model: VisionTransformer, pixels: Tensor, target: int) -> tuple[Trace, Gradients]:
    """A differentiable trace and its gradients."""
    if not model.config.classes:
        raise ValueError("this model has no head, so it has no class to explain; use 'attention' or 'rollout'")
    if not isinstance(target, Integral) or not 0 <= target < model.config.classes:
        raise ValueError(f"target must be a class from 0 to {model.config.classes - 1}, got {target}")
    trace = model.trace(pixels, differentiable=True)
    with torch.enable_grad():  # the caller may have switched it off
        score = trace.logits[0, target]
    return trace, trace.output_gradients(score)


def _mixing(trace: Trace, choices: dict) -> Mixing:
    return Mixing.of(trace, **choices, spare_first=choices.get("compat") is None)


def _gradient_fuse(trace: Trace, gradients: Gradients, mixing: Mixing) -> Fuse:
    def fuse(layer: int) -> Callable[[slice], Tensor]:
        other = trace.layers - 1 - layer if mixing.compat else layer
        attention, values = rows_of_layer(trace, layer), trace.values[other][0].transpose(-2, -1)

        def rows(tokens: slice) -> Tensor:
            weights = gradients[other][0, :, tokens] @ values  # dA [H, n, N]
            return weights.mul_(attention(tokens)).float().mean(0).relu_()

        return rows

    return fuse
