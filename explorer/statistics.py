"""How far and how widely each head looks: mean attention distance and attention entropy."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.attention import attention_chunks
from vit_model import Trace


def attention_distance(trace: Trace, patch_size: tuple[int, int], renormalise: bool = True) -> Tensor:
    """Mean attention distance of every head in pixels of the model's input, [layers, heads] (ViT paper, Figure 7).

    d[h] = mean over query patches i of sum over key patches j of A[h, i, j] * |centre_i - centre_j|; a patch's distance
    to itself, 0, counts. Prefix tokens take no part; `renormalise` makes the remaining rows sum to 1 again
    (probing-vits does not). Uniform attention on a 14x14 grid of 16 px gives 116.49 px.
    """
    (gh, gw), (ph, pw) = trace.grid, patch_size
    rows, columns = torch.meshgrid(torch.arange(gh) * float(ph), torch.arange(gw) * float(pw), indexing="ij")
    centres = torch.stack([rows.flatten(), columns.flatten()], dim=-1).to(trace.logits.device)
    result = []
    for layer in range(trace.layers):
        total = torch.zeros(trace.heads, device=centres.device)
        for queries, attention in attention_chunks(trace, layer):
            first = max(queries.start, trace.prefix)
            if first >= queries.stop:
                continue
            patches = slice(first - trace.prefix, queries.stop - trace.prefix)
            among = attention[:, first - queries.start :, trace.prefix :].float()
            distances = (among * torch.cdist(centres[patches], centres)).sum(-1)  # [heads, n]
            total += (distances / among.sum(-1) if renormalise else distances).sum(-1)
        result.append(total / (gh * gw))
    return torch.stack(result)


def attention_entropy(trace: Trace) -> Tensor:
    """Mean entropy of every head's attention rows in nats, [layers, heads]: -sum_j A_ij ln A_ij, mean over tokens i.
    The ceiling, reached by uniform attention, is ln(tokens)."""
    result = []
    for layer in range(trace.layers):
        total = torch.zeros(trace.heads, device=trace.logits.device)
        for _, attention in attention_chunks(trace, layer):
            total += torch.special.entr(attention.float()).sum((-2, -1))
        result.append(total / trace.tokens)
    return torch.stack(result)
