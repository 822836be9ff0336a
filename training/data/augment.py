"""Augmentation of whole batches, on the device they are on. [B, 3, S, S] uint8 -> [B, 3, r, r] float, normalised.

Random numbers are drawn for the whole batch of a step from (seed, step), whatever part of it this process works on, so
that neither accumulation nor the number of processes changes what a picture goes through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import RunConfig
from training.randomness import generator
from vit_model import Preprocessing

COLUMNS = ("flip", "area", "aspect", "down", "across", "brightness", "contrast", "saturation")
SHRINK = (4, 5, 6, 8)  # times smaller: 224 px look like 56 to 28
ERASE = ("erase", "erase_area", "erase_aspect", "erase_down", "erase_across")


@dataclass(frozen=True)
class Mixed:
    """Targets of a batch: `share` of class `first` and the rest of class `second`, each [B]."""

    first: Tensor
    second: Tensor
    share: Tensor

    def part(self, rows: slice) -> Mixed:
        first = self.first[rows]
        return Mixed(first, first if self.second is self.first else self.second[rows], self.share[rows])

    def loss(self, logits: Tensor, smoothing: float) -> Tensor:
        """Return the cross-entropy of each picture [B], nats, against smoothed and mixed targets."""
        first = F.cross_entropy(logits, self.first, reduction="none", label_smoothing=smoothing)
        if self.second is self.first:
            return first
        second = F.cross_entropy(logits, self.second, reduction="none", label_smoothing=smoothing)
        return self.share * first + (1 - self.share) * second


def augment(
    pixels: Tensor,
    labels: Tensor,
    config: RunConfig,
    preprocessing: Preprocessing,
    step: int,
    rows: slice | None = None,
) -> tuple[Tensor, Mixed]:
    """Augment the batch of a step; return what the model sees, and the targets. `rows`: which part of the step's whole
    batch of `config.batch` pictures `pixels` and `labels` are; None for all of it. Rows come in pairs, since mixup and
    cutmix (arXiv 1710.09412, 1905.04899) mix each picture with its neighbour."""
    rows = rows or slice(0, len(pixels))
    draws = generator(config.seed, "augment", step).random((config.batch, len(COLUMNS) + len(ERASE)))[rows]
    uniform = torch.from_numpy(draws.astype(np.float32)).to(pixels.device).unbind(1)
    u: dict[str, Tensor] = dict(zip(COLUMNS + ERASE, uniform, strict=True))
    x = _place(pixels, u, config, preprocessing.size)
    if config.downscale:
        x = _downscale(x, config, step, rows)
    if config.color_jitter:
        x = _jitter(x, u, config.color_jitter)
    if config.randaugment:
        x = _randaugment(x, config, step, rows)
    mean, std = (torch.tensor(v, device=x.device).view(-1, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    x = (x - mean * (1 / preprocessing.rescale / 255)) / (std * (1 / preprocessing.rescale / 255))
    if config.erasing:
        x = _erase(x, u, config.erasing)
    return _mix(x, labels, config, step, rows)


def _place(pixels: Tensor, u: dict[str, Tensor], config: RunConfig, size: tuple[int, int]) -> Tensor:
    """Crop, flip and resize in one bilinear sampling; values 0 to 1."""
    x = pixels.float().div_(255)
    side = x.shape[-1]
    flip = u["flip"] < 0.5 if config.flip else torch.zeros_like(u["flip"], dtype=torch.bool)
    if config.crop == "none":
        if tuple(x.shape[-2:]) != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
        return torch.where(flip[:, None, None, None], x.flip(-1), x) if config.flip else x
    if config.crop == "pad":
        reach = max(side // 8, 1)  # whole pixels, as a crop of the padded picture would shift
        across = ((2 * reach + 1) * u["across"]).floor() - reach
        down = ((2 * reach + 1) * u["down"]).floor() - reach
        width = height = torch.ones_like(across)
        center_x, center_y = 2 * across / side, 2 * down / side
    else:
        area = config.crop_scale + (1 - config.crop_scale) * u["area"]
        aspect = torch.exp((2 * u["aspect"] - 1) * math.log(4 / 3))
        width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
        center_x, center_y = (1 - width) * (2 * u["across"] - 1), (1 - height) * (2 * u["down"] - 1)
    zero = torch.zeros_like(width)
    theta = torch.stack([torch.where(flip, -width, width), zero, center_x, zero, height, center_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(x), 3, *size], align_corners=False)
    return F.grid_sample(
        x, grid, mode="bilinear", padding_mode="zeros" if config.crop == "pad" else "border", align_corners=False
    )


def _downscale(x: Tensor, config: RunConfig, step: int, rows: slice) -> Tensor:
    """Shrink and enlarge a share of the pictures, to look like pictures of few pixels."""
    draw = generator(config.seed, "augment", step, part=2)
    shrunk, times = draw.random(config.batch)[rows] < config.downscale, draw.choice(SHRINK, config.batch)[rows]
    for factor in SHRINK:
        chosen = np.flatnonzero(shrunk & (times == factor))
        if len(chosen):
            index = torch.from_numpy(chosen).to(x.device)
            size = [max(side // factor, 1) for side in x.shape[-2:]]
            small = F.interpolate(x[index], size, mode="bilinear", antialias=True, align_corners=False)
            x[index] = F.interpolate(small, x.shape[-2:], mode="bicubic", align_corners=False).clamp_(0, 1)
    return x


def _jitter(x: Tensor, u: dict[str, Tensor], strength: float) -> Tensor:
    """Change brightness, contrast and saturation, each by a factor of 1 - strength to 1 + strength."""
    factors = {n: (1 + strength * (2 * u[n] - 1)).view(-1, 1, 1, 1) for n in ("brightness", "contrast", "saturation")}
    x = (x * factors["brightness"]).clamp_(0, 1)
    grey = x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    mean = (x * grey).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = (mean + (x - mean) * factors["contrast"]).clamp_(0, 1)
    luminance = (x * grey).sum(1, keepdim=True)
    return (luminance + (x - luminance) * factors["saturation"]).clamp_(0, 1)


def _erase(x: Tensor, u: dict[str, Tensor], share: float) -> Tensor:
    """Random erasing (arXiv 1708.04896): 2 to 33 % of the area becomes the mean colour."""
    area, aspect = 0.02 + 0.31 * u["erase_area"], torch.exp((2 * u["erase_aspect"] - 1) * math.log(10 / 3))
    inside = _boxes((area * aspect).sqrt(), (area / aspect).sqrt(), u["erase_across"], u["erase_down"], x.shape[-2:])
    return x.masked_fill((inside & (u["erase"] < share)[:, None, None])[:, None], 0.0)


def _boxes(width: Tensor, height: Tensor, across: Tensor, down: Tensor, size: torch.Size) -> Tensor:
    """Draw masks [B, h, w]: rectangles of relative width and height, centred anywhere and cut at the edges."""
    rows = (torch.arange(size[0], device=width.device) + 0.5) / size[0]
    columns = (torch.arange(size[1], device=width.device) + 0.5) / size[1]
    vertical = (rows - down[:, None]).abs() < height[:, None] / 2
    horizontal = (columns - across[:, None]).abs() < width[:, None] / 2
    return vertical[:, :, None] & horizontal[:, None, :]


def _mix(x: Tensor, labels: Tensor, config: RunConfig, step: int, rows: slice) -> tuple[Tensor, Mixed]:
    if not (config.mixup or config.cutmix):
        return x, Mixed(labels, labels, torch.ones(len(x), device=x.device))
    draw = generator(config.seed, "mix", step)
    chosen, centers = draw.random(config.batch), draw.random((config.batch, 2))
    shares = [draw.beta(alpha, alpha, config.batch) if alpha else None for alpha in (config.mixup, config.cutmix)]
    cut = np.zeros(config.batch, bool) if shares[1] is None else (chosen < 0.5) | (shares[0] is None)
    share = np.where(cut, shares[1] if shares[1] is not None else 1, shares[0] if shares[0] is not None else 1)
    cut, share, across, down = (
        torch.from_numpy(values[rows].astype(dtype)).to(x.device)
        for values, dtype in (
            (cut, bool),
            (share, np.float32),
            (centers[:, 0], np.float32),
            (centers[:, 1], np.float32),
        )
    )
    partner = torch.arange(len(x), device=x.device) ^ 1
    partner = torch.where(partner < len(x), partner, partner ^ 1)  # the last of an odd number stays alone
    side = (1 - share).sqrt()
    boxes = _boxes(side, side, across, down, x.shape[-2:])
    share = torch.where(cut, 1 - boxes.float().mean((1, 2)), share)  # of what the edges left of the box
    other = x[partner]
    weight = torch.where(cut[:, None, None], (~boxes).float(), share[:, None, None])[:, None]
    return other.lerp_(x, weight), Mixed(labels, labels[partner], share)


def _randaugment(x: Tensor, config: RunConfig, step: int, rows: slice) -> Tensor:
    """RandAugment (arXiv 1909.13719) with torchvision's operations and magnitudes: pictures that drew the same
    operation go through it together."""
    from torchvision.transforms.v2 import functional as tv  # here, as torchvision is slow to import

    draw = generator(config.seed, "augment", step, part=1)
    operations = draw.integers(len(OPERATIONS), size=(config.randaugment, config.batch))[:, rows]
    signs = draw.integers(2, size=(config.randaugment, config.batch))[:, rows]
    strength = config.randaugment_magnitude / 30
    x = x.mul(255).round_().to(torch.uint8)
    for drawn, sign in zip(operations, signs, strict=True):
        for number, operation in enumerate(OPERATIONS):
            for negative in (0, 1):
                chosen = np.flatnonzero((drawn == number) & (sign == negative))
                if len(chosen):
                    index = torch.from_numpy(chosen).to(x.device)
                    x[index] = operation(tv, x[index], strength * (-1 if negative else 1))
    return x.float().div_(255)


def _affine(
    tv: ModuleType, x: Tensor, angle: float = 0.0, across: float = 0.0, down: float = 0.0, shear=(0.0, 0.0)
) -> Tensor:
    center = [0, 0] if any(shear) else None
    return tv.affine(x, angle, [round(across), round(down)], 1.0, list(shear), center=center)


# Functions of (torchvision's functions, uint8 pictures, strength from -1 to 1); magnitudes as in its RandAugment.
OPERATIONS = (
    lambda tv, x, m: x,
    lambda tv, x, m: _affine(tv, x, shear=(math.degrees(math.atan(0.3 * m)), 0.0)),
    lambda tv, x, m: _affine(tv, x, shear=(0.0, math.degrees(math.atan(0.3 * m)))),
    lambda tv, x, m: _affine(tv, x, across=150 / 331 * x.shape[-1] * m),
    lambda tv, x, m: _affine(tv, x, down=150 / 331 * x.shape[-2] * m),
    lambda tv, x, m: tv.rotate(x, 30 * m),
    lambda tv, x, m: tv.adjust_brightness(x, 1 + 0.9 * m),
    lambda tv, x, m: tv.adjust_saturation(x, 1 + 0.9 * m),
    lambda tv, x, m: tv.adjust_contrast(x, 1 + 0.9 * m),
    lambda tv, x, m: tv.adjust_sharpness(x, 1 + 0.9 * m),
    lambda tv, x, m: tv.posterize(x, 8 - round(4 * abs(m))),
    lambda tv, x, m: tv.solarize(x, 255 - 255 * abs(m)),
    lambda tv, x, m: tv.autocontrast(x),
    lambda tv, x, m: tv.equalize(x),
)
