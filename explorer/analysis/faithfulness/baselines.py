"""Maps that know nothing of the model: what any explanation has to beat."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601's weights of red, green and blue."""


def random_maps(grid: tuple[int, int], draws: int, seed: int = 0) -> Tensor:
    """`draws` maps [draws, gh, gw] of uniform random numbers: patches in random order."""
    return torch.rand(draws, *grid, generator=torch.Generator().manual_seed(seed))


def sobel_map(picture: Tensor, patch_size: tuple[int, int]) -> Tensor:
    """How many edges each patch holds: the mean over its pixels of sqrt(gx^2 + gy^2), [gh, gw].

    gx is the correlation of the picture's brightness with Sobel's kernel [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], gy with
    its transpose (not divided by 8), the picture being continued by its outermost pixels. Brightness is `LUMA` of three
    channels, the mean of any other number of them. `picture`: [1, C, h, w] or [C, h, w], as a person sees it: not
    normalised for a model (a constant factor or offset of all channels changes no order).

    Raises ValueError where the patch does not divide the picture.
    """
    picture = picture[0] if picture.dim() == 4 and len(picture) == 1 else picture
    (ph, pw), size = patch_size, list(picture.shape)
    if picture.dim() != 3 or size[1] % ph or size[2] % pw:
        raise ValueError(f"expected one picture [C, h, w] that patches of {ph}x{pw} divide, got {size}")
    picture = picture.detach().to("cpu", torch.float32)
    weights = torch.tensor(LUMA) if size[0] == 3 else torch.full((size[0],), 1 / size[0])
    brightness = (weights[:, None, None] * picture).sum(0)[None, None]
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([across, across.T])[:, None]  # [2, 1, 3, 3]
    gradients = F.conv2d(F.pad(brightness, (1, 1, 1, 1), mode="replicate"), kernels)
    return F.avg_pool2d(gradients.square().sum(1).sqrt(), (ph, pw))[0]
