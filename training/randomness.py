"""Randomness as a function of (seed, purpose, step), so that a resume needs no saved random state."""

from __future__ import annotations

import numpy as np
import torch

PURPOSES = ("order", "augment", "mix", "model", "initialise")


def generator(seed: int, purpose: str, when: int = 0, part: int = 0) -> np.random.Generator:
    """Make a counter-based generator (Philox; Salmon et al. 2011) for each purpose, step or epoch, and part."""
    key = (seed % 2**64, (PURPOSES.index(purpose) << 60) + when)
    return np.random.Generator(np.random.Philox(key=key, counter=(0, 0, 0, part)))


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """Return the order in which an epoch visits its `count` pictures."""
    return generator(seed, "order", epoch).permutation(count)


def seed_torch(seed: int, purpose: str, when: int = 0, part: int = 0) -> None:
    """Seed torch's own generators (dropout, DropPath, initial weights) in the same way."""
    torch.manual_seed(int(generator(seed, purpose, when, part).integers(2**63)))
