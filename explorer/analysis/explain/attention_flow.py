"""Attention and rollout as methods of explanation: where information flows, whatever the class."""

from __future__ import annotations

from torch import Tensor

from explorer.analysis.attention import attention_columns, attention_rows
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.method import Index, Layer, Method, OneOf, Token
from explorer.analysis.rollout import HEAD_FUSION, MIXING, rollout
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

DIRECTIONS = {"to": attention_rows, "by": attention_columns}


def attention(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    *,
    layer: int = -1,
    head: int | None = None,
    query: int = 0,
    direction: str = "to",
) -> Explanation:
    """What `query` attends "to", or is attended "by", in one layer and head (None: the mean of all heads)."""
    heads = DIRECTIONS[direction](trace, layer, query)
    return ATTENTION.explanation(on_grid(heads.mean(0) if head is None else heads[head], trace))


def rollout_map(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    *,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    query: int = 0,
    compat: str | None = None,
) -> Explanation:
    """`rollout`'s row on the grid; with `compat="vit-explain"` divided by its maximum, as that tool returns it."""
    row = rollout(
        trace,
        query,
        head_fusion,
        discard_ratio=discard_ratio,
        discard=discard,
        start_layer=start_layer,
        compat=compat,
    )
    values = on_grid(row, trace)
    return ROLLOUT.explanation(values if compat is None else values / values.max())


ATTENTION = Method(
    "attention",
    attention,
    (
        Layer("layer", offered=True),
        Index("head", size=lambda trace: trace.heads, left_out="the mean of all"),
        Token("query"),
        OneOf("direction", options=tuple(DIRECTIONS), expected="'to' or 'by'"),
    ),
    needs_head=False,
)

ROLLOUT = Method("rollout", rollout_map, (HEAD_FUSION, *MIXING, Token("query")), needs_head=False)
