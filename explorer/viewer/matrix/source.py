"""Sources of a viewer's numbers: L layers of P panels, each an N x N matrix over tokens."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from vit_model.linear import linear, softmax_products
from vit_model.trace import Trace

Direction = Literal["to", "by"]
"""`to`: the tokens that a token attends to, its row. `by`: the tokens that attend to it, its column."""

ROWS = 512  # of one head's scores at a time


class Source(Protocol):
    """A stack of matrices [panels, query, key]. Tokens are `prefix` special ones, then gh * gw patches row by row."""

    @property
    def layers(self) -> int: ...
    @property
    def grid(self) -> tuple[int, int]: ...
    @property
    def prefix(self) -> int: ...
    @property
    def signed(self) -> tuple[bool, ...]:
        """One entry a panel: whether its values can be negative."""
        ...

    @property
    def nbytes(self) -> int: ...

    def matrices(self, layer: int) -> Tensor | np.ndarray:
        """Return one layer, [panels, N, N]. Only called if N is at most `viewer.WHOLE_LAYER_TOKENS`."""
        ...

    def rows(self, layer: int, query: int, direction: Direction) -> Tensor | np.ndarray:
        """Return one token's row or column in every panel, [panels, N]."""
        ...


class AttentionSource:
    """The attention of one traced picture: panels are heads. Keeps queries and keys alone, not the whole trace."""

    def __init__(self, trace: Trace, item: int = 0):
        self._queries = [queries[item] * queries.shape[-1] ** -0.5 for queries in trace.queries]  # each [H, N, d]
        self._keys = [keys[item] for keys in trace.keys]
        self._normalisers: dict[int, Tensor] = {}
        self._lock = threading.Lock()
        self.layers, self.grid, self.prefix = trace.layers, trace.grid, trace.prefix
        self.signed = (False,) * trace.heads
        shared = {keys.untyped_storage().data_ptr(): keys.untyped_storage().nbytes() for keys in self._keys}
        self.nbytes = sum(shared.values()) + sum(queries.nbytes for queries in self._queries)

    def matrices(self, layer: int) -> Tensor:
        return softmax_products(self._queries[layer], self._keys[layer])

    def rows(self, layer: int, query: int, direction: Direction) -> Tensor:
        if direction == "to":
            return torch.softmax(self._queries[layer][:, query, None] @ self._keys[layer].transpose(-2, -1), -1)[:, 0]
        logits = (self._queries[layer] @ self._keys[layer][:, query, :, None])[..., 0]  # [H, N]
        return torch.exp(logits - self._log_normaliser(layer))

    def _log_normaliser(self, layer: int) -> Tensor:
        """Return the log of every query's softmax denominator, [H, N]: quadratic in time, linear in memory, once a
        layer."""
        with self._lock:
            if layer not in self._normalisers:
                heads = zip(self._queries[layer], self._keys[layer].contiguous(), strict=True)
                sums = [[torch.logsumexp(linear(part, k), -1) for part in q.split(ROWS)] for q, k in heads]
                self._normalisers[layer] = torch.stack([torch.cat(of_head) for of_head in sums])
            return self._normalisers[layer]


class StackSource:
    """Matrices that exist already, such as rollouts after each layer or position similarity: L of [panels, N, N]."""

    def __init__(
        self,
        stack: Sequence[Tensor | np.ndarray],
        grid: tuple[int, int],
        prefix: int = 0,
        signed: Sequence[bool] | None = None,
    ):
        tokens = prefix + grid[0] * grid[1]
        panels = len(stack[0])
        for layer, matrices in enumerate(stack):
            if tuple(matrices.shape) != (panels, tokens, tokens):
                raise ValueError(
                    f"layer {layer}: expected [{panels}, {tokens}, {tokens}] for a {grid[0]}x{grid[1]} grid with "
                    f"{prefix} special tokens, got {list(matrices.shape)}"
                )
        self._stack = list(stack)
        self.layers, self.grid, self.prefix = len(stack), tuple(grid), prefix
        self.signed = tuple(signed) if signed is not None else (False,) * panels
        if len(self.signed) != panels:
            raise ValueError(f"{len(self.signed)} entries in signed for {panels} panels")
        self.nbytes = sum(matrices.nbytes for matrices in stack)

    def matrices(self, layer: int) -> Tensor | np.ndarray:
        return self._stack[layer]

    def rows(self, layer: int, query: int, direction: Direction) -> Tensor | np.ndarray:
        return self._stack[layer][:, query] if direction == "to" else self._stack[layer][:, :, query]
