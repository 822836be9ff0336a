"""Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928): attention followed from the picture through the layers.

Per layer, heads are fused to F [N, N] (mean, max or min), the weakest entries may be set to zero, and
    A_hat = rows of (F + I) normalised to sum 1,        R_l = A_hat_l ... A_hat_start.
With mean fusion and nothing discarded this is 0.5 F + 0.5 I, the formula of the paper. Row i of R says what the token i
of the last layer is made of; the map of the class token is R[0, prefix:] on the grid.

`discard="matrix"` sets the int(N*N*ratio) smallest entries of the whole matrix to zero and spares the first token's to
itself, as vit-explain does; `discard="row"` the int(N*ratio) smallest of each row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.attention import attention_chunks, check_token
from vit_model import Trace

HEAD_FUSIONS = ("mean", "max", "min")
DISCARDS = ("matrix", "row")


def rollout(
    trace: Trace,
    query: int = 0,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    compat: str | None = None,
) -> Tensor:
    """The row of `query` after the last layer, [tokens], summing to 1.

    Costs vector-matrix products from the last layer down; a matrix [N, N] exists only with `discard="matrix"` and a
    ratio above 0. `compat="vit-explain"` reproduces that tool bug for bug (see `vit_explain_rollout`).
    """
    if compat is not None:
        return vit_explain_rollout(trace, query, head_fusion, discard_ratio, compat)
    return rollout_rows(trace, query, head_fusion, discard_ratio, discard, start_layer, all_layers=False)[-1]


def rollout_rows(
    trace: Trace,
    query: int = 0,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    all_layers: bool = True,
) -> Tensor:
    """The row of `query` after every layer, [layers, tokens], in one sweep down the layers and without a product of
    matrices; with `all_layers=False` only after the last, [1, tokens]. Before `start_layer` a token is itself."""
    check_choices(trace, head_fusion, discard_ratio, discard, start_layer)
    query = check_token(trace, query)
    rows: Tensor | None = None  # the chains that end at this layer or above, the topmost first
    start = trace.queries[0].new_zeros(1, trace.tokens, dtype=torch.float32)
    start[0, query] = 1.0
    for layer in range(trace.layers - 1, start_layer - 1, -1):
        if rows is None:
            rows = start
        elif all_layers:
            rows = torch.cat([rows, start])
        rows = _times_layer(rows, trace, layer, head_fusion, discard_ratio, discard)
    missing = start.expand(start_layer if all_layers else 0, -1)  # below start_layer: the token itself
    return torch.cat([missing, rows.flip(0)])


def rollout_matrices(
    trace: Trace,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
) -> Tensor:
    """R after every layer, [layers, tokens, tokens]: cubic in tokens, for views that hover over any of them."""
    check_choices(trace, head_fusion, discard_ratio, discard, start_layer)
    result = torch.eye(trace.tokens, device=trace.logits.device)
    matrices = []
    for layer in range(trace.layers):
        if layer >= start_layer:
            result = _normalised(_discarded(_fused(trace, layer, head_fusion), discard_ratio, discard)) @ result
        matrices.append(result)
    return torch.stack(matrices)


def vit_explain_rollout(
    trace: Trace, query: int = 0, head_fusion: str = "mean", discard_ratio: float = 0.0, compat: str = "vit-explain"
) -> Tensor:
    """jacobgil/vit-explain's rollout as it is, for parity, with its missing keepdim: columns are divided by row sums
    (its issue 16), so rows of the result do not sum to 1. Returns [tokens] before its final division by the maximum over
    the patches."""
    if compat != "vit-explain":
        raise ValueError(f"compat must be None or 'vit-explain', got {compat!r}")
    check_choices(trace, head_fusion, discard_ratio, "matrix", 0)
    query = check_token(trace, query)
    eye = torch.eye(trace.tokens, device=trace.logits.device)
    result = eye
    for layer in range(trace.layers):
        a = (_discarded(_fused(trace, layer, head_fusion), discard_ratio, "matrix") + eye) / 2
        result = (a / a.sum(-1)) @ result
    return result[query]


def times_fused(rows: Tensor, fused: Tensor, discard_ratio: float, discard: str) -> Tensor:
    """rows [..., N] @ A_hat of a layer whose heads were fused to [N, N]."""
    return rows @ _normalised(_discarded(fused, discard_ratio, discard))


def _times_layer(rows: Tensor, trace: Trace, layer: int, head_fusion: str, ratio: float, discard: str) -> Tensor:
    """rows [k, N] @ A_hat of one layer."""
    if ratio and discard == "matrix":
        return times_fused(rows, _fused(trace, layer, head_fusion), ratio, discard)
    used = rows.any(0).nonzero()[:, 0]  # at the top of a chain only one token has weight
    if len(used) == 1:
        queries = int(used[0])
        fused = _fuse(trace.attention(layer, queries)[0].float(), head_fusion)
        return _accumulate(torch.zeros_like(rows), rows, slice(queries, queries + 1), fused, ratio)
    out = torch.zeros_like(rows)
    for queries, attention in attention_chunks(trace, layer):
        if head_fusion == "mean" and not ratio:  # 0.5 F + 0.5 I: fold the mean over heads into the product
            weights = rows[:, queries]
            out += (weights @ attention.float()).mean(0) / 2
            out[:, queries] += weights / 2
        else:
            _accumulate(out, rows, queries, _fuse(attention.float(), head_fusion), ratio)
    return out


def _accumulate(out: Tensor, rows: Tensor, queries: slice, fused: Tensor, ratio: float) -> Tensor:
    """out += rows[:, queries] @ A_hat[queries], for fused attention [n, N] of these queries."""
    fused = _discarded(fused, ratio, "row")
    weights = rows[:, queries] / (fused.sum(-1) + 1)
    out += weights @ fused
    out[:, queries] += weights
    return out


def _fused(trace: Trace, layer: int, head_fusion: str) -> Tensor:
    """F [N, N] of one layer."""
    return torch.cat([_fuse(attention.float(), head_fusion) for _, attention in attention_chunks(trace, layer)])


def _fuse(attention: Tensor, head_fusion: str) -> Tensor:
    """[heads, n, N] -> [n, N]."""
    return attention.mean(0) if head_fusion == "mean" else getattr(attention, "a" + head_fusion)(0)


def _discarded(fused: Tensor, ratio: float, discard: str) -> Tensor:
    """The same with its weakest entries set to zero."""
    if not ratio:
        return fused
    kept = fused.clone()
    if discard == "row":
        count = int(fused.shape[-1] * ratio)
        return kept.scatter_(-1, fused.topk(count, -1, largest=False).indices, 0.0)
    indices = fused.flatten().topk(int(fused.numel() * ratio), largest=False).indices
    kept.view(-1)[indices[indices != 0]] = 0.0
    return kept


def _normalised(fused: Tensor) -> Tensor:
    """Rows of F + I, each divided by its own sum."""
    a_hat = fused + torch.eye(len(fused), device=fused.device)
    return a_hat / a_hat.sum(-1, keepdim=True)


def check_choices(trace: Trace, head_fusion: str, discard_ratio: float, discard: str, start_layer: int) -> None:
    """ValueError, saying what is valid, for choices that this trace does not have."""
    if head_fusion not in HEAD_FUSIONS:
        raise ValueError(f"head_fusion must be one of {', '.join(HEAD_FUSIONS)}, got {head_fusion!r}")
    if discard not in DISCARDS:
        raise ValueError(f"discard must be one of {', '.join(DISCARDS)}, got {discard!r}")
    if not 0.0 <= discard_ratio < 1.0:
        raise ValueError(f"discard_ratio must be in [0, 1), got {discard_ratio}")
    if not 0 <= start_layer < trace.layers:
        raise ValueError(f"start_layer {start_layer} is out of range: this model has layers 0 to {trace.layers - 1}")
