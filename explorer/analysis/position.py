"""How alike the learned position embeddings are (ViT paper, Figure 7, middle)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from vit_model.config import check_size
from vit_model.errors import quoted
from vit_model.model import VisionTransformer
from vit_model.positions import resample_positions

KINDS = ("cosine", "dot")


def position_similarity(
    model: VisionTransformer, size: int | Sequence[int] | None = None, method: str = "bilinear", kind: str = "cosine"
) -> Tensor:
    """Similarity of every patch position with every other: [gh, gw, gh, gw], the last two axes one map.

    `kind`: "cosine", p_i p_j / (|p_i| |p_j|), from -1 to 1, or "dot", p_i p_j (what probing-vits draws). `size`: the
    image size in pixels, int or (height, width), for which positions are first interpolated by `method`, one of
    `vit_model.positions.METHODS`; None for the model's own. Tokens before the patches take no part.

    Raises ValueError for an unknown kind or method, and where patches do not tile the size.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {quoted(kind)}")
    config, grid = model.config, model.config.grid
    positions = model.positions.detach()
    if size is not None:
        size = (size, size) if isinstance(size, int) else tuple(size)
        check_size(size, config.patch_size)
        grid = (size[0] // config.patch_size[0], size[1] // config.patch_size[1])
        positions = resample_positions(positions, config.grid, grid, config.positioned_prefix, method)
    positions = positions[0, config.positioned_prefix :].float()  # [gh*gw, D]
    if kind == "cosine":
        positions = F.normalize(positions, dim=-1)
    return (positions @ positions.T).reshape(*grid, *grid)
