"""Preprocessing: a picture -> the pixels a model sees, and the box that maps a patch back to the picture.

resize -> centre crop (or pad) -> rescale -> normalise, as transformers' image processors, timm and torchvision do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vit_model.picture import as_rgb

RESAMPLES: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
FITS: tuple[str, ...] = ("squash", "cover", "contain")

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class CropBox:
    """What part of the picture the pixels show, in the picture's own pixels after its EXIF turn. Edges may lie outside
    of the picture where a crop is larger than what was resized; those pixels are filled with one colour."""

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
    """How a picture becomes pixels: resized, cropped at its centre to `size`, then (value * rescale - mean) / std.

    - `size` (height, width) of the pixels.
    - `resize`: an int for the length of the shorter edge, (height, width) for a box, None for no resizing.
    - `fit`, for a box: `squash` to exactly that box, `cover` it (timm's "center"; aspect kept, the rest is cropped) or
      stay inside (`contain`: timm's "border"; the rest is filled with the mean colour).
    - `resample`: one of RESAMPLES. `rescale`: factor on values from 0 to 255.
    - `mean`, `std`: one value for each channel; one channel makes the picture grey.
    - `crop_offset`: where an odd margin is halved: `floor` (transformers), or `round` to even (torchvision and timm).

    Raises ValueError for what cannot be meant.
    """

    size: tuple[int, int] = (224, 224)
    resize: tuple[int, int] | int | None = None
    resample: str = "bilinear"
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    rescale: float = 1 / 255
    fit: Literal["squash", "cover", "contain"] = "squash"
    crop_offset: Literal["floor", "round"] = "floor"

    @classmethod
    def from_hugging_face(cls, config: dict, image_size: int | Sequence[int] | None = None) -> Preprocessing:
        """What a `preprocessor_config.json` describes, at another size where `image_size` is given."""
        raise NotImplementedError

    @classmethod
    def from_timm(cls, pretrained_cfg: dict, image_size: int | Sequence[int] | None = None) -> Preprocessing:
        """What timm's `pretrained_cfg` describes, at another size where `image_size` is given."""
        raise NotImplementedError

    @classmethod
    def for_torchvision(cls, image_size: int | Sequence[int] = 224) -> Preprocessing:
        """torchvision's `ImageClassification` preset for its ViTs: shorter edge 256, crop 224, ImageNet's statistics."""
        return cls(resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_offset="round").at_size(image_size)

    @classmethod
    def for_google(cls, image_size: int | Sequence[int] = 224) -> Preprocessing:
        """Google's JAX checkpoints: squashed to the size, values from -1 to 1."""
        return cls(resize=(224, 224)).at_size(image_size)

    def to_hugging_face(self) -> dict:
        """The `preprocessor_config.json` of this preprocessing."""
        raise NotImplementedError

    def __call__(self, picture: Image.Image) -> tuple[Tensor, CropBox]:
        array = np.asarray(as_rgb(picture).resize(self.size[::-1], Image.Resampling.BILINEAR), np.float32) / 255
        pixels = (torch.from_numpy(array) - torch.tensor(self.mean)) / torch.tensor(self.std)
        return pixels.permute(2, 0, 1)[None].contiguous(), CropBox(0, 0, picture.width, picture.height)

    def pixels_to_picture(self, pixels: Tensor) -> Image.Image:
        """[1, C, h, w] or [C, h, w] -> RGB picture: the normalisation undone."""
        raise NotImplementedError

    def at_size(self, size: int | Sequence[int]) -> Preprocessing:
        """The same at another size."""
        return replace(self, size=(size, size) if isinstance(size, int) else tuple(size))
