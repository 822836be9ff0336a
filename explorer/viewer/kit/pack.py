"""Pack one layer of a stack into few bytes, which the browser's viewer decodes (scripts/blocks.js)."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

SAMPLED_ROWS = 8  # of each panel
CHUNK_BYTES = 2**18
STEPS = (1, 3, 5)  # odd divisors of 255: zero and a row's maximum stay exact, and rounding twice is rounding once
MOST_BITS = 4.7  # a code, when compressed: all layers of a B/16 at 224 px then take about 3.5 MB at most
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, no name, no time, no system
LAST_BLOCK = b"\x03\0"  # an empty one


def pack(matrices: np.ndarray, signed: Sequence[bool]) -> bytes:
    """Pack [panels, rows, tokens] into little-endian float32 row maxima [panels, rows], codes [panels, rows, tokens],
    and one byte that says how the codes are predicted.

    Each query row keeps its largest magnitude m and one byte a value: in panels that cannot be negative uint8 with
    square-root companding, value = m * (code / 255)^2, which spends its steps on the small values that most of
    attention is; in signed panels int8, value = m * code / 127. The error is at most 0.4% of m.

    Codes are kept as differences, modulo 256, where these compress better: neighbouring patches often attend alike.
    Predictions: 0 none; 1 the row above; 2 the row above, and then the value to the left (of its own difference).

    A layer of more than 256 KiB whose codes would still take more than MOST_BITS, since it is as even as noise, keeps
    every third code alone (the error is at most 1.2% of m), or every fifth (2%). Stacks with signed panels never do.

    Raises ValueError on NaN or infinity, and on negative values in an unsigned panel.
    """
    matrices = np.ascontiguousarray(matrices, dtype=np.float32)
    if matrices.ndim != 3 or len(matrices) != len(signed):
        raise ValueError(f"expected [{len(signed)} panels, rows, tokens], got {list(matrices.shape)}")
    maxima = np.empty(matrices.shape[:2], np.float32)
    codes = np.empty(matrices.shape, np.uint8)

    def fill(panel: int) -> None:
        values = matrices[panel]
        lowest, maximum = values.min(axis=1), values.max(axis=1)
        if not np.isfinite(lowest + maximum).all():
            raise ValueError(f"panel {panel} holds NaN or infinite values; check the model's weights")
        if not signed[panel] and lowest.min() < 0:
            raise ValueError(f"panel {panel} holds {lowest.min():g} but is not signed; pass signed=True for it")
        maxima[panel] = np.maximum(maximum, -lowest) if signed[panel] else maximum
        scale = np.divide(1.0, maxima[panel], out=np.zeros_like(maximum), where=maxima[panel] > 1e-37)[:, None]
        if signed[panel]:
            codes[panel] = np.rint(values * (127 * scale)).astype(np.int8).view(np.uint8)
        else:
            companded = values * scale
            np.sqrt(companded, out=companded)
            companded *= 255
            companded += 0.5
            codes[panel] = companded  # truncation rounds: the values are not negative

    _each(fill, range(len(matrices)), matrices.size)
    prediction, step = _predicted(codes, STEPS if codes.size > CHUNK_BYTES and not any(signed) else STEPS[:1])
    codes = codes if step == 1 else _rounded(codes, step)
    for panel in codes if prediction else ():  # one by one, while they are in the processor's cache
        panel[1:] -= panel[:-1]
        if prediction == 2:
            panel[:, 1:] -= panel[:, :-1]
    return maxima.astype("<f4", copy=False).tobytes() + codes.tobytes() + bytes([prediction])


def unpack(blob: bytes, rows: int, tokens: int, signed: Sequence[bool]) -> np.ndarray:
    """Unpack what `pack` made: float32 [panels, rows, tokens]."""
    panels = len(signed)
    expected = panels * rows * (4 + tokens) + 1
    if len(blob) != expected:
        raise ValueError(f"expected {expected} bytes for {panels} panels of {rows} x {tokens}, got {len(blob)}")
    maxima = np.frombuffer(blob, "<f4", panels * rows).reshape(panels, rows, 1)
    codes = np.frombuffer(blob, np.uint8, panels * rows * tokens, maxima.nbytes).reshape(panels, rows, tokens)
    if blob[-1] > 1:
        codes = np.cumsum(codes, axis=2, dtype=np.uint8)
    if blob[-1] > 0:
        codes = np.cumsum(codes, axis=1, dtype=np.uint8)
    unit = [
        panel.view(np.int8).astype(np.float32) / 127 if has_sign else (panel.astype(np.float32) / 255) ** 2
        for panel, has_sign in zip(codes, signed, strict=True)
    ]
    return np.stack(unit) * maxima


def _predicted(codes: np.ndarray, steps: Sequence[int]) -> tuple[int, int]:
    """Choose the prediction whose differences have the least entropy, and the first step, or the last, at which that is
    at most MOST_BITS; by a sample of rows."""
    rows = codes.shape[1]
    if rows == 1:
        return 0, steps[0]
    sample = np.unique(np.linspace(1, rows - 1, SAMPLED_ROWS).astype(np.intp))
    bits, step = [0.0], steps[-1]
    for step in steps:
        plain = _rounded(codes[:, sample], step)
        down = plain - _rounded(codes[:, sample - 1], step)
        bits = [_entropy(plain), _entropy(down), _entropy(np.diff(down, axis=2))]
        if min(bits) <= MOST_BITS:
            break
    return int(np.argmin(bits)), step


def _rounded(codes: np.ndarray, step: int) -> np.ndarray:
    """Round codes to the nearest multiple of an odd step."""
    multiples = codes // step
    multiples += codes - multiples * step > step // 2
    return multiples * step


def _entropy(codes: np.ndarray) -> float:
    """Return the bits that a code takes on average."""
    if not codes.size:
        return 0.0
    shares = np.bincount(codes.ravel(), minlength=256) / codes.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def compress(blob: bytes) -> bytes:
    """Compress by gzip, without a time stamp, so that the same layer always gives the same file.

    Huffman coding and runs of equal codes alone: attention codes hardly repeat otherwise, and looking for matches takes
    three times as long. Long blobs are compressed by several threads, as pigz does: each chunk is a run of deflate
    blocks that ends on a whole byte and refers to no other chunk, so that all of them are one stream.
    """
    view = memoryview(blob)
    chunks = [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]
    parts = _each(_deflated, chunks, len(blob))
    return b"".join([GZIP_HEADER, *parts, LAST_BLOCK, struct.pack("<II", zlib.crc32(blob), len(blob) % 2**32)])


def _deflated(chunk: memoryview) -> bytes:
    packer = zlib.compressobj(level=1, wbits=-15, strategy=zlib.Z_RLE)  # wbits -15: bare deflate
    return packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH)


def _each(function: Callable, items: Sequence, size: int) -> list:
    """Apply `function` to each item, by several threads if there is much to do; numpy and zlib release the GIL."""
    return list(_threads().map(function, items) if size > CHUNK_BYTES else map(function, items))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="pack")
