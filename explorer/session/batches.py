"""Batches: forward passes of one model that wait for their turn at the same moment run as one, where that is faster."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import torch
from torch import Tensor

from explorer.session.turns import MOMENT, TURNS, Turns, check_wanted
from vit_model import Trace, VisionTransformer

MOST_PICTURES = 4
MOST_TOKENS = 1100
"""Tokens of all pictures of a batch together, which bounds its memory; a longer sequence runs alone."""


@dataclass(eq=False)
class _Asked:
    """A picture [1, C, h, w] that waits for its trace. `taken`: whether it is part of a batch already."""

    pixels: Tensor
    taken: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    trace: Trace | None = None
    error: Exception | None = None


class Batches:
    """Pictures that wait for their trace. Whoever gets a turn also traces the pictures of others that wait for the same
    model. A picture's numbers in a batch equal those that it has alone up to fp32's rounding, since products of other
    shapes add in another order."""

    def __init__(self, turns: Turns):
        self._turns = turns
        self._waiting: dict[int, list[_Asked]] = {}  # by the model's id, which is its own while somebody waits for it
        self._lock = threading.Lock()

    def trace(self, model: VisionTransformer, pixels: Tensor) -> Trace:
        """`model.trace(pixels)` of one picture, in its turn. StoppedError where its visitor has left meanwhile."""
        mine = _Asked(pixels)
        with self._lock:
            self._waiting.setdefault(id(model), []).append(mine)
        try:
            with self._turns.quick(unless=lambda: mine.taken) as begun:
                if begun and (batch := self._take(model, mine)):
                    self._turns.look_again()
                    _run(model, batch)
        finally:
            with self._lock:
                waiting = self._waiting.get(id(model), [])
                if mine in waiting:  # its visitor has left
                    waiting.remove(mine)
                if not waiting:
                    self._waiting.pop(id(model), None)
        while not mine.done.wait(MOMENT):
            check_wanted()
        if mine.error is not None:
            raise mine.error
        assert mine.trace is not None  # done without an error
        return mine.trace

    def _take(self, model: VisionTransformer, mine: _Asked) -> list[_Asked]:
        """Return `mine` and the pictures that have waited longest; an empty list if another batch took `mine`
        meanwhile."""
        with self._lock:
            if mine.taken:
                return []
            waiting = self._waiting[id(model)]
            most = max(min(MOST_PICTURES, MOST_TOKENS // model.config.tokens), 1)
            batch = [mine, *(one for one in waiting if one is not mine)][:most]
            for one in batch:
                one.taken = True
                waiting.remove(one)
            return batch


def _run(model: VisionTransformer, batch: list[_Asked]) -> None:
    try:
        if len(batch) == 1:
            batch[0].trace = model.trace(batch[0].pixels)
        else:
            traces = model.trace(torch.cat([one.pixels for one in batch])).split()
            for one, trace in zip(batch, traces, strict=True):
                one.trace = trace
    except Exception as error:  # it is everybody's, not only of who had the turn
        for one in batch:
            one.error = error
    finally:
        for one in batch:
            one.done.set()


BATCHES = Batches(TURNS)
