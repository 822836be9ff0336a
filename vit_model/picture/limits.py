"""What reading a picture may take, and the error that says where it would take more."""

from __future__ import annotations

from vit_model.errors import CodedError
from vit_model.messages import message

FORMATS: tuple[str, ...] = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is read. Pillow's decoders for EPS, PDF, fonts, films and the like never run."""

MAX_PIXELS = 64_000_000
"""Pictures with more pixels are shrunk while they are decoded ..."""
REFUSED_PIXELS = 200_000_000
"""... and above this they are refused, before anything is decoded."""
MAX_BYTES = 128 * 2**20
MEMORY = 570_000_000
"""Bytes that decoding one picture may take, besides the file's own."""
MAX_SCANS = 100
"""Passes over the whole picture that a JPEG may be made of; encoders make about ten ..."""
MAX_SCANNED = 3_000_000_000
"""... and scans times pixels: each scan costs time for every pixel, also where it holds a few bytes."""
SECONDS = 10
"""Of a processor, for a picture that is decoded in a worker; such a picture takes no longer than six times as much."""


class PictureError(CodedError):
    """A file that is no usable picture; the message says what came and what to do."""


def check_pixels(format_: str, size: tuple[int, int]) -> None:
    """PictureError for more than REFUSED_PIXELS."""
    width, height = size
    if width * height > REFUSED_PIXELS:
        raise PictureError(
            message(
                "picture_pixels",
                "this {format} picture has {width} x {height} = {pixels} pixels, at most {most} are read; save it "
                "smaller",
                format=format_,
                width=f"{width:,}",
                height=f"{height:,}",
                pixels=f"{width * height:,}",
                most=f"{REFUSED_PIXELS:,}",
            )
        )


def too_much_memory(format_: str) -> PictureError:
    return PictureError(
        message(
            "picture_memory",
            "this {format} picture would take more than {most} of memory to decode, the most that is used; save it "
            "smaller, or as a plain JPEG or PNG",
            format=format_,
            most=f"{MEMORY // 10**6:,} MB",
        )
    )


def damaged(format_: str, reason: str) -> PictureError:
    return PictureError(
        message(
            "picture_damaged",
            "this {format} picture cannot be decoded ({reason}); it may be cut short or damaged: download or save it "
            "again",
            format=format_,
            reason=reason,
        )
    )


def too_slow(format_: str) -> PictureError:
    return PictureError(
        message(
            "picture_slow",
            "this {format} picture takes more than {seconds} s of a processor to decode, the most that is used; save "
            "it again as a plain JPEG or PNG",
            format=format_,
            seconds=SECONDS,
        )
    )


def too_many_scans(scans: int, most: int) -> PictureError:
    return PictureError(
        message(
            "picture_scans",
            "this JPEG picture is made of {scans} or more scans, each a pass over the whole picture; at most {most} "
            "are read: save it again",
            scans=f"{scans:,}",
            most=f"{most:,}",
        )
    )
