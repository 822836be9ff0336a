"""Generic relevance (Chefer, Gur & Wolf 2021, "Generic Attention-model Explainability", arXiv 2103.15679, eq. 5 and 6).

For one class's score, in each layer

    A_bar = mean over heads of relu(A * d score / d A),        R <- R + A_bar R,    from R = I,

so R = (I + A_bar_L) ... (I + A_bar_1), and rows are not normalised. The map is the row of the token that the head
reads, R[0, prefix:]. One row needs vector-matrix products only, v <- v + v A_bar_l from the last layer down, and A_bar
is made in blocks of rows: no [N, N] matrix exists.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from explorer.analysis.attention import check_layer, check_one_picture, fused_heads, token_blocks
from explorer.analysis.explain.classes import Class
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.gradients import Gradients, gradients_for, weighted_attention
from explorer.analysis.explain.method import Layer, Method, Token
from vit_model.config import ViTConfig
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def relevance(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    start_layer: int = 0,
    query: int | None = None,
    gradients: Gradients | None = None,
) -> Explanation:
    """How much of each patch reaches the head in favour of class `target`: not negative, no upper end.

    - `start_layer`: the first layer that takes part.
    - `query`: the token whose row of R is shown, by default what the head reads: the class token, for DeiT the mean of
      class and distillation token, for a mean-pooled model the mean of what it pools (see `read_tokens`).
    - `gradients`: of these classes, where the caller has them.

    Raises CodedError for a class that the model does not have.
    """
    gradients = gradients_for(model, pixels, trace, target, against, gradients)
    if query is None:
        start = read_tokens(model.config).to(trace.logits.device)
    else:
        start = torch.zeros(trace.tokens, device=trace.logits.device)
        start[query] = 1.0
    row = relevance_row(trace, gradients, start, check_layer(trace, start_layer))
    return RELEVANCE.explanation(on_grid(row, trace), gradients.target, gradients.against)


@torch.no_grad()
def relevance_row(trace: Trace, gradients: Gradients, start: Tensor, start_layer: int = 0) -> Tensor:
    """start [N] times R_L: one row of R where `start` is one token, a weighted mean of rows where it is several."""
    check_one_picture(trace)
    row = start.float()[None]
    for layer in reversed(range(start_layer, trace.layers)):
        weighted, product = weighted_attention(trace, gradients, layer), row.clone()
        for tokens in token_blocks(trace, fused=True):
            read = row[0, tokens].nonzero()[:, 0] + tokens.start  # in the last layer few tokens are read
            if len(read) == tokens.stop - tokens.start:
                read = tokens  # a view
            product.addmm_(row[:, read], _fused(weighted, read, trace.queries[layer]))
        row = product
    return row[0]


def _fused(weighted: Callable[..., Tensor], tokens: slice | Tensor, queries: Tensor) -> Tensor:
    """A_bar's rows of n tokens, [n, N]; queries [1, H, N, d]."""
    heads, n, N = queries.shape[1], queries[0, 0, tokens].shape[0], queries.shape[2]
    return fused_heads(lambda run: weighted(tokens, run).relu_(), heads, n * N)


def read_tokens(config: ViTConfig) -> Tensor:
    """What share of what the head reads each token has, [N], summing to 1: the class token all of it; class and
    distillation token a half each (DeiT); all patches, or all tokens, the same (mean pooling); class token a half and
    the patches together the other (DINOv2's classifier)."""
    of_class, patches = torch.zeros(2, config.tokens)
    of_class[: 2 if config.pool == "class-distilled" else 1] = 1.0
    patches[config.prefix :] = 1.0
    of_class, patches = of_class / of_class.sum(), patches / patches.sum()
    return {
        "class": of_class,
        "class-distilled": of_class,
        "class+mean": (of_class + patches) / 2,
        "mean-patches": patches,
        "mean-all": torch.full_like(patches, 1 / config.tokens),
    }[config.pool]


RELEVANCE = Method(
    "relevance",
    relevance,
    (Layer("start_layer", lowest=0, offered=True), Token("query", optional=True)),
    gradients="attention",
)
