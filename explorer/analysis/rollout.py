"""Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928): attention followed down through the layers.

In each layer the heads are fused to F [N, N], the weakest entries of F may be dropped, and

    A_hat = (F + I) / 2 with its rows normalised,        R_l = A_hat_l A_hat_(l-1) ... A_hat_start.

With mean fusion and nothing dropped A_hat is the paper's 0.5 F + 0.5 I. Row i of R_l says of which tokens of the
picture token i is made after layer l; the class token's map is R_L[0, prefix:] on the grid.

One row is a vector times one A_hat after the other, from the last layer down, and A_hat is made in blocks of rows: no
[N, N] matrix exists, unless entries are dropped over a whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.attention import check_one_picture, check_token, fused_heads, rows_of_layer, token_blocks
from explorer.analysis.explain.method import Choice, Index, Number, OneOf
from vit_model.trace import Trace

HEAD_FUSION = OneOf("head_fusion", options=("mean", "max", "min"), offered=True)
MIXING: tuple[Choice, ...] = (
    Number("discard_ratio", low=0, high=1, below=True, offered=True, slider=(0, 0.99, 0.01)),
    OneOf("discard", options=("matrix", "row")),
    Index("start_layer", size=lambda trace: trace.layers),
    OneOf("compat", options=(None, "vit-explain"), expected="'vit-explain' or left out"),
)
"""Choices of a Mixing."""

Fuse = Callable[[int], Callable[[slice], Tensor]]
"""layer -> n tokens -> these tokens' rows of F, [n, N]: fresh memory, which the caller may write to."""


@torch.no_grad()
def rollout(trace: Trace, query: int = 0, head_fusion: str = "mean", **choices: object) -> Tensor:
    """What token `query` is made of after the last layer: R_L[query], [N], not negative, summing to 1.

    - `head_fusion`: mean, max or min over the heads.
    - `discard_ratio` r in [0, 1), and `discard`: "matrix" sets the int(N*N*r) smallest entries of each F to zero,
      sparing the first token's attention to itself, as vit-explain does; "row" the int(N*r) smallest of each row.
      Entries equal to the smallest one that is kept are kept too.
    - `start_layer`: the first layer that takes part.
    - `compat="vit-explain"`: that tool's arithmetic, fault included: columns, not rows, are divided by the row sums
      (its issue 16), so the result sums to anything. Takes a few times the memory of F.

    Raises ValueError, saying what is valid, for any other choice and for a trace of several pictures.
    """
    return chained_rows(trace, attention_fuse(trace, head_fusion), query, Mixing.of(trace, **choices))[0]


@torch.no_grad()
def rollout_rows(trace: Trace, query: int = 0, head_fusion: str = "mean", **choices: object) -> Tensor:
    """What token `query` is made of after each layer: R_l[query], [L, N], in one sweep without a product of matrices.

    Layers below `start_layer` mix nothing: there the token is itself. Choices and errors are those of `rollout`.
    """
    mixing = Mixing.of(trace, **choices)
    rows = chained_rows(trace, attention_fuse(trace, head_fusion), query, mixing, every_layer=True)
    return below_start(trace, query, mixing, rows)


@torch.no_grad()
def rollout_matrices(trace: Trace, head_fusion: str = "mean", **choices: object) -> Tensor:
    """R_l after each layer, [L, N, N]: cubic in time, and L matrices of memory. Choices and errors as `rollout`."""
    return chained_matrices(trace, attention_fuse(trace, head_fusion), Mixing.of(trace, **choices))


@dataclass(frozen=True)
class Mixing:
    """How a layer's fused attention F becomes A_hat, and from which layer on; see `rollout`. `spare_first`: whether
    F[0, 0] is never dropped from a whole matrix."""

    discard_ratio: float = 0.0
    discard: str = "matrix"
    start_layer: int = 0
    compat: str | None = None
    spare_first: bool = True

    @classmethod
    def of(cls, trace: Trace, **choices: Any) -> Mixing:
        mixing = cls(**choices)
        for choice in MIXING:
            choice.check(getattr(mixing, choice.name), trace)
        if mixing.compat and mixing.discard != "matrix":
            raise ValueError("vit-explain discards over the whole matrix; use discard='matrix', or compat=None")
        return mixing

    @property
    def whole(self) -> bool:
        """Whether a row of A_hat depends on other rows of F."""
        return self.compat is not None or (self.discard == "matrix" and self.discard_ratio > 0)


def attention_fuse(trace: Trace, head_fusion: str) -> Fuse:
    """F = mean, max or min over the heads of the attention."""
    HEAD_FUSION.check(head_fusion, trace)

    def fuse(layer: int) -> Callable[[slice], Tensor]:
        rows, heads = rows_of_layer(trace, layer), trace.queries[layer].shape[1]  # edits leave some out
        return lambda tokens: fused_heads(
            lambda run: rows(tokens, run).float(), heads, (tokens.stop - tokens.start) * trace.tokens, head_fusion
        )

    return fuse


