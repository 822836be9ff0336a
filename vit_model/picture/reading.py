"""read_picture: a file from outside, told by its first bytes, decoded where its decoder is bounded."""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import Image

from vit_model.messages import message
from vit_model.picture.decoding import Unbounded, decode
from vit_model.picture.headers import beside_pixels
from vit_model.picture.limits import FORMATS, MAX_BYTES, MAX_PIXELS, PictureError
from vit_model.picture.room import ROOM
from vit_model.picture.worker import decode_apart

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


def read_picture(
    source: str | os.PathLike | BinaryIO, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Image.Image:
    """A picture file, as a path or open in binary mode -> RGB picture without metadata, turned as its EXIF says; see
    `as_rgb` for transparency and deep greys. Of an animation, the first frame.

    A picture of more than `max_pixels` pixels is shrunk by a whole factor. One of more than REFUSED_PIXELS, one that
    would take more than MEMORY bytes or too long to decode, a file of more than `max_bytes` bytes, and anything that is
    not one of FORMATS or cannot be decoded raises PictureError. Where many are decoded at once, it waits its turn.
    """
    data = _read_bytes(source, max_bytes)
    format_ = _format(data)
    if format_ is None:
        kind, formats = _kind(data), ", ".join(FORMATS)
        text = "this is {kind}, not a picture that can be read; use {formats}"
        raise PictureError(message("not_a_picture", text, kind=kind, formats=formats))
    try:
        beside = beside_pixels(data, format_)
        if beside is not None:
            return decode(data, format_, max_pixels, beside, ROOM.taken, bounded=True)
    except Unbounded:
        pass
    return decode_apart(data, format_, max_pixels)


def _read_bytes(source: str | os.PathLike | BinaryIO, max_bytes: int) -> bytes:
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, "rb") as file:
                return _read_bytes(file, max_bytes)
        except OSError as error:
            text, reason = "{name} cannot be read: {reason}", error.strerror or error
            raise PictureError(message("picture_unread", text, name=os.fspath(source), reason=reason)) from error
    data = source.read(max_bytes + 1)
    if len(data) > max_bytes:
        text = "this file has more than {most} bytes, the most that is read; save it smaller"
        raise PictureError(message("picture_bytes", text, most=f"{max_bytes:,}"))
    if not data:
        text = "this file is empty (0 bytes); its upload or download may have failed, try again"
        raise PictureError(message("picture_empty", text))
    return data


def _format(data: bytes) -> str | None:
    """Which of FORMATS the first bytes announce. HEIC photographs carry brands that Pillow takes for AVIF."""
    if _is_heic(data):
        return None
    Image.init()
    accepts = ((name, Image.OPEN[name][1]) for name in FORMATS if name in Image.OPEN)
    return next((name for name, accept in accepts if accept is not None and accept(data[:16]) is True), None)


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
