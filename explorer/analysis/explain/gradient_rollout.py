"""Gradient rollout (jacobgil/vit-explain): rollout with F = relu(mean over heads of A * dA), for one class.

dA = d score / dA is (d score / dO) V^T of the head outputs O = A V, so attention stays fused and memory linear.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from explorer.analysis.attention import fused_heads
from explorer.analysis.explain.classes import Class
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.gradients import Gradients, gradients_for, weighted_attention
from explorer.analysis.explain.method import Method, Token
from explorer.analysis.rollout import MIXING, Fuse, Mixing, below_start, chained_matrices, chained_rows
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def gradient_rollout(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    query: int = 0,
    compat: str | None = None,
    gradients: Gradients | None = None,
) -> Explanation:
    """`gradient_rollout_row` on the grid; with `compat="vit-explain"` divided by its maximum, as that tool returns it.
    `gradients`: of these classes, where the caller has them."""
    gradients = gradients_for(model, pixels, trace, target, against, gradients)
    choices = {"discard_ratio": discard_ratio, "discard": discard, "start_layer": start_layer, "compat": compat}
    values = on_grid(gradient_rollout_row(trace, gradients, query, **choices), trace)
    values = values if compat is None else values / values.max()
    return GRADIENT_ROLLOUT.explanation(values, gradients.target, gradients.against)


def gradient_rollout_row(trace: Trace, gradients: Gradients, query: int = 0, **choices: object) -> Tensor:
    """What token `query` is made of after the last layer as far as it speaks for the gradients' class: [N], not
    negative, summing to 1. `gradients`: of the picture that `trace` was made of.

    Choices are those of `rollout` without `head_fusion`: this method takes the mean over heads. With
    `compat="vit-explain"` that tool's arithmetic with all its faults: columns are divided by row sums (its issue 16),
    each layer meets the gradient of its mirror image, first with last (issue 6), and the first token's attention to
    itself is not spared. (There, depending on torch's version, hooks see the gradient before the softmax; here, dA.)

    Raises ValueError for a choice out of range.
    """
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        return chained_rows(trace, _gradient_fuse(trace, gradients, mixing), query, mixing)[0]


def gradient_rollout_rows(trace: Trace, gradients: Gradients, query: int = 0, **choices: object) -> Tensor:
    """The same after each layer, [L, N]; below `start_layer` the token itself."""
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        rows = chained_rows(trace, _gradient_fuse(trace, gradients, mixing), query, mixing, every_layer=True)
        return below_start(trace, query, mixing, rows)


def gradient_rollout_matrices(trace: Trace, gradients: Gradients, **choices: object) -> Tensor:
    """The same for every token after each layer, [L, N, N]: cubic in time, and L matrices of memory."""
    with torch.no_grad():
        mixing = _mixing(trace, choices)
        return chained_matrices(trace, _gradient_fuse(trace, gradients, mixing), mixing)


def _mixing(trace: Trace, choices: dict) -> Mixing:
    return Mixing.of(trace, **choices, spare_first=choices.get("compat") is None)


def _gradient_fuse(trace: Trace, gradients: Gradients, mixing: Mixing) -> Fuse:
    def fuse(layer: int) -> Callable[[slice], Tensor]:
        other = trace.layers - 1 - layer if mixing.compat else layer
        weighted = weighted_attention(trace, gradients, layer, other)

        def rows(tokens: slice) -> Tensor:
            weights = (tokens.stop - tokens.start) * trace.tokens
            return fused_heads(lambda run: weighted(tokens, run), trace.queries[layer].shape[1], weights).relu_()

        return rows

    return fuse


GRADIENT_ROLLOUT = Method("gradient-rollout", gradient_rollout, (*MIXING, Token("query")), gradients="attention")
