"""What a zip's list of members tells before anything in it is unpacked."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    20: "zstd",
    93: "zstd",
    95: "xz",
    98: "PPMd",
}
ENTRY = b"PK\x01\x02"


def unbounded_method(info: zipfile.ZipInfo) -> str | None:
    """The method that a member is packed with, where it is another than none and deflate: zipfile reads those in pieces
    as large as asked for, and unpacks a whole block of any other at once, 4 GB from a kilobyte."""
    if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None
    return METHODS.get(info.compress_type, f"method {info.compress_type}")


def listing(file: BinaryIO, most_bytes: int) -> tuple[int, int]:
    """(bytes, members) of the list of members, which zipfile reads at once and makes objects of before it can be asked
    how many. The members are not counted in a list of more than `most_bytes`. (0, 0) where there is no list."""
    size = file.seek(0, 2)
    end_size = min(size, 22 + 2**16)
    file.seek(size - end_size)
    end = file.read(end_size)
    at = len(end) - 22 if end[-22:-18] == b"PK\x05\x06" and end[-2:] == b"\0\0" else end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) - at < 22:
        return 0, 0
    count, after = struct.unpack_from("<L", end, at + 12)[0], size - end_size + at
    if at >= 20 and end[at - 20 : at - 16] == b"PK\x06\x07":  # zip64: the real size stands further ahead
        file.seek(struct.unpack_from("<Q", end, at - 12)[0])
        far = file.read(56)
        if len(far) == 56:
            count, after = struct.unpack_from("<Q", far, 40)[0], after - 20 - 56
    if count > most_bytes or count > after:
        return count, 0
    file.seek(after - count)
    return count, file.read(count).count(ENTRY)
