"""decode: the bytes of a picture file -> RGB picture, within MEMORY bytes by what its header says."""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager

from PIL import Image

from vit_model.picture.colours import TURNS, to_rgb
from vit_model.picture.limits import MEMORY, PictureError, check_pixels, damaged, too_much_memory

BESIDE = {"WEBP": 12, "GIF": 8, "AVIF": 12, "TIFF": 2}
"""Bytes a pixel that decoders take besides the decoded pixels, for what `headers` does not tell."""
BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""What Pillow stores; 4 for all other modes."""
BOUNDED = frozenset({"raw", "zip", "jpeg"})
"""Pillow's decoders that take memory and time by what the header says. Others are in Python, or take what they like."""
WIDE = 2**20  # rows are read whole, and pieced together from pieces of 64 kB

Taken = Callable[[int], AbstractContextManager]


class Unbounded(Exception):  # noqa: N818 - no error: another way is taken
    """No header bounds this picture's decoder."""


def decode(
    data: bytes,
    format_: str,
    max_pixels: int,
    beside: int | None = None,
    taken: Taken = lambda amount: contextlib.nullcontext(),
    bounded: bool = False,
) -> Image.Image:
    """RGB picture without metadata, upright, shrunk by a whole factor to at most `max_pixels`.

    `beside`: bytes that the decoder takes besides the pixels, where known. `taken(bytes)` holds that much memory while
    it is used. `bounded`: raise Unbounded for decoders other than BOUNDED. PictureError for anything else.
    """
    try:
        picture = Image.OPEN[format_][0](io.BytesIO(data), "")
        check_pixels(format_, picture.size)
        if bounded and (not {tile[0] for tile in picture.tile} <= BOUNDED or picture.width > WIDE):
            raise Unbounded
        if beside is None:
            beside = BESIDE.get(format_, 0) * picture.width * picture.height
        factor = _draft(picture, max_pixels)
        need = _memory(picture, factor, beside)
        if need > MEMORY:
            raise too_much_memory(format_)
        with taken(need):
            picture.load()
            turn = TURNS.get(_orientation(picture))
            picture = picture._new(picture.im)  # the same pixels, without decoder and file
            rgb = to_rgb(picture, factor)
            del picture
            if turn is not None:
                rgb = rgb.transpose(turn)
            rgb.info = {}
            return rgb
    except (PictureError, Unbounded):
        raise
    except MemoryError as error:
        raise too_much_memory(format_) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit for frames and tiles
        raise too_much_memory(format_) from error
    except Exception as error:  # decoders raise anything at all on broken bytes
        raise damaged(format_, str(error) or type(error).__name__) from error


def _draft(picture: Image.Image, max_pixels: int) -> int:
    """Has a JPEG decoded smaller where there are more than `max_pixels`; returns the factor that is left to shrink."""
    factor = _shrink_factor(picture.size, max_pixels)
    if factor > 1:
        picture.draft(None, (max(picture.width // factor, 1), max(picture.height // factor, 1)))
        factor = _shrink_factor(picture.size, max_pixels)
    return factor


def _memory(picture: Image.Image, factor: int, beside: int) -> int:
    """Bytes at most, at any time: the decoder's own and the decoded pixels; then these and the RGB picture; then that
    and the same turned upright."""
    decoded = BYTES_A_PIXEL.get(picture.mode, 4) * picture.width * picture.height + 24 * picture.width
    made = 4 * math.ceil(picture.width / factor) * math.ceil(picture.height / factor)
    return max(decoded + beside, decoded + made, 2 * made)


def _shrink_factor(size: tuple[int, int], max_pixels: int) -> int:
    """The least whole factor that leaves at most `max_pixels`. Edges round up, which counts where one is short."""
    factor = math.ceil(math.sqrt(max(size[0] * size[1] / max_pixels, 1)))
    while math.ceil(size[0] / factor) * math.ceil(size[1] / factor) > max_pixels:
        factor += 1
    return factor


def _orientation(picture: Image.Image) -> int:
    """As Pillow finds it, without reading the EXIF block's other entries, whose data may overlap a thousandfold."""
    found = None
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, struct.error):
        if (tags := getattr(picture, "tag_v2", None)) is not None:
            found = tags.get(0x0112)
        elif exif := picture.info.get("exif"):
            found = _exif_orientation(exif)
        elif text := picture.info.get("Raw profile type exif"):
            found = _exif_orientation(bytes.fromhex("".join(text.split("\n")[3:])))
    xmp = picture.info.get("XML:com.adobe.xmp") or picture.info.get("xmp")
    if found is None and isinstance(xmp, str | bytes):
        xmp = xmp if isinstance(xmp, bytes) else xmp.encode(errors="replace")
        match = re.search(rb'tiff:Orientation(?:="|>)([0-9])', xmp)
        found = int(match[1]) if match else None
    return found if isinstance(found, int) else 1


def _exif_orientation(exif: bytes) -> int | None:
    """Tag 0x0112, a short or long, of the first directory; None where there is none."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    (first,) = struct.unpack_from(order + "L", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(order + "HHL", exif, at)
        if tag == 0x0112 and kind in (3, 4):
            return struct.unpack_from(order + {3: "H", 4: "L"}[kind], exif, at + 8)[0]
    return None
