"""Timing of functions against each other, in one run."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch

Times = dict[str, list[float]]
"""Seconds of each function, a value a round."""


def take_turns(functions: Mapping[str, Callable[[], float]], rounds: int) -> Times:
    """Call every function, which returns the seconds that count, once unmeasured, then once in each round, in an order
    drawn anew. So a machine that slows down meanwhile falls on all of them alike, and so does what one leaves to the
    next: after some, memory takes longer to get."""
    for function in functions.values():
        function()
    drawn, times = random.Random(0), {name: [] for name in functions}
    for _ in range(rounds):
        for name in drawn.sample(list(functions), len(functions)):
            times[name].append(functions[name]())
    return times


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    finish: Callable[[], object] = lambda: None,
) -> Times:
    """`take_turns` of functions by the time that a call takes, and `finish` after it: a GPU's work goes on when the
    call that began it is over."""

    def timed(function: Callable[[], object]) -> float:
        finish()
        start = clock()
        function()
        finish()
        return clock() - start

    return take_turns({name: partial(timed, function) for name, function in functions.items()}, rounds)


def finish_on(device: torch.device) -> Callable[[], object]:
    """Wait for what the device still does."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None


def medians(times: Times) -> dict[str, float]:
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def ratio(times: Times, name: str, base: str) -> float:
    """Median of one over median of the other."""
    return statistics.median(times[name]) / statistics.median(times[base])


def paired_ratio(times: Times, name: str, base: str) -> float:
    """Median over the rounds of one over the other: steadier where the machine's speed drifts."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