def chained_rows(trace: Trace, fuse: Fuse, query: int, mixing: Mixing, every_layer: bool = False) -> Tensor:
    """Row `query` of R_L, [1, N], or with `every_layer` of R_start to R_L, [L - start, N]."""
    check_token(trace, query)
    start = _one_hot(trace, query)
    rows = start.new_empty(0, trace.tokens)  # one chain for each R asked for, the longest first
    for layer in reversed(range(mixing.start_layer, trace.layers)):
        top = not len(rows)
        if top or every_layer:
            rows = torch.cat([rows, start])
        blocks = _fused_rows(trace, fuse, layer, mixing, slice(query, query + 1) if top else None)
        rows = _times_mixing(rows, blocks, mixing)
    return rows.flip(0)


def _times_mixing(rows: Tensor, blocks: Iterator[tuple[slice, Tensor]], mixing: Mixing) -> Tensor:
    """rows [k, N] @ A_hat of one layer."""
    product = torch.zeros_like(rows)
    for tokens, fused in blocks:
        sums = fused.sum(-1) + 1.0
        weights = rows[:, tokens] if mixing.compat else rows[:, tokens] / sums
        product[:, tokens] += weights
        product.addmm_(weights, fused)
        if mixing.compat:
            product /= sums
    return product


def below_start(trace: Trace, query: int, mixing: Mixing, rows: Tensor) -> Tensor:
    """[L - start, N] -> [L, N]: below `start_layer` the token is itself."""
    return torch.cat([_one_hot(trace, query).expand(mixing.start_layer, -1), rows])


def chained_matrices(trace: Trace, fuse: Fuse, mixing: Mixing) -> Tensor:
    """R_l after each layer, [L, N, N]."""
    check_one_picture(trace)
    result = torch.empty(trace.layers, trace.tokens, trace.tokens, device=trace.logits.device)
    below = torch.eye(trace.tokens, device=trace.logits.device)
    result[: mixing.start_layer] = below
    for layer in range(mixing.start_layer, trace.layers):
        for tokens, fused in _fused_rows(trace, fuse, layer, mixing):
            sums = fused.sum(-1, keepdim=True) + 1.0
            if mixing.compat:
                below = below / sums  # the columns of F + I, by their rows' sums
                sums = 1.0
            result[layer, tokens] = torch.addmm(below[tokens], fused, below) / sums
        below = result[layer]
    return result


def _fused_rows(
    trace: Trace, fuse: Fuse, layer: int, mixing: Mixing, only: slice | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks (tokens, their rows of F [n, N], the weakest dropped) of one layer that hold at least the tokens `only`.

    A_hat is F + I with its rows divided by their sums (the halves cancel), with compat its columns by these sums.
    """
    if mixing.whole:
        yield slice(0, trace.tokens), _whole(trace, fuse, layer, mixing)
        return
    rows = fuse(layer)
    for tokens in token_blocks(trace, fused=True) if only is None else (only,):
        fused = rows(tokens)
        if count := int(trace.tokens * mixing.discard_ratio):
            fused.masked_fill_(fused < _order_statistic(fused, count)[:, None], 0.0)
        yield tokens, fused


def _whole(trace: Trace, fuse: Fuse, layer: int, mixing: Mixing) -> Tensor:
    """F [N, N] of one layer, with the weakest entries of the whole matrix dropped."""
    fused = torch.empty(trace.tokens, trace.tokens, device=trace.logits.device)
    rows = fuse(layer)
    for tokens in token_blocks(trace, fused=True):
        fused[tokens] = rows(tokens)
    first, flat = fused[0, 0].clone(), fused.view(-1)
    if count := int(len(flat) * mixing.discard_ratio):
        if mixing.compat:  # its choice among equals is topk's
            flat[flat.topk(count, largest=False).indices] = 0.0
        else:
            flat.masked_fill_(flat < _order_statistic(flat, count), 0.0)
        if mixing.spare_first:
            fused[0, 0] = first
    return fused


def _order_statistic(values: Tensor, count: int) -> Tensor:
    """The smallest value along the last axis with `count` before it in order, [...]. By numpy, which needs one copy of
    the values; torch's kthvalue and topk need three or more."""
    ordered = np.partition(values.cpu().numpy(), count, axis=-1)
    return torch.as_tensor(ordered[..., count], device=values.device)


def _one_hot(trace: Trace, token: int) -> Tensor:
    row = torch.zeros(1, trace.tokens, device=trace.logits.device)
    row[0, token] = 1.0
    return row
