"""as_rgb: any PIL picture as RGB, piece by piece, so that no second copy of a large picture is ever made."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageCms

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how a picture stored in it is turned upright."""

PIECE_PIXELS = 2**20


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any PIL picture -> RGB, turned as its EXIF says. An RGB picture that needs no turn is returned as it is.

    Transparency is blended over white. 16-bit greys are scaled from 0..65535; 32-bit integers from the first of 0..255,
    0..65535 and their own range that holds them all; floats from the range of their finite values, others being black.
    """
    turn = TURNS.get(_orientation(picture))
    rgb = to_rgb(picture)
    return rgb if turn is None else _bare(rgb.transpose(turn))


def to_rgb(picture: Image.Image, factor: int = 1) -> Image.Image:
    """As `as_rgb`, without the turn, and shrunk by a whole factor: the mean of factor x factor pixels, fewer at the
    edges. Takes the result's memory, and that of a piece."""
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture.reduce(factor) if factor > 1 else picture
    convert = _conversion(picture)
    if picture.width * picture.height <= PIECE_PIXELS:
        rgb = convert(picture)
        return rgb.reduce(factor) if factor > 1 else rgb
    whole = Image.new("RGB", (-(-picture.width // factor), -(-picture.height // factor)))
    for left, top, right, bottom in _boxes(picture.size, factor):
        piece = convert(picture.crop((left, top, right, bottom)))
        whole.paste(piece.reduce(factor) if factor > 1 else piece, (left // factor, top // factor))
    return whole


def picture_hash(picture: Image.Image) -> str:
    """SHA-256, as hex, over the size and the RGB bytes."""
    rgb = as_rgb(picture)
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode())
    for _, top, _, bottom in _boxes(rgb.size, 1, rgb.width):
        digest.update(rgb.crop((0, top, rgb.width, bottom)).tobytes())
    return digest.hexdigest()


def _boxes(size: tuple[int, int], factor: int, width: int = PIECE_PIXELS) -> Iterator[tuple[int, int, int, int]]:
    """Pieces of about PIECE_PIXELS pixels that make up the picture, with sides that are multiples of `factor`."""
    across = -(-min(size[0], width) // factor) * factor
    down = max(PIECE_PIXELS // across // factor, 1) * factor
    for top in range(0, size[1], down):
        for left in range(0, size[0], across):
            yield left, top, min(left + across, size[0]), min(top + down, size[1])


def _conversion(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes RGB of a piece of this picture."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        return partial(_from_deep, mode=picture.mode, bounds=_range(picture))
    if picture.mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply
    if picture.has_transparency_data:
        return _over_white
    return lambda piece: piece.convert("RGB")


def _over_white(piece: Image.Image) -> Image.Image:
    piece = piece.convert("LA" if piece.mode == "La" else "RGBA").convert("RGBA")
    white = Image.new("RGB", piece.size, "white")
    white.paste(piece, mask=piece)
    return white


def _range(picture: Image.Image) -> tuple[float, float]:
    """The values that become 0 and 255; see `as_rgb`."""
    if picture.mode.startswith("I;16"):
        return 0.0, 65535.0
    low, high = np.inf, -np.inf
    for box in _boxes(picture.size, 1):
        values = np.asarray(picture.crop(box))
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if picture.mode == "I" and low >= 0 and high <= 65535:
        return 0.0, 255.0 if high <= 255 else 65535.0
    return low, high


def _from_deep(piece: Image.Image, mode: str, bounds: tuple[float, float]) -> Image.Image:
    """Greys of more than 8 bits -> RGB."""
    low, high = bounds
    scale = 255 / (high - low) if high > low else 0.0
    values = np.asarray(piece)
    valid = np.isfinite(values)
    grey = np.zeros(values.shape, np.uint8)
    grey[valid] = np.rint(np.clip((values[valid].astype(np.float64) - low) * scale, 0, 255))
    return Image.fromarray(grey).convert("RGB")


def _bare(picture: Image.Image) -> Image.Image:
    """Without metadata, which would turn it a second time."""
    picture.info = {}
    picture.getexif().clear()
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(0x0112, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return 1  # a broken EXIF block turns nothing
