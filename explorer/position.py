"""How alike the learned position embeddings are (ViT paper, Figure 7, middle)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from vit_model import VisionTransformer


def position_similarity(
    model: VisionTransformer, size: int | Sequence[int] | None = None, method: str = "bilinear", kind: str = "cosine"
) -> Tensor:
    """Similarity of every patch position with every other, [gh, gw, gh, gw].

    `kind="cosine"`: p_i p_j / (|p_i| |p_j|), in [-1, 1]; `"dot"`: p_i p_j (what probing-vits plots). `size`: an image
    size in pixels, int or (height, width), to which the embeddings are resampled by `method` first; None for the
    model's own grid. Prefix tokens take no part. ValueError where the patch does not divide the size.
    """
    if kind not in ("cosine", "dot"):
        raise ValueError(f"kind must be 'cosine' or 'dot', got {kind!r}")
    resized = model if size is None else model.at_size(size, method)
    positions = resized.positions[0, resized.config.positioned_prefix :].detach().float()
    if kind == "cosine":
        positions = F.normalize(positions, dim=-1)
    return (positions @ positions.T).reshape(*resized.config.grid, *resized.config.grid)


def patch_positions(model: VisionTransformer) -> Tensor:
    """[gh*gw, D]: the position embeddings of the patches, on the CPU."""
    return model.positions[0, model.config.positioned_prefix :].detach().float().cpu()
