"""Confidence intervals of means over pictures, by the bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RESAMPLES = 2000


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Mean of values [n], and the 2.5th and 97.5th percentile of the means of `resamples` samples of n drawn with
    replacement (Efron 1979). For a paired comparison give the differences. NaN where there is no value; with a single
    one the interval is that value, which says nothing."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    means = np.array([values[generator.integers(len(values), size=len(values))].mean() for _ in range(resamples)])
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(values.mean()), float(low), float(high))
