"""Preprocessing: a picture -> the pixels a model sees, and the box that maps a patch back to the picture.

resize -> centre crop (or pad) -> rescale -> normalise, as transformers' image processors, timm and torchvision do it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vit_model.errors import quoted
from vit_model.picture import as_rgb

RESAMPLES: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
Fit = Literal["squash", "cover", "contain", "crop"]
FITS: tuple[str, ...] = get_args(Fit)

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
    """How a picture becomes pixels: resized, cropped or padded to `size` around its centre, (x * rescale - mean) / std.

    - `size` (height, width) of the pixels.
    - `resize`: (height, width) of a box, None for the box `size`, or an int for the length of the shorter edge.
    - `fit`, for a box: `squash` to exactly that box; `cover` it, aspect kept (timm's "center"); `contain`: stay inside
      of it, aspect kept, the rest filled with the mean colour (timm's "border"); `crop`: resize nothing.
    - `resample`: one of RESAMPLES. `rescale`: factor on values from 0 to 255.
    - `mean`, `std`: one value for each channel, 3 or 1; one channel makes the picture grey.
    - `crop_offset`: how half an odd margin is rounded: `floor` (transformers), or `round` to even (torchvision, timm).

    Raises ValueError for values that cannot be meant.
    """

    size: tuple[int, int] = (224, 224)
    resize: tuple[int, int] | int | None = None
    resample: str = "bilinear"
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    rescale: float = 1 / 255
    fit: Fit = "squash"
    crop_offset: Literal["floor", "round"] = "floor"

    def __post_init__(self) -> None:
        for name in ("size", "resize", "mean", "std"):
            value = getattr(self, name)
            if isinstance(value, Sequence):
                object.__setattr__(self, name, tuple(value))
        _choice("resample", self.resample, RESAMPLES)
        _choice("fit", self.fit, FITS)
        _choice("crop_offset", self.crop_offset, ("floor", "round"))
        box = self.resize if isinstance(self.resize, tuple) else (1 if self.resize is None else self.resize, 1)
        sized = len(self.size) == len(box) == 2 and all(map(_is_edge, (*self.size, *box))) and max(box) <= MOST_RESIZED
        if not sized:
            got = f"size {quoted(self.size)}, resize {quoted(self.resize)}"
            raise ValueError(f"sizes are (height, width), whole numbers, at least 1 pixel; got {got}")
        meant = _fits(self.mean, -MOST) and _fits(self.std, LEAST) and _fits((self.rescale,), LEAST)
        if not meant or len(self.mean) != len(self.std):
            raise ValueError(
                "expected 1 or 3 channels of mean and of std, finite, none negative in std, and neither std nor "
                f"rescale 0; got mean {quoted(self.mean)}, std {quoted(self.std)}, rescale {quoted(self.rescale)}"
            )

    @classmethod
    def from_hugging_face(
        cls, config: Mapping[str, Any], image_size: int | Sequence[int] | None = None
    ) -> Preprocessing:
        """What a `preprocessor_config.json` describes, old spellings included; scaled where `image_size` is given.

        What is left out has its processor's default. Where neither a size nor a crop fixes both edges, the crop is a
        square of the shorter edge; `do_resize: false` without a crop expects pictures of the right size, so others are
        squashed to it. Raises ValueError for processors that are none of PROCESSORS.
        """
        name = config.get("image_processor_type") or config.get("feature_extractor_type") or "ViTImageProcessor"
        if not isinstance(name, str):
            raise ValueError(f"image_processor_type must be a name, got {quoted(name)}")
        if name == "TimmWrapperImageProcessor":
            return cls.from_timm(config["pretrained_cfg"], image_size)
        family = re.sub("(ImageProcessor|FeatureExtractor)(Fast|Pil)?$", "", name)
        if family not in PROCESSORS:
            supported = ", ".join(f"{known}ImageProcessor" for known in PROCESSORS)
            raise ValueError(f"expected one of {supported} or TimmWrapperImageProcessor, got {name[:80]}")
        values = PROCESSORS[family] | {key: value for key, value in config.items() if value is not None}

        resize: Any = values["size"]
        if isinstance(resize, dict):
            resize = resize.get("shortest_edge") if set(resize) == {"shortest_edge"} else _height_width("size", resize)
        elif family in ("ViT", "DeiT"):  # their plain int is a square, the others' is the shorter edge
            resize = _height_width("size", resize)
        resizes, crops = _switch(values, "do_resize"), _switch(values, "do_center_crop")
        square = (resize, resize) if isinstance(resize, int) else resize
        size = _height_width("crop_size", values["crop_size"]) if crops else square
        mean = _statistics("image_mean", values["image_mean"])
        std = _statistics("image_std", values["image_std"], LEAST)
        if not _switch(values, "do_normalize"):
            mean, std = (0.0,) * len(mean), (1.0,) * len(std)
        rescale = _factor("rescale_factor", values.get("rescale_factor", 1 / 255))
        found = cls(
            size=size,
            resize=resize if resizes and resize != size else None,
            resample=_resampling(values["resample"]),
            mean=mean,
            std=std,
            rescale=rescale if _switch(values, "do_rescale") else 1.0,
            fit="crop" if crops and not resizes else "squash",
        )
        found = replace(found, **_own(values.get(OWN_KEY, {})))
        return found if image_size is None else found.at_size(image_size)

    @classmethod
    def from_timm(cls, pretrained_cfg: dict, image_size: int | Sequence[int] | None = None) -> Preprocessing:
        """What timm's `pretrained_cfg` describes, as its evaluation transform does it, at `input_size` or `image_size`.

        `crop_pct` becomes `resize`, an edge of floor(size / crop_pct). What is left out has timm's default.
        """
        values = {key: value for key, value in pretrained_cfg.items() if value}
        shape = values.get("input_size", (3, 224, 224))
        if (
            not isinstance(shape, Sequence)
            or len(shape) != 3
            or not all(map(_is_edge, shape))
            or max(shape) > MOST_RESIZED
        ):
            raise ValueError(f"input_size must be (channels, height, width), got {quoted(shape)}")
        channels, *input_size = shape
        size = tuple(input_size) if image_size is None else _pair(image_size)
        share = values.get("crop_pct", 0.875)
        if not _is_number(share) or not LEAST_CROP <= share <= 1 / LEAST_CROP:
            raise ValueError(f"crop_pct must be a number from {LEAST_CROP} to {1 / LEAST_CROP:g}, got {quoted(share)}")
        resize = tuple(math.floor(edge / share) for edge in size)
        crop_mode, resample = values.get("crop_mode", "center"), values.get("interpolation", "bicubic")
        _choice("timm's crop_mode", crop_mode, TIMM_FITS)
        fit = TIMM_FITS[crop_mode]
        by_edge = fit == "cover" and resize[0] == resize[1]
        return cls(
            size=size,
            resize=resize[0] if by_edge else resize,
            resample="bicubic" if resample == "random" else resample,  # random is for training
            mean=_per_channel(_statistics("mean", values.get("mean", IMAGENET_MEAN)), channels),
            std=_per_channel(_statistics("std", values.get("std", IMAGENET_STD), LEAST), channels),
            fit="squash" if by_edge else fit,
            crop_offset="round",
        )

    @classmethod
    def for_imagenet(cls) -> Preprocessing:
        """The most usual one of models trained on ImageNet: shorter edge 256, bicubic, crop 224, its statistics."""
        return cls(size=(224, 224), resize=256, resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD)

    @classmethod
    def for_torchvision(cls, image_size: int | Sequence[int] = 224) -> Preprocessing:
        """torchvision's preset for its ViTs: shorter edge 256, crop 224, ImageNet's statistics; scaled to the size."""
        return cls(resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_offset="round").at_size(image_size)

    @classmethod
    def for_google(cls, image_size: int | Sequence[int] = 224) -> Preprocessing:
        """Google's JAX checkpoints: squashed to the size, values from -1 to 1."""
        return cls(size=_pair(image_size))

    def to_hugging_face(self) -> dict:
        """A `preprocessor_config.json` that transformers reads, and from which `from_hugging_face` makes this again.

        transformers has no `cover` and no `contain`: it squashes instead, and what is meant is kept under OWN_KEY.
        """
        by_edge = isinstance(self.resize, int)
        box = self.size if isinstance(self.resize, int) else self.resize or self.size
        crops = by_edge or box != self.size or self.fit == "crop"
        config = {
            "image_processor_type": f"{'Bit' if by_edge else 'DeiT' if crops else 'ViT'}ImageProcessor",
            "do_resize": self.fit != "crop",
            "size": {"shortest_edge": self.resize} if by_edge else {"height": box[0], "width": box[1]},
            "resample": int(RESAMPLES[self.resample]),
            "do_center_crop": crops,
            "crop_size": {"height": self.size[0], "width": self.size[1]},
            "do_rescale": self.rescale != 1,
            "rescale_factor": self.rescale,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": len(self.mean) == 3,
        }
        understood = self.from_hugging_face(config)
        ours = {field.name: getattr(self, field.name) for field in fields(self)}
        lost = {name: value for name, value in ours.items() if value != getattr(understood, name)}
        return config | ({OWN_KEY: lost} if lost else {})

    def __call__(self, picture: Image.Image) -> tuple[Tensor, CropBox]:
        """Any PIL picture (see `as_rgb`) -> (pixels [1, C, h, w] float32, the box of the picture that they show).

        Memory stays small whatever the aspect: a 1x20000 picture whose shorter edge becomes 256 is cropped first.
        """
        values, box = self.values(picture)
        pixels = torch.from_numpy(values).float().mul_(self.rescale)
        pixels = pixels.sub_(torch.tensor(self.mean)).div_(torch.tensor(self.std))
        return pixels.permute(2, 0, 1)[None].contiguous(), box

    def values(self, picture: Image.Image) -> tuple[np.ndarray, CropBox]:
        """As calling it, before rescaling and normalisation: values 0 to 255, uint8 [h, w, C], and the box."""
        picture = as_rgb(picture) if len(self.mean) == 3 else as_rgb(picture).convert("L")
        (h, w), (rh, rw) = self.size, self._resized(picture.height, picture.width)
        down, across = picture.height / rh, picture.width / rw  # picture pixels in one resized pixel
        top, left = self._offset(rh - h), self._offset(rw - w)
        first_row, last_row = max(top, 0), min(top + h, rh)
        first_column, last_column = max(left, 0), min(left + w, rw)
        if rh * rw <= 16 * h * w:  # the libraries' own order, and so their very bits
            shown = picture.resize((rw, rh), RESAMPLES[self.resample])
            shown = shown.crop((first_column, first_row, last_column, last_row))
        else:  # long and thin: only what will be seen
            right, bottom = min(last_column * across, picture.width), min(last_row * down, picture.height)
            shown = picture.resize(
                (last_column - first_column, last_row - first_row),
                RESAMPLES[self.resample],
                box=(first_column * across, first_row * down, right, bottom),
            )
        values = np.zeros((h, w, len(self.mean)), np.uint8)
        if self.fit == "contain":
            values[:] = [min(max(round(mean / self.rescale), 0), 255) for mean in self.mean]
        inside = values[first_row - top : last_row - top, first_column - left : last_column - left]
        inside[:] = np.asarray(shown).reshape(inside.shape)
        return values, CropBox(left * across, top * down, (left + w) * across, (top + h) * down)

    def pixels_to_picture(self, pixels: Tensor) -> Image.Image:
        """What the model sees: pixels [1, C, h, w] or [C, h, w] -> RGB picture, the normalisation undone."""
        if pixels.dim() == 4 and len(pixels) == 1:
            pixels = pixels[0]
        if pixels.dim() != 3 or len(pixels) != len(self.mean):
            raise ValueError(f"expected pixels [1, {len(self.mean)}, h, w], got {list(pixels.shape)}")
        values = pixels.detach().cpu().float().permute(1, 2, 0) * torch.tensor(self.std) + torch.tensor(self.mean)
        values = (values / self.rescale).round().clamp(0, 255).byte().expand(-1, -1, 3)
        return Image.fromarray(values.contiguous().numpy())

    def at_size(self, size: int | Sequence[int]) -> Preprocessing:
        """The same at another size, `resize` scaled along: the same share of the picture is cropped. A shorter edge
        becomes a box to cover where `size` is no square."""
        (h, w), (new_h, new_w) = self.size, _pair(size)
        if (h, w) == (new_h, new_w) or self.resize is None:
            return replace(self, size=(new_h, new_w))
        if not isinstance(self.resize, int):
            box = round(self.resize[0] * new_h / h), round(self.resize[1] * new_w / w)
            return replace(self, size=(new_h, new_w), resize=box)
        zoom = self.resize / min(h, w)
        if new_h == new_w:
            return replace(self, size=(new_h, new_w), resize=round(zoom * new_h))
        return replace(self, size=(new_h, new_w), resize=(round(zoom * new_h), round(zoom * new_w)), fit="cover")

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of the whole picture after resizing; see `fit`."""
        if self.fit == "crop":
            return height, width
        if isinstance(self.resize, int):
            short = min(height, width)
            return int(self.resize * height / short), int(self.resize * width / short)
        box = self.resize or self.size
        if self.fit == "squash":
            return box
        ratios = height / box[0], width / box[1]
        ratio = min(ratios) if self.fit == "cover" else max(ratios)
        return max(round(height / ratio), 1), max(round(width / ratio), 1)

    def _offset(self, margin: int) -> int:
        """Where the crop begins for so many pixels more than wanted; negative where pixels are wanting."""
        if margin < 0:
            return -(-margin // 2)
        return margin // 2 if self.crop_offset == "floor" else round(margin / 2)


OWN_KEY = "vit_explorer"
_STANDARD = {"image_mean": HALF, "image_std": HALF}
_CROPPED = {"do_center_crop": True, "crop_size": 224}
_CLIP = _CROPPED | {"size": {"shortest_edge": 224}, "resample": 3, "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
PROCESSORS: dict[str, dict] = {
    "ViT": _STANDARD | {"size": 224, "resample": 2, "do_center_crop": False},
    "DeiT": _STANDARD | _CROPPED | {"size": 256, "resample": 3},
    "Bit": _CLIP,
    "CLIP": _CLIP,
}
"""The image processors of transformers that are understood, and their defaults."""


LEAST, MOST = 1e-6, 1e6  # of what is not zero: values may be scaled to 0 to 1, or not
MOST_RESIZED = 2**20  # pixels
LEAST_CROP = 0.05
TIMM_FITS: dict[str, Fit] = {"center": "cover", "squash": "squash", "border": "contain"}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_edge(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _fits(values: Any, least: float) -> bool:
    """Whether these are a number for each of 1 or 3 channels, from `least` to MOST, and so finite."""
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) not in (1, 3):
        return False
    return all(_is_number(value) and least <= value <= MOST for value in values)


def _statistics(name: str, values: Any, least: float = -MOST) -> tuple[float, ...]:
    """A file's mean or std."""
    if not _fits(values, least):
        raise ValueError(f"{name} must be 1 or 3 numbers from {least:g} to {MOST:g}, got {quoted(values)}")
    return tuple(values)


def _factor(name: str, value: Any) -> float:
    if not _fits((value,), LEAST):
        expected = f"a number from {LEAST:g} to {MOST:g}, such as {1 / 255:.8f}"
        raise ValueError(f"{name} must be {expected}; got {quoted(value)}")
    return value


def _switch(values: Mapping[str, object], name: str) -> bool:
    value = values.get(name, True)
    if value not in (True, False):
        raise ValueError(f"{name} must be true or false, got {quoted(value)}")
    return bool(value)


def _resampling(value: object) -> str:
    known = {int(number): name for name, number in RESAMPLES.items()}
    if not isinstance(value, int) or isinstance(value, bool) or value not in known:
        named = ", ".join(f"{number} ({name})" for number, name in sorted(known.items()))
        raise ValueError(f"resample must be one of {named}; got {quoted(value)}")
    return known[value]


def _own(values: object) -> dict:
    """What `to_hugging_face` kept under OWN_KEY."""
    known = {field.name for field in fields(Preprocessing)}
    if not isinstance(values, dict) or not values.keys() <= known:
        raise ValueError(f"{OWN_KEY} must be an object of {', '.join(sorted(known))}; got {quoted(values)}")
    return values


def _choice(name: str, value: object, choices: Collection[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {quoted(value)}")


def _pair(size: int | Sequence[int], name: str = "a size") -> tuple[int, int]:
    pair = (size, size) if isinstance(size, Integral) else size
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(_is_edge, pair)):
        raise ValueError(f"{name} must be one whole number or (height, width), from 1; got {quoted(size)}")
    return int(pair[0]), int(pair[1])


def _height_width(name: str, size: int | Sequence[int] | dict) -> tuple[int, int]:
    if isinstance(size, dict):
        if set(size) != {"height", "width"}:
            raise ValueError(f"expected {name} with height and width, or with shortest_edge alone; got {quoted(size)}")
        return _pair((size["height"], size["width"]), name)
    return _pair(size, name)


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(values) * channels if len(values) == 1 else tuple(values)
