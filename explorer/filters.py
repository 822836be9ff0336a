"""What the patch embedding looks for: principal components of its filters (ViT paper, Figure 7, left)."""

from __future__ import annotations

import torch
from torch import Tensor

from vit_model import VisionTransformer


def patch_filters(model: VisionTransformer, count: int = 28) -> tuple[Tensor, Tensor]:
    """(filters [count, ph, pw, channels], explained variance ratio [count]).

    The D filters of the patch projection, each ph*pw*channels numbers, are centred and decomposed by a singular value
    decomposition W = U S V^T; the rows of V^T, of length 1 and in the order of S, are the components, S^2 / sum S^2 the
    variance that each explains. A component's sign is arbitrary; here its largest entry is positive. Fewer than `count`
    where there are fewer.
    """
    weight = model.patch_embed.projection.weight.detach().float().cpu()  # [D, channels, ph, pw]
    flat = weight.flatten(1)
    _, singular, components = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    count = min(count, len(singular))
    components = components[:count]
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    filters = (components * largest.sign()).reshape(count, *weight.shape[1:]).permute(0, 2, 3, 1)
    return filters, (singular**2 / (singular**2).sum())[:count]
