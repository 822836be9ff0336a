"""What the patch embedding looks for: principal components of its filters (ViT paper, Figure 7, left)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vit_model.model import VisionTransformer


class PatchFilters(NamedTuple):
    """`components` [count, ph, pw, channels], each of length 1; `explained` [count]: its share of the variance."""

    components: Tensor
    explained: Tensor


@torch.no_grad()
def patch_filters(model: VisionTransformer, count: int = 28) -> PatchFilters:
    """The leading principal components of the patch projection's D filters, each ph*pw*channels numbers.

    With the filters as rows and their mean taken off, W = U S V^T: the components are the first rows of V^T, and the
    variance that each explains is S^2 / sum S^2. A component's sign means nothing; its largest entry is made positive.
    There are min(D, ph*pw*channels) at most; fewer than `count` where there are fewer.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    weight = model.patch_embed.projection.weight.float().cpu()  # [D, channels, ph, pw]
    filters = weight.flatten(1)
    _, singular, components = torch.linalg.svd(filters - filters.mean(0), full_matrices=False)
    components = components[:count]
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    pictures = (components * largest.sign()).reshape(-1, *weight.shape[1:]).permute(0, 2, 3, 1)
    return PatchFilters(pictures, (singular.square() / singular.square().sum())[:count])
