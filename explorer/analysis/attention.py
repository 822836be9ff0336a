"""Attention of one picture: what a token attends to, what attends to it, and whole layers.

A[h, i, j] = softmax_j(q_i k_j / sqrt d): row i says what token i attends to and sums to 1, column j says how much every
token attends to j. All of it is made from a trace's queries and keys when asked for, in blocks of queries, so that long
sequences need tens of megabytes. H heads, N tokens = prefix + gh*gw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral

import torch
from torch import Tensor

from vit_model.errors import quoted
from vit_model.linear import softmax_products
from vit_model.trace import Trace

BLOCK_VALUES = 2**22
"""Attention weights made at a time: 16 MiB in float32. Smaller blocks need less memory and more time, since after each
the threads of a CPU wait for one another."""
BLOCK_ROWS = 128
"""Queries at a time at least, however many tokens they attend to: fewer make poor use of the keys that were fetched."""

FUSED_VALUES = 2**21
"""Weights made at a time where heads become one, after that: 8 MiB in float32. A head's product for few queries is over
so soon that the threads of a CPU wait for one another longer than they work, on some machines."""
HEAD_VALUES = 2**19
"""Weights of several heads at a time there: 2 MiB in float32, which a CPU's caches hold. One head may have more."""


@torch.no_grad()
def attention_rows(trace: Trace, layer: int, query: int) -> Tensor:
    """What token `query` attends to in every head of a layer: [H, N], each row summing to 1.

    Raises ValueError for a layer or token out of range and for a trace of several pictures.
    """
    return trace.attention(check_layer(trace, layer), check_token(trace, query))[0, :, 0]


@torch.no_grad()
def attention_columns(trace: Trace, layer: int, key: int) -> Tensor:
    """How much every token attends to token `key` in every head of a layer: [H, N], a column, which sums to anything.

    Takes the time of the whole layer, H * N * N, since every row has its own normaliser. Raises as `attention_rows`.
    """
    layer, key = check_layer(trace, layer), check_token(trace, key)
    rows, blocks = rows_of_layer(trace, layer), list(token_blocks(trace, fused=True))
    heads = range(trace.queries[layer].shape[1])
    columns = [
        [rows(tokens, head)[:, key].clone() for tokens in blocks] for head in heads
    ]  # a view would keep its block
    return torch.stack([torch.cat(column) for column in columns])


@torch.no_grad()
def layer_attention(trace: Trace, layer: int) -> Tensor:
    """All attention of one layer, [heads, query, key]: H * N * N * 4 bytes, which is 805 MB for B/16 at 1,024 px; ask
    for rows there. Raises as `attention_rows`."""
    check_one_picture(trace)
    return trace.attention(check_layer(trace, layer))[0]


def attention_blocks(trace: Trace, layer: int) -> Iterator[tuple[slice, Tensor]]:
    """One layer as blocks (tokens, their rows [H, n, N]); see `token_blocks`."""
    rows = rows_of_layer(trace, layer)
    for queries in token_blocks(trace):
        yield queries, rows(queries)


def rows_of_layer(trace: Trace, layer: int) -> Callable[..., Tensor]:
    """(n tokens, heads) -> their attention in one layer: [h, n, N], by default of all heads, or [n, N] of a single one.
    For callers that ask for block after block.

    In a trace a head's keys lie 3 * D numbers apart, being parts of one product. Put side by side once, they are read
    faster by every block.
    """
    queries, keys = trace.queries[layer][0], trace.keys[layer][0].contiguous()
    scale = queries.shape[-1] ** -0.5

    def rows(tokens: slice, heads: slice | int = slice(None)) -> Tensor:
        return softmax_products(queries[heads, tokens] * scale, keys[heads])

    return rows


def token_blocks(trace: Trace, fused: bool = False) -> Iterator[slice]:
    """All tokens in runs of n whose attention [H, n, N] has at most BLOCK_VALUES weights, or of BLOCK_ROWS; or, for
    `fused_heads`, runs whose fused attention [n, N] has at most FUSED_VALUES."""
    if fused:
        length = max(FUSED_VALUES // trace.tokens, 1)
    else:
        length = max(BLOCK_VALUES // (trace.heads * trace.tokens), BLOCK_ROWS)
    for start in range(0, trace.tokens, length):
        yield slice(start, min(start + length, trace.tokens))


def fused_heads(rows: Callable[[slice | int], Tensor], heads: int, weights: int, fusion: str = "mean") -> Tensor:
    """The mean, max or min over heads, [n, N]. `rows`: a run of heads -> their rows [h, n, N], [n, N] of a single one,
    in fresh memory. `weights`: n * N; of heads as many are made at a time as a CPU's caches hold, at least one."""
    over_heads, both = {
        "mean": (lambda part: part.sum(0), torch.add),
        "max": (lambda part: part.amax(0), torch.maximum),
        "min": (lambda part: part.amin(0), torch.minimum),
    }[fusion]
    length = HEAD_VALUES // max(weights, 1)
    whole: Tensor | None = None
    length -= length % 2  # of a product for three heads, one of two threads makes one and waits
    runs = range(heads) if length < 2 else (slice(start, start + length) for start in range(0, heads, length))
    for run in runs:
        part = rows(run)
        part = over_heads(part) if part.dim() == 3 else part
        whole = part if whole is None else both(whole, part, out=whole)
    assert whole is not None  # a model has heads
    return whole.div_(heads) if fusion == "mean" else whole


def check_one_picture(trace: Trace) -> None:
    if len(trace.logits) != 1:
        raise ValueError(
            f"expected the trace of one picture, got a batch of {len(trace.logits)}; trace them one by one"
        )


def check_layer(trace: Trace, layer: int, name: str = "layer") -> int:
    """The layer counted from 0; a negative one counts from the last. `name`: what an error calls it."""
    if not isinstance(layer, Integral) or not -trace.layers <= layer < trace.layers:
        raise ValueError(
            f"{name} must be from 0 to {trace.layers - 1}, or negative to count from the last; got {quoted(layer)}"
        )
    return layer % trace.layers


def check_token(trace: Trace, token: int) -> int:
    check_one_picture(trace)
    if not isinstance(token, Integral) or not 0 <= token < trace.tokens:
        raise ValueError(
            f"token must be from 0 to {trace.tokens - 1} ({trace.prefix} before the patches, then "
            f"{trace.grid[0]}x{trace.grid[1]} patches row by row), got {quoted(token)}"
        )
    return token
