"""Pictures from outside: hostile bytes in; a clean RGB picture, or an error that says what came, out."""

from __future__ import annotations

import hashlib
import io
import math
import os
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from vit_model.errors import CodedError

FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is read. Pillow's decoders for EPS, PDF, fonts, films and the like never run."""

MAX_PIXELS = 64_000_000
"""Pictures with more pixels are shrunk while they are decoded ..."""
REFUSED_PIXELS = 200_000_000
"""... and above this they are refused, before anything is decoded."""
MAX_BYTES = 128 * 2**20

# The first bytes, in lower case, of what people upload instead of a picture.
KINDS: tuple[tuple[bytes, str], ...] = (
    (b"%pdf", "a PDF document"),
    (b"%!ps", "a PostScript file"),
    (b"pk\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8bps", "a Photoshop file"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"\x00\x00\x00\x0cjp", "a JPEG 2000 picture"),
    (b"\x1ae\xdf\xa3", "a video"),
)


class PictureError(CodedError):
    """A file that is no usable picture; the message says what came and what to do."""


def read_picture(
    source: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """A picture file, as a path or open in binary mode -> RGB picture without metadata, turned as its EXIF says; see
    `as_rgb` for transparency and deep greys. Of an animation, the first frame.

    A picture of more than `max_pixels` pixels is shrunk by a whole factor. One of more than REFUSED_PIXELS, a file of
    more than `max_bytes` bytes, and anything that is not one of FORMATS or cannot be decoded raises PictureError.
    """
    data = _read_bytes(source, max_bytes)
    format_ = _format(data)
    if format_ is None:
        kind, formats = _kind(data), ", ".join(FORMATS)
        message = f"this is {kind}, not a picture that can be read; use {formats}"
        raise PictureError(message, "not_a_picture", kind=kind, formats=formats)
    # Not Image.open: its size check warns through a process-wide filter, and knows one process-wide limit.
    try:
        picture = Image.OPEN[format_][0](io.BytesIO(data), "")
        pixels = picture.width * picture.height
        if pixels <= REFUSED_PIXELS:
            clean = as_rgb(_decode(picture, max_pixels)).copy()  # a plain picture that holds no file open
            clean.info = {}
            return clean
    except Exception as error:  # decoders raise anything at all on broken bytes
        reason = str(error) or type(error).__name__
        raise PictureError(
            f"this {format_} picture cannot be decoded ({reason}); it may be cut short or damaged: download or save it "
            "again",
            "picture_damaged",
            format=format_,
            reason=reason,
        ) from error
    raise PictureError(
        f"this {format_} picture has {picture.width:,} x {picture.height:,} = {pixels:,} pixels, at most "
        f"{REFUSED_PIXELS:,} are read; save it smaller",
        "picture_pixels",
        format=format_,
        width=f"{picture.width:,}",
        height=f"{picture.height:,}",
        most=f"{REFUSED_PIXELS:,}",
    )


def as_rgb(picture: Image.Image) -> Image.Image:
    """Any PIL picture -> RGB, turned as its EXIF says. An RGB picture that needs no turn is returned as it is.

    Transparency is blended over white. 16-bit greys are scaled from 0..65535; 32-bit integers from the first of 0..255,
    0..65535 and their own range that holds them all; floats from the range of their finite values, others being black.
    """
    if _orientation(picture) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    if picture.mode == "F" or picture.mode.startswith("I"):
        return Image.fromarray(_to_bytes(np.asarray(picture), picture.mode)).convert("RGB")
    if picture.mode == "LAB":
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    if picture.has_transparency_data:
        picture = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        return white
    return picture.convert("RGB")


def picture_hash(picture: Image.Image) -> str:
    """SHA-256, as hex, over the size and the RGB bytes."""
    rgb = as_rgb(picture)
    return hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode() + rgb.tobytes()).hexdigest()


def _read_bytes(source: str | os.PathLike | BinaryIO, max_bytes: int) -> bytes:
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, "rb") as file:
                return _read_bytes(file, max_bytes)
        except OSError as error:
            raise PictureError(f"{os.fspath(source)} cannot be read: {error.strerror or error}") from error
    data = source.read(max_bytes + 1)
    if len(data) > max_bytes:
        message = f"this file has more than {max_bytes:,} bytes, the most that is read; save it smaller"
        raise PictureError(message, "picture_bytes", most=f"{max_bytes:,}")
    if not data:
        message = "this file is empty (0 bytes); its upload or download may have failed, try again"
        raise PictureError(message, "picture_empty")
    return data


def _format(data: bytes) -> str | None:
    """Which of FORMATS the first bytes announce. HEIC photographs carry brands that Pillow takes for AVIF."""
    if _is_heic(data):
        return None
    Image.init()
    return next((name for name in FORMATS if name in Image.OPEN and Image.OPEN[name][1](data[:16]) is True), None)


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and any(brand in data[8:48] for brand in (b"heic", b"heix", b"hevc"))


def _kind(data: bytes) -> str:
    """What the first bytes say a file is, in words."""
    if _is_heic(data):
        return "a HEIC photograph"
    if data[4:8] == b"ftyp":
        return "an MP4 video or the like"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<?xml"):
        return "an SVG drawing" if b"<svg" in head else "an XML document"
    named = (kind for start, kind in KINDS if head.startswith(start))
    return next(named, None) or unknown_kind(data)


def unknown_kind(data: bytes) -> str:
    """A file in words by its first bytes, none of which is repeated: they may be somebody's secret."""
    head = data[:8]
    if not head:
        return "an empty file"
    return (
        "a text file" if head.isascii() and head.decode().replace("\n", "").isprintable() else "a file of unknown kind"
    )


def _decode(picture: Image.Image, max_pixels: int) -> Image.Image:
    """The pixels, shrunk by a whole factor where there are more than `max_pixels`; JPEG can decode smaller at once."""
    factor = _shrink_factor(picture.size, max_pixels)
    if factor > 1:
        picture.draft(None, (max(picture.width // factor, 1), max(picture.height // factor, 1)))
        factor = _shrink_factor(picture.size, max_pixels)
    picture.load()
    if factor == 1:
        return picture
    if picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):  # means of palette indices mean nothing
        picture = as_rgb(picture)
    return picture.reduce(factor)


def _shrink_factor(size: tuple[int, int], max_pixels: int) -> int:
    """The least whole factor that leaves at most `max_pixels`. Edges round up, which counts where one is short."""
    factor = math.ceil(math.sqrt(max(size[0] * size[1] / max_pixels, 1)))
    while math.ceil(size[0] / factor) * math.ceil(size[1] / factor) > max_pixels:
        factor += 1
    return factor


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(0x0112, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return 1  # a broken EXIF block turns nothing


def _to_bytes(values: np.ndarray, mode: str) -> np.ndarray:
    """Greys of more than 8 bits [h, w] -> uint8; see `as_rgb` for the range that becomes 0..255."""
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=np.inf if mode == "F" else np.iinfo(values.dtype).max))
    high = float(values.max(where=finite, initial=-np.inf if mode == "F" else np.iinfo(values.dtype).min))
    if mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif mode == "I" and low >= 0 and high <= 65535:
        low, high = 0.0, 255.0 if high <= 255 else 65535.0
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.zeros(values.shape, np.uint8)
    for row, valid, shown in zip(values, finite, grey, strict=True):  # row by row: large pictures stay small in memory
        shown[valid] = np.rint(np.clip((row[valid].astype(np.float64) - low) * scale, 0, 255))
    return grey
