"""Trace: what one forward pass left behind, in memory linear in the number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vit_model.linear import softmax_products

if TYPE_CHECKING:
    from vit_model.config import ViTConfig


class LayerRecord(NamedTuple):
    """What one block leaves: its input [B, N, D] and its q, k, v, head outputs, each [B, H, N, d]. The record after the
    last block holds the residual alone."""

    residual: Tensor
    queries: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None
    head_outputs: Tensor | None = None


@dataclass(frozen=True)
class Trace:
    """One forward pass: B batch, L layers, H heads, N tokens = prefix + gh*gw, D width, d = D / H, K classes.

    - `logits` [B, K] (pooled features for a model without a head)
    - `residual`: L+1 of [B, N, D], the residual stream before each block and after the last
    - `queries`, `keys`, `values`, `head_outputs`: L of [B, H, N, d]
    - `grid` (gh, gw), `prefix`: tokens before the patches

    Attention matrices are not stored: they are made from queries and keys when asked for.
    """

    logits: Tensor
    residual: tuple[Tensor, ...]
    queries: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    head_outputs: tuple[Tensor, ...]
    grid: tuple[int, int]
    prefix: int

    @classmethod
    def of(cls, logits: Tensor, records: list[LayerRecord], config: ViTConfig) -> Trace:
        residual, *parts = zip(*records, strict=True)
        return cls(logits, residual, *(part[:-1] for part in parts), grid=config.grid, prefix=config.prefix)

    @property
    def layers(self) -> int:
        return len(self.queries)

    @property
    def heads(self) -> int:
        return self.queries[0].shape[1]

    @property
    def tokens(self) -> int:
        return self.residual[0].shape[1]

    def attention(self, layer: int, queries: int | slice | Sequence[int] | Tensor | None = None) -> Tensor:
        """softmax(q k^T / sqrt d) of one layer: [B, H, n, N] for the n query tokens asked for (None: all of them).

        Rows sum to 1. `layer` counts from 0, negative from the end; an IndexError names the range. Memory and time are
        H * n * N: for long sequences ask for the rows that are needed.
        """
        layer = self._layer(layer)
        q, k = self.queries[layer], self.keys[layer]
        if queries is not None:
            q = q[:, :, [queries]] if isinstance(queries, int) else q[:, :, queries]
        q = q * q.shape[-1] ** -0.5
        return torch.softmax(q @ k.transpose(-2, -1), dim=-1) if q.requires_grad else softmax_products(q, k)

    def attention_gradient(self, layer: int, score: Tensor) -> Tensor:
        """d score / d attention of one layer, [B, H, N, N]: with head output O = A V it is (d score / d O) V^T, so the
        explicit softmax is never needed. `score` is a scalar computed from this trace, which must be differentiable."""
        layer = self._layer(layer)
        return self.output_gradients(score, [layer])[0] @ self.values[layer].detach().transpose(-2, -1)

    def output_gradients(self, score: Tensor, layers: Sequence[int] | None = None) -> tuple[Tensor, ...]:
        """d score / d head_outputs of the given layers (None: all), each [B, H, N, d], by one backward pass."""
        if not score.requires_grad:
            raise ValueError("this trace keeps no graph; make it with model.trace(pixels, differentiable=True)")
        chosen = [self.head_outputs[self._layer(layer)] for layer in (range(self.layers) if layers is None else layers)]
        return torch.autograd.grad(score, chosen, retain_graph=True)

    def to(self, device: torch.device | str) -> Trace:
        """The same trace on another device."""
        return self._each(lambda tensor: tensor.to(device))

    def detached(self) -> Trace:
        """The same numbers without their graph: what a plain trace holds."""
        return self._each(Tensor.detach)

    def split(self) -> list[Trace]:
        """A trace of each picture of the batch, [1, ...], in memory of its own."""
        return [self._each(lambda tensor, row=row: tensor[row : row + 1].clone()) for row in range(len(self.logits))]

    @property
    def nbytes(self) -> int:
        """Bytes held, counting shared storage (q, k and v are views of one product) once."""
        tensors = [self.logits, *self.residual, *self.queries, *self.keys, *self.values, *self.head_outputs]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
        return sum(storages.values())

    def _each(self, function: Callable[[Tensor], Tensor]) -> Trace:
        names = ("residual", "queries", "keys", "values", "head_outputs")
        changed = {name: tuple(map(function, getattr(self, name))) for name in names}
        return replace(self, logits=function(self.logits), **changed)

    def _layer(self, layer: int) -> int:
        if not -self.layers <= layer < self.layers:
            raise IndexError(f"layer {layer} is out of range: this trace has layers 0 to {self.layers - 1}")
        return layer % self.layers
