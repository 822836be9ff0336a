"""PatchesView: an image is worth 16x16 words. A picture, its patches, and the sequence that a ViT makes of them."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from explorer.viewer.kit.component import Caption, Component
from explorer.viewer.kit.files import cached_file
from explorer.viewer.kit.pack import compress, pack
from vit_model.config import ViTConfig
from vit_model.model import VisionTransformer
from vit_model.preprocess import CropBox
from vit_model.trace import Trace

DISPLAYED = 1200
"""Longest side, in pixels, at which the original goes to the browser."""


def patches_value(
    model: VisionTransformer,
    picture: Image.Image,
    pixels: torch.Tensor,
    box: CropBox,
    trace: Trace,
    filters: np.ndarray | None = None,
    explained: np.ndarray | None = None,
    caption: Caption = "",
) -> dict:
    """Return a value for `PatchesView`.

    - `picture`: the original, upright; `pixels` [1, C, h, w] and `box` are what `model.preprocess(picture)` returned,
      `trace` is `model.trace(pixels)`
    - `filters` [n, ph, pw, 3]: principal components of the patch embedding's filters, on any scale (each is drawn with
      zero as mid-grey and its own largest magnitude as full colour); `explained` [n]: their shares of the variance
    - `caption`: goes with a saved picture (say the model there)

    Norms are ||E x_p + b||, each patch's embedding before its position is added. Raises ValueError where filters and
    shares do not match.
    """
    config = model.config
    with torch.no_grad():
        norms = model.patch_embed(pixels)[0].float().norm(dim=-1)
    z0 = trace.residual[0][0].detach().float().cpu().numpy()
    return {
        "picture": {"file": _image(_displayed(picture)), "size": [picture.height, picture.width]},
        "box": [box.left, box.top, box.right, box.bottom],
        "seen": _image(model.preprocessing.pixels_to_picture(pixels), lossless=True),
        "image_size": list(config.image_size),
        "patch_size": list(config.patch_size),
        "grid": list(config.grid),
        "channels": config.channels,
        "width": config.width,
        "prefix": _prefix(config),
        "norms": [float(f"{norm:.4g}") for norm in norms.tolist()],
        "prefix_norms": [float(f"{np.linalg.norm(row):.4g}") for row in z0[: config.prefix]],
        "z0": {"file": cached_file(compress(pack(z0[None], (True,))), "z0.bin"), "shape": list(z0.shape)},
        "steps": pipeline(config),
        "filters": None if filters is None else _filters(filters, explained),
        "caption": caption,
    }


def pipeline(config: ViTConfig) -> list[dict]:
    """List the steps from picture to prediction, with the shape after each: [{"step": name, "shape": [...], numbers},
    ...]."""
    (h, w), (ph, pw), (gh, gw) = config.image_size, config.patch_size, config.grid
    patches, flat, D = gh * gw, ph * pw * config.channels, config.width
    steps = [
        {"step": "image", "shape": [1, config.channels, h, w], "channels": config.channels, "h": h, "w": w},
        {"step": "patches", "shape": [patches, flat], "gh": gh, "gw": gw}
        | {"ph": ph, "pw": pw, "channels": config.channels, "flat": flat},
        {"step": "projection", "shape": [patches, D], "flat": flat, "width": D},
    ]
    tokens = patches + config.positioned_prefix
    if config.positioned_prefix:
        name = "class_token" if config.positioned_prefix == 1 else "two_tokens"
        steps.append({"step": name, "shape": [tokens, D]})
    steps.append({"step": "positions", "shape": [tokens, D], "count": tokens})
    if config.registers:
        steps.append({"step": "registers", "shape": [config.tokens, D], "count": config.registers})
    steps.append({"step": "blocks", "shape": [config.tokens, D], "depth": config.depth, "heads": config.heads})
    pool = config.pool.replace("-", "_").replace("+", "_")
    out = config.classes or config.feature_width
    return [*steps, {"step": "head" if config.classes else "features", "shape": [out], "pool": pool, "count": out}]


class PatchesView(Component):
    """The picture, its patches and the sequence made of them; value: `patches_value(...)` or None."""

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"


def _prefix(config: ViTConfig) -> list[str]:
    """Name each token before the patches, in their order."""
    return (
        ["class"] * config.class_token + ["distillation"] * config.distillation_token + ["register"] * config.registers
    )


def _displayed(picture: Image.Image) -> Image.Image:
    """Shrink the picture to at most `DISPLAYED` on either side."""
    factor = min(1.0, DISPLAYED / max(picture.size))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return picture.convert("RGB")


def _filters(filters: np.ndarray, explained: np.ndarray | None) -> dict:
    """Draw the filters side by side in one picture, and return it with their shares."""
    filters = np.asarray(filters, np.float32)
    if filters.ndim != 4 or filters.shape[-1] != 3:
        raise ValueError(f"expected filters [n, height, width, 3], got {list(filters.shape)}")
    if explained is None or len(explained) != len(filters):
        raise ValueError(f"{len(filters)} filters need as many shares of the variance, got {explained}")
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    colours = np.rint(127.5 + 127.5 * filters / np.where(largest > 0, largest, 1)).astype(np.uint8)
    sheet = Image.fromarray(np.concatenate(list(colours), axis=1))
    shares = [float(f"{share:.4g}") for share in np.asarray(explained).tolist()]
    return {"file": _image(sheet, lossless=True), "size": list(filters.shape[1:3]), "explained": shares}


def _image(picture: Image.Image, lossless: bool = False) -> dict:
    """Write a picture as a cache file: without loss if single pixels will be looked at, else small."""
    data = io.BytesIO()
    if lossless or picture.width * picture.height <= 256 * 256:
        picture.save(data, "PNG", compress_level=1)
        return cached_file(data.getvalue(), "picture.png")
    picture.save(data, "JPEG", quality=88)
    return cached_file(data.getvalue(), "picture.jpg")
