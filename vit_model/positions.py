"""resample_positions: learned position embeddings of one patch grid, put on another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

METHODS: tuple[str, ...] = ("bilinear", "jax", "hf", "timm", "dino", "dinov2")


def resample_positions(
    embeddings: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int], prefix: int = 1, method: str = "bilinear"
) -> Tensor:
    """[1, prefix + gh*gw, D] -> [1, prefix + gh'*gw', D]."""
    if tuple(old_grid) == tuple(new_grid):
        return embeddings
    head, body = embeddings[:, :prefix], embeddings[:, prefix:]
    body = body.reshape(1, *old_grid, -1).permute(0, 3, 1, 2)
    body = F.interpolate(body, size=tuple(new_grid), mode="bilinear", align_corners=False)
    return torch.cat([head, body.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
