"""Do two maps put the patches in the same order? Spearman's rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """The rank of each value, from 1 for the smallest, [n] float64; equal values share the mean of their ranks."""
    values = values.detach().flatten().cpu()
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: Tensor, b: Tensor) -> float:
    """Spearman's rho of two maps of the same shape: Pearson's correlation of their `ranks`, from -1 to 1 (Spearman
    1904). NaN where one of them is constant, and so has no order, or holds NaN.

    Raises ValueError for maps of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"maps of different shapes cannot be compared: {list(a.shape)} and {list(b.shape)}")
    if a.isnan().any() or b.isnan().any():
        return math.nan
    x, y = ((rank - rank.mean()) for rank in map(ranks, (a, b)))
    scale = (x.square().sum() * y.square().sum()).sqrt()
    return float((x @ y / scale).clamp(-1, 1)) if scale > 0 else math.nan


def rank_agreement(maps: Sequence[Tensor]) -> Tensor:
    """`spearman` of every pair of maps, [M, M]; symmetric, 1 on the diagonal (NaN for a constant map)."""
    matrix = torch.full((len(maps), len(maps)), math.nan, dtype=torch.float64)
    for row, first in enumerate(maps):
        for column in range(row, len(maps)):
            matrix[row, column] = matrix[column, row] = spearman(first, maps[column])
    return matrix
