"""resample_positions: learned position embeddings of one patch grid, put on another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_model.errors import quoted


class Scheme(NamedTuple):
    """How one library interpolates: the arguments that it gives to `torch.nn.functional.interpolate`."""

    mode: str
    align_corners: bool = False
    antialias: bool = False
    offset: float = 0.0  # added to the new grid, which is then given as a scale factor instead of as a size


SCHEMES: dict[str, Scheme] = {
    "bilinear": Scheme("bilinear"),  # the paper, and models of our own
    "jax": Scheme("bilinear", align_corners=True),  # google-research/vision_transformer: scipy.ndimage.zoom(order=1)
    "hf": Scheme("bicubic"),  # transformers' ViT, DeiT and ViT-MAE
    "timm": Scheme("bicubic", antialias=True),  # timm.layers.resample_abs_pos_embed
    "torchvision": Scheme("bicubic", align_corners=True),  # torchvision's interpolate_embeddings
    "dino": Scheme("bicubic", offset=0.1),  # facebookresearch/dino, and facebookresearch/dinov2 without registers
    "dinov2": Scheme("bicubic"),  # transformers' DINOv2 (it left the offset out)
    "dinov2-registers": Scheme("bicubic", antialias=True),  # DINOv2 with registers, both in transformers and by Meta
}
METHODS: tuple[str, ...] = tuple(SCHEMES)


def resample_positions(
    embeddings: Tensor, old_grid: Sequence[int], new_grid: Sequence[int], prefix: int = 1, method: str = "bilinear"
) -> Tensor:
    """Position embeddings for another grid: [1, prefix + gh*gw, D] -> [1, prefix + gh'*gw', D] (paper, section 3.2).

    The first `prefix` rows (class token, distillation token) have no place on the grid and keep their bits. Grids are
    (down, across); they are compared, not their counts: 14x14 and 7x28 hold as many patches and yet differ. The same
    grid returns `embeddings` itself. Computed in at least float32, returned in the dtype that came.

    `method` names the library whose numbers are wanted, one of METHODS; SCHEMES says what each does.

    Raises ValueError for an unknown method and for embeddings that are not on `old_grid`.
    """
    if method not in SCHEMES:
        raise ValueError(f"unknown interpolation {quoted(method)}; choose one of {', '.join(METHODS)}")
    (gh, gw), (new_gh, new_gw) = old_grid, new_grid
    if min(gh, gw, new_gh, new_gw) < 1:
        raise ValueError(f"grids need at least 1x1 patches, got {gh}x{gw} and {new_gh}x{new_gw}")
    if embeddings.dim() != 3 or len(embeddings) != 1:
        raise ValueError(f"expected position embeddings [1, N, D], got {list(embeddings.shape)}")
    if embeddings.shape[1] != prefix + gh * gw:
        raise ValueError(
            f"a {gh}x{gw} grid has {gh * gw} positions{f' and {prefix} before them' if prefix else ''}, "
            f"the checkpoint holds {embeddings.shape[1]}; pass image_size"
        )
    if (gh, gw) == (new_gh, new_gw):
        return embeddings

    scheme = SCHEMES[method]
    scale = ((new_gh + scheme.offset) / gh, (new_gw + scheme.offset) / gw) if scheme.offset else None
    patches = embeddings[:, prefix:].to(torch.promote_types(embeddings.dtype, torch.float32))
    patches = F.interpolate(
        patches.reshape(1, gh, gw, -1).permute(0, 3, 1, 2),  # [1, D, gh, gw]
        mode=scheme.mode,
        align_corners=scheme.align_corners,
        antialias=scheme.antialias,
        size=None if scale else (new_gh, new_gw),
        scale_factor=scale,  # pyright: ignore[reportArgumentType] # torch takes a tuple of floats too
    )
    patches = patches.permute(0, 2, 3, 1).flatten(1, 2).to(embeddings.dtype)  # [1, gh'*gw', D]
    return torch.cat([embeddings[:, :prefix], patches], dim=1)
