"""Timing of functions against each other, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Times = dict[str, list[float]]
"""Seconds of each function, a value a round."""


def interleaved(
    functions: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Call every function once unmeasured, then once in each round, starting with another one each time: so that a
    machine that slows down meanwhile, or a neighbour in the cache, falls on all of them alike."""
    for function in functions.values():
        function()
    names, times = list(functions), {name: [] for name in functions}
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            start = clock()
            functions[name]()
            times[name].append(clock() - start)
    return times


def medians(times: Times) -> dict[str, float]:
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def ratio(times: Times, name: str, base: str) -> float:
    """Median of one over median of the other."""
    return statistics.median(times[name]) / statistics.median(times[base])


def paired_ratio(times: Times, name: str, base: str) -> float:
    """Median over the rounds of one over the other: steadier where the machine's speed drifts."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
