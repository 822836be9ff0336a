"""Read the arrays of numbers in a MATLAB 5 file, the form in which Flowers-102 publishes its labels and splits.

Only what those files use: compressed or plain elements, little-endian, real matrices of numbers. scipy's loadmat reads
everything else, and is not needed for anything else here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

_KINDS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_MATRIX, _COMPRESSED = 14, 15
MAX_BYTES = 64 * 2**20  # Flowers-102 has 8,189 labels


def read_matrices(data: bytes) -> dict[str, np.ndarray]:
    """Return {name: matrix} of the file's bytes. ValueError if they are something else."""
    if len(data) < 128 or data[124:128] != b"\x00\x01IM":
        raise ValueError("not a little-endian MATLAB 5 file")
    matrices = {}
    try:
        for kind, content in _elements(data[128:]):
            if kind == _COMPRESSED:
                ((kind, content),) = _elements(_inflated(content))
            if kind == _MATRIX:
                name, matrix = _matrix(content)
                matrices[name] = matrix
    except (struct.error, zlib.error, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"a damaged MATLAB 5 file: {error!r}") from error
    return matrices


def _inflated(content: bytes) -> bytes:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(content, MAX_BYTES)
    if inflater.unconsumed_tail:
        raise ValueError(f"a matrix of more than {MAX_BYTES:,} bytes, the most that is read")
    return inflated + inflater.flush()


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content), one after the other. Small ones have kind and length in one word; others are padded to
    8."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if size:
            begin, after = at + 4, at + 8
        else:
            kind, size = struct.unpack_from("<LL", data, at)
            begin = at + 8
            after = begin + size if kind == _COMPRESSED else begin + (size + 7) // 8 * 8
        if begin + size > len(data):
            raise ValueError("a MATLAB 5 file that is cut short")
        yield kind, data[begin : begin + size]
        at = after


def _matrix(content: bytes) -> tuple[str, np.ndarray]:
    _flags, (_, sizes), (_, name), (kind, values) = list(_elements(content))[:4]
    shape = np.frombuffer(sizes, "<i4").tolist()
    return name.decode("ascii"), np.frombuffer(values, _KINDS[kind]).reshape(shape, order="F")
