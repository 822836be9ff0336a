"""Gradient rollout (jacobgil/vit-explain): rollout over relu(mean over heads of A * dA), for one class.

dA = d logit[target] / d A, taken as (d logit / d O) V^T from the head outputs O = A V, so that fused attention stays.
The tool's own version paired gradients with layers in reverse order (its issue 6) and divided columns by row sums (16);
here each layer meets its own gradient, and rows are normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.attention import attention_chunks, check_token
from explorer.rollout import check_choices, times_fused
from vit_model import VisionTransformer


def gradient_rollout(
    model: VisionTransformer,
    pixels: Tensor,
    target: int,
    query: int = 0,
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
) -> Tensor:
    """The row of `query` after the last layer, [tokens], summing to 1, for the raw logit of class `target`."""
    if not model.config.classes:
        raise ValueError("this model has no classifier, so there is no class to explain; use attention or rollout")
    trace = model.trace(pixels, differentiable=True)
    check_choices(trace, "mean", discard_ratio, discard, start_layer)
    query = check_token(trace, query)
    gradients = trace.output_gradients(trace.logits[0, target])
    with torch.no_grad():
        row = trace.logits.new_zeros(trace.tokens, dtype=torch.float32)
        row[query] = 1.0
        for layer in range(trace.layers - 1, start_layer - 1, -1):
            values = trace.values[layer][0].transpose(-2, -1)  # [H, d, N]
            fused = [
                (attention * (gradients[layer][0, :, queries] @ values)).mean(0).relu()
                for queries, attention in attention_chunks(trace, layer)
            ]
            row = times_fused(row, torch.cat(fused).float(), discard_ratio, discard)
    return row
