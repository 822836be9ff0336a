"""One layer of a stack as few bytes: what the browser's viewer decodes (base.js, `readBlock` and `readRow`)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np


def pack(matrices: np.ndarray, signed: Sequence[bool]) -> bytes:
    """[panels, rows, tokens] -> little-endian float32 row maxima [panels, rows], then codes [panels, rows, tokens].

    Each query row keeps its largest magnitude m and one byte a value: in panels that cannot be negative uint8 with
    square-root companding, value = m * (code / 255)^2, which spends its steps on the small values that most of
    attention is; in signed panels int8, value = m * code / 127. The error is at most 0.4% of m.

    Raises ValueError on NaN or infinity, and on negative values in an unsigned panel.
    """
    matrices = np.ascontiguousarray(matrices, dtype=np.float32)
    if matrices.ndim != 3 or len(matrices) != len(signed):
        raise ValueError(f"expected [{len(signed)} panels, rows, tokens], got {list(matrices.shape)}")
    maxima = np.empty(matrices.shape[:2], np.float32)
    codes = np.empty(matrices.shape, np.uint8)
    for panel, (values, has_sign) in enumerate(zip(matrices, signed, strict=True)):
        lowest, maximum = values.min(axis=1), values.max(axis=1)
        if not np.isfinite(lowest + maximum).all():
            raise ValueError(f"panel {panel} holds NaN or infinite values; check the model's weights")
        if not has_sign and lowest.min() < 0:
            raise ValueError(f"panel {panel} holds {lowest.min():g} but is not signed; pass signed=True for it")
        maxima[panel] = np.maximum(maximum, -lowest) if has_sign else maximum
        scale = np.divide(1.0, maxima[panel], out=np.zeros_like(maximum), where=maxima[panel] > 1e-37)[:, None]
        if has_sign:
            codes[panel] = np.rint(values * (127 * scale)).astype(np.int8).view(np.uint8)
        else:
            companded = np.sqrt(values * scale)
            companded *= 255
            companded += 0.5
            codes[panel] = companded  # truncation rounds: the values are not negative
    return maxima.astype("<f4", copy=False).tobytes() + codes.tobytes()


def unpack(blob: bytes, rows: int, tokens: int, signed: Sequence[bool]) -> np.ndarray:
    """What `pack` kept: float32 [panels, rows, tokens]."""
    panels = len(signed)
    expected = panels * rows * (4 + tokens)
    if len(blob) != expected:
        raise ValueError(f"expected {expected} bytes for {panels} panels of {rows} x {tokens}, got {len(blob)}")
    maxima = np.frombuffer(blob, "<f4", panels * rows).reshape(panels, rows, 1)
    codes = np.frombuffer(blob, np.uint8, offset=maxima.nbytes).reshape(panels, rows, tokens)
    unit = [
        panel.view(np.int8).astype(np.float32) / 127 if has_sign else (panel.astype(np.float32) / 255) ** 2
        for panel, has_sign in zip(codes, signed, strict=True)
    ]
    return np.stack(unit) * maxima


def compress(blob: bytes) -> bytes:
    """gzip, without a time stamp, so that the same layer always gives the same file.

    Huffman coding alone: attention codes hardly repeat, so looking for matches saves 1% and takes three times as long.
    """
    packer = zlib.compressobj(level=1, wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)  # wbits 31: gzip's header
    return packer.compress(blob) + packer.flush()
