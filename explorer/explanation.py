"""Explanation: one map over the patches, as every method returns it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Explanation:
    """`values` [gh, gw] float32, raw (never normalised here); `target`: the class that was explained, None where the
    method does not depend on one; `signed`: whether values below zero mean "speaks against"."""

    method: str
    values: np.ndarray
    target: int | None = None
    signed: bool = False
