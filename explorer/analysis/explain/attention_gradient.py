"""Attention x gradient: where attention, scaled up a little, would raise or lower one class's score.

In a layer, the value of token j is

    mean over heads of sum_i A[i, j] * d score / d A[i, j],

signed. Grad-SAM (Barkan et al. 2021, arXiv 2204.11073) takes relu(d score / d A) instead, in all layers; the product of
attention and its gradient is also what gradient rollout and generic relevance chain. Over all tokens j a row i sums to
O_i . d score / d O_i, with O the head outputs.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from explorer.analysis.attention import check_layer, token_blocks
from explorer.analysis.explain.classes import Class
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.gradients import Gradients, gradients_for, weighted_attention
from explorer.analysis.explain.method import Layer, Method, Token
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def attention_gradient(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    layer: int | None = -1,
    query: int | None = None,
    gradients: Gradients | None = None,
) -> Explanation:
    """Attention x gradient of one layer, or with `layer=None` the mean of all; signed, in units of the score.

    `query`: only this token's attention, None for that of all tokens (in the last layer of a model with a class-token
    head only that token's attention has a gradient). `gradients`: of these classes, where the caller has them.

    Raises CodedError for a class that the model does not have.
    """
    gradients = gradients_for(model, pixels, trace, target, against, gradients)
    layers = range(trace.layers) if layer is None else [check_layer(trace, layer)]
    row = torch.stack([_summed(trace, gradients, each, query) for each in layers]).mean(0)
    return ATTENTION_GRADIENT.explanation(on_grid(row, trace), gradients.target, gradients.against)


@torch.no_grad()
def _summed(trace: Trace, gradients: Gradients, layer: int, query: int | None) -> Tensor:
    """Column sums of A * dA over the queries, mean over heads: [N]."""
    weighted = weighted_attention(trace, gradients, layer)
    if query is not None:
        return weighted(slice(query, query + 1)).sum(1).mean(0)
    return reduce(torch.add, (weighted(tokens).sum(1) for tokens in token_blocks(trace))).mean(0)


ATTENTION_GRADIENT = Method(
    "attention-gradient",
    attention_gradient,
    (Layer("layer", optional=True, offered=True), Token("query", optional=True)),
    signed=True,
    gradients="attention",
)
