"""How far and how widely each head looks: mean attention distance and attention entropy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from explorer.analysis.attention import attention_blocks, check_one_picture
from vit_model.trace import Trace


@torch.no_grad()
def attention_distance(trace: Trace, patch_size: int | Sequence[int], renormalise: bool = True) -> Tensor:
    """Mean attention distance of every head, [L, H], in pixels of the model's input (ViT paper, Figures 7 and 11).

    Mean over the query patches i of sum_j A[i, j] |centre_i - centre_j| over the key patches j; a patch's zero distance
    to itself counts. Tokens before the patches take no part, and what remains of each row is made to sum to 1 again;
    `renormalise=False` leaves it as it is, as probing-vits does. `patch_size`: pixels, int or (height, width).

    Uniform attention on a 14x14 grid of 16 px gives 116.49 px, without renormalising 115.90.
    """
    check_one_picture(trace)
    ph, pw = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    (gh, gw), prefix = trace.grid, trace.prefix
    place = torch.arange(gh * gw, device=trace.logits.device)
    centres = torch.stack([place // gw * float(ph), place % gw * float(pw)], dim=-1)  # [gh*gw, 2]
    result = torch.zeros(trace.layers, trace.heads, device=place.device)
    for layer, sums in enumerate(result):
        for tokens, rows in attention_blocks(trace, layer):
            first = max(tokens.start, prefix)  # a block may hold some or only tokens before the patches
            among = rows[:, first - tokens.start :, prefix:].float()  # [H, n, gh*gw]
            mass = among.sum(-1) if renormalise else 1.0
            places = centres[first - prefix : max(tokens.stop, prefix) - prefix]
            away = torch.cdist(places, centres, compute_mode="donot_use_mm_for_euclid_dist")
            sums += (among.mul_(away).sum(-1) / mass).sum(-1)
    return result / (gh * gw)


@torch.no_grad()
def attention_entropy(trace: Trace) -> Tensor:
    """Mean entropy of every head's attention, [L, H], in nats: mean over all tokens i of -sum_j A[i, j] ln A[i, j].

    0 where every token attends to one other; at most ln(N), for uniform attention (5.2832 for 197 tokens).
    """
    check_one_picture(trace)
    result = torch.zeros(trace.layers, trace.heads, device=trace.logits.device)
    for layer, sums in enumerate(result):
        for _, rows in attention_blocks(trace, layer):
            sums += torch.special.entr(rows.float()).sum((-2, -1))
    return result / trace.tokens
