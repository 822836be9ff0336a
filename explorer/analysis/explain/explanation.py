"""Explanation: one map over a picture's patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vit_model.trace import Trace


@dataclass(frozen=True)
class Explanation:
    """How much each patch matters, as one method sees it.

    - `method`: its name in METHODS
    - `values` [gh, gw]: float32 on the CPU, raw: in the method's own unit, never normalised for display
    - `target`: the class explained, None where the method looks at no class
    - `signed`: whether negative values mean something (evidence against); otherwise there are none
    - `against`: the class that `target` is held against ("why this and not that"), None for none
    """

    method: str
    values: Tensor
    target: int | None = None
    signed: bool = False
    against: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.values.detach().to("cpu", torch.float32))
        if self.values.dim() != 2:
            raise ValueError(f"an explanation's values are [gh, gw], got {list(self.values.shape)}")
        if not self.signed and self.values.min() < 0:
            raise ValueError(f"{self.method} is unsigned and yet holds {self.values.min():g}; pass signed=True")


def on_grid(row: Tensor, trace: Trace) -> Tensor:
    """Values of all tokens [N] -> those of the patches [gh, gw]."""
    return row[trace.prefix :].reshape(trace.grid)


def over_patches(values: Tensor, trace: Trace) -> Tensor:
    """Values of the pixels [1, C, h, w], summed over channels and each patch's pixels -> [gh, gw]."""
    (gh, gw), (_, channels, height, width) = trace.grid, values.shape
    return values.reshape(channels, gh, height // gh, gw, width // gw).sum((0, 2, 4))
