"""Preprocessing: a picture -> the pixels a model sees, and the box that maps a patch back to the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class CropBox:
    """What part of the picture the pixels show, in the picture's own pixels after its EXIF turn. Edges may lie outside
    of the picture where a crop is larger than what was resized (those pixels are black)."""

    left: float
    top: float
    right: float
    bottom: float

    def patch(self, index: int, grid: tuple[int, int]) -> CropBox:
        """The part of the picture that patch `index` (row by row, from 0) of a (gh, gw) grid shows."""
        row, column = divmod(index, grid[1])
        height, width = (self.bottom - self.top) / grid[0], (self.right - self.left) / grid[1]
        left, top = self.left + column * width, self.top + row * height
        return CropBox(left, top, left + width, top + height)


@dataclass(frozen=True)
class Preprocessing:
    size: tuple[int, int] = (224, 224)
    resize: tuple[int, int] | int | None = None
    resample: str = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __call__(self, picture: Image.Image) -> tuple[Tensor, CropBox]:
        array = np.asarray(picture.convert("RGB").resize(self.size[::-1], Image.Resampling.BILINEAR), np.float32) / 255
        pixels = (torch.from_numpy(array) - torch.tensor(self.mean)) / torch.tensor(self.std)
        return pixels.permute(2, 0, 1)[None].contiguous(), CropBox(0, 0, picture.width, picture.height)

    def at_size(self, size: tuple[int, int]) -> Preprocessing:
        return replace(self, size=tuple(size))
