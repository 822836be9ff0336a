"""Meters of a training: sums that wait for no device, images a second, memory."""

from __future__ import annotations

import time

import torch
from torch import Tensor


class RunningMean:
    """Mean loss and accuracy since the last event, kept on the device so that no step waits for a number. Means are
    taken on the CPU, in float64, which Apple's mps does not have."""

    def __init__(self, state: dict[str, Tensor] | None = None):
        state = state or {}
        self.losses: list[Tensor] = list(state.get("since.losses", ()))
        self.correct: list[Tensor] = list(state.get("since.right", ()))

    def state(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint, so that the first event after a resume covers the same steps."""
        return (
            {"since.losses": torch.stack(self.losses), "since.right": torch.stack(self.correct)} if self.losses else {}
        )

    def add(self, loss: Tensor, correct: Tensor) -> None:
        self.losses.append(loss)
        self.correct.append(correct)

    @property
    def loss(self) -> float:
        return float(torch.stack(self.losses).cpu().double().mean())

    @property
    def accuracy(self) -> float:
        return float(torch.stack(self.correct).cpu().double().mean())


class Rate:
    """Images a second over the last steps, evaluations left out."""

    def __init__(self):
        self.marks: list[tuple[float, int, float]] = [(time.monotonic(), 0, 0.0)]

    def add(self, images: int, waited: float) -> None:
        _, done, before = self.marks[-1]
        self.marks.append((time.monotonic(), done + images, before + waited))
        del self.marks[:-50]

    def restart(self) -> None:
        self.marks = [(time.monotonic(), *self.marks[-1][1:])]

    @property
    def images_per_second(self) -> float:
        (start, first, _), (end, last, _) = self.marks[0], self.marks[-1]
        return (last - first) / (end - start) if end > start else 0.0

    @property
    def waiting(self) -> float:
        """Share of the time spent waiting for data."""
        (start, _, before), (end, _, after) = self.marks[0], self.marks[-1]
        return (after - before) / (end - start) if end > start else 0.0


def peak_memory(device: torch.device) -> int:
    """Return the peak bytes of this process on the GPU, else of its resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    except ImportError:  # Windows
        return 0
