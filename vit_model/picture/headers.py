"""What a picture file's structure tells before any decoder sees it: whether its decoder takes memory and time by what
the header says alone, and what it takes besides the pixels."""

from __future__ import annotations

import re
import struct

from vit_model.picture.limits import MAX_SCANNED, MAX_SCANS, MEMORY, check_pixels, too_many_scans, too_much_memory

MAX_METADATA = 4 * 2**20
"""Bytes of a plain picture's file that are neither header nor pixels: profiles, thumbnails, texts ..."""
MAX_PARTS = 1000
"""... and into how many parts they may be cut. Pillow keeps each, and takes them up one by one in Python."""
MAX_DATA_PARTS = 100_000
MAX_EXIF = 2**16

FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
ENTROPY_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
NETPBM = re.compile(rb"P(?:4|[56f](?=%s\s*[-+\d]))%s" % ((rb"\s+(?:#[^\n]{0,1000}\n\s*)*\d{1,9}\s+\d{1,9}\s",) * 2))


def beside_pixels(data: bytes, format_: str) -> int | None:
    """Bytes that Pillow's decoder takes for this file besides the decoded pixels; None where no header bounds them, or
    the file is of an unusual structure. PictureError for what the header alone
    refuses: too many pixels, a JPEG of too many scans."""
    if format_ == "JPEG":
        return _jpeg(data)
    if format_ == "PNG":
        return _png(data)
    if format_ == "BMP":
        return 0 if data[30:34] in (b"\0\0\0\0", b"\3\0\0\0") or data[14:18] == b"\x0c\0\0\0" else None
    if format_ == "PPM":
        return 0 if NETPBM.match(data[:4096]) else None
    if format_ == "WEBP":
        return _webp(data)
    return None


def _webp(data: bytes) -> int | None:
    """Two canvases, and a copy that Pillow reads from. The lossless kind has tables of a size of its own."""
    head, name = data[:30].ljust(30, b"\0"), data[12:16]
    if name == b"VP8X":
        size = int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    elif name == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = struct.unpack_from("<HH", head, 26)
        size = width & 0x3FFF, height & 0x3FFF
    check_pixels("WEBP", size)
    beside = 12 * size[0] * size[1]
    if beside > MEMORY:
        raise too_much_memory("WEBP")
    return beside if name == b"VP8 " else None


def _jpeg(data: bytes) -> int | None:
    """The coefficients of a JPEG that is made of several scans lie in memory together: 2 bytes for each."""
    at, parts, frame, exif = 2, 0, None, 0
    while True:
        if at + 4 > len(data) or data[at] != 0xFF or at > MAX_METADATA or parts > MAX_PARTS:
            return None
        marker, size = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9 or size < 2:
            return None
        if marker == 0xDA:
            break
        if marker == 0xE1 and data[at + 4 : at + 8] == b"Exif":
            exif += 1
        if marker in FRAMES:
            if frame is not None:
                return None
            frame = marker, data[at + 4 : at + 2 + size]
        at, parts = at + 2 + size, parts + 1
    if frame is None or exif > 1 or len(frame[1]) < 6 or len(frame[1]) < 6 + 3 * frame[1][5] or not frame[1][5]:
        return None
    kind, (_, height, width, components) = frame[0], struct.unpack_from(">BHHB", frame[1])
    check_pixels("JPEG", (width, height))
    if not height:
        return None  # it stands after the first scan
    _check_scans(data, at, width * height)
    if kind not in PROGRESSIVE and data[at + 4 : at + 5] == bytes([components]):
        return 0
    sampled = [(byte >> 4, byte & 15) for byte in frame[1][7 : 6 + 3 * components : 3]]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in sampled):
        return None
    most_across, most_down = max(across for across, _ in sampled), max(down for _, down in sampled)
    units = -(-width // (8 * most_across)) * -(-height // (8 * most_down))
    return 2 * 64 * units * sum(across * down for across, down in sampled)


def _check_scans(data: bytes, first: int, pixels: int) -> None:
    most = max(min(MAX_SCANS, MAX_SCANNED // max(pixels, 1)), 1)
    if data.count(b"\xff\xda", first) <= most:  # what follows the picture may count too, so below is the real walk
        return
    at, scans, parts = first, 0, 0
    while at + 4 <= len(data) and data[at + 1] != 0xD9:
        scans += data[at + 1] == 0xDA
        parts += 1
        if scans > most or parts > MAX_PARTS:
            raise too_many_scans(scans, most)
        found = ENTROPY_END.search(data, at + 2 + (data[at + 2] << 8 | data[at + 3]))
        if found is None:
            return
        at = found.start()


def _png(data: bytes) -> int | None:
    at, parts, data_parts, metadata = 8, 0, 0, 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">L4s", data, at)
        if name == b"IEND":
            break
        if name == b"acTL" or (name == b"eXIf" and size > MAX_EXIF):
            return None  # an animation keeps several frames
        if name == b"IDAT":
            data_parts += 1
        else:
            parts, metadata = parts + 1, metadata + size
        if metadata > MAX_METADATA or parts > MAX_PARTS or data_parts > MAX_DATA_PARTS:
            return None
        at += 12 + size
    return 0
