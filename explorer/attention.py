"""Attention of one picture by layer and head, in both directions, in bounded memory.

A[h, i, j] = softmax_j(q_i k_j / sqrt d): row i says what token i attends to and sums to 1; column j says how much every
token attends to j.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vit_model import Trace

_CHUNK_BYTES = 64 * 2**20


def attention_rows(trace: Trace, layer: int, query: int) -> Tensor:
    """What token `query` attends to in every head of a layer: [heads, tokens], each row summing to 1."""
    return trace.attention(layer, check_token(trace, query))[0, :, 0]


def attention_columns(trace: Trace, layer: int, key: int) -> Tensor:
    """How much every token attends to token `key`, in every head of a layer: [heads, tokens]. Quadratic in time (each
    row has its own normaliser), linear in memory."""
    key = check_token(trace, key)
    return torch.cat([rows[:, :, key] for _, rows in attention_chunks(trace, layer)], dim=1)


def layer_attention(trace: Trace, layer: int) -> Tensor:
    """All attention of one layer, [heads, queries, keys]: heads * tokens**2 * 4 bytes."""
    return trace.attention(layer)[0]


def attention_chunks(trace: Trace, layer: int) -> Iterator[tuple[slice, Tensor]]:
    """(queries, attention [heads, n, tokens]) for one layer, in runs of queries of at most 64 MiB."""
    run = max(1, _CHUNK_BYTES // (4 * trace.heads * trace.tokens))
    for start in range(0, trace.tokens, run):
        queries = slice(start, min(start + run, trace.tokens))
        yield queries, trace.attention(layer, queries)[0]


def check_token(trace: Trace, token: int) -> int:
    """The token, counted from 0; ValueError naming the range."""
    if not 0 <= token < trace.tokens:
        raise ValueError(
            f"token {token} is out of range: this picture has tokens 0 to {trace.tokens - 1} "
            f"({trace.prefix} before the patches)"
        )
    return int(token)
