"""`shapes`: small coloured shapes on noisy backgrounds, drawn by code. Needs no download and is learnt in a minute."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from training.data.picture_set import PictureSet, Split

SIDE = 32
FINE = 2  # points in a pixel, along each axis, whose mean smooths the edges
TILT = 0.2
COUNTS = {"train": 4000, "test": 1000}

Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y <= 0.5) & (y >= np.sqrt(3) * np.abs(x) - 1)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return whether points lie in a five-pointed star: within a fifth of a turn the edge is the straight line from a
    tip (radius 1) to a notch."""
    fold = np.pi / 5
    angle = np.abs((np.arctan2(x, y) + fold) % (2 * fold) - fold)
    along, across = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    notch = 0.42 * np.array([np.cos(fold), np.sin(fold)])
    return (along - 1) * notch[1] <= across * (notch[0] - 1)


SHAPES: dict[str, Inside] = {
    "circle": lambda x, y: np.hypot(x, y) <= 0.85,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) <= 0.27) & (np.maximum(abs(x), abs(y)) <= 0.95),
    "crescent": lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x - 0.45, y) >= 0.8),
    "ring": lambda x, y: (np.hypot(x, y) <= 1) & (np.hypot(x, y) >= 0.55),
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 0.75,
    "star": _star,
    "stripe": lambda x, y: (abs(x) <= 1) & (abs(y) <= 0.28),
    "triangle": _triangle,
}
"""name -> whether the points (x, y) lie inside, for a shape of radius 1 around the origin."""

CLASSES = tuple(SHAPES)


@lru_cache(maxsize=sum(COUNTS.values()))
def draw(split: str, index: int) -> np.ndarray:
    """Draw picture `index` of `split`, [32, 32, 3] uint8. Its class is CLASSES[index % 8].

    The same bits everywhere: every number comes from Python's own generator, seeded by (split, index), whose sequence
    does not change between versions.
    """
    chance = random.Random(f"{split}:{index}")
    radius = SIDE * chance.uniform(0.3, 0.42)
    center = [SIDE / 2 + chance.uniform(-3, 3) for _ in range(2)]
    angle = chance.uniform(-TILT, TILT)

    points = (np.arange(SIDE * FINE, dtype=np.float32) + 0.5) / FINE
    y, x = (points[:, None] - center[0]) / radius, (points[None, :] - center[1]) / radius
    x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = SHAPES[CLASSES[index % len(CLASSES)]](x, y)
    cover = np.zeros((SIDE, SIDE), np.float32)
    for down in range(FINE):
        for right in range(FINE):
            cover += inside[down::FINE, right::FINE]
    cover = cover[:, :, None] / FINE**2

    near, far = (np.array([chance.uniform(0, 90) for _ in range(3)]) for _ in range(2))
    color = np.array([chance.uniform(130, 255) for _ in range(3)])
    slope = np.linspace(0, 1, SIDE)[:, None, None]
    ground = near * (1 - slope) + far * slope
    noise = np.frombuffer(chance.randbytes(SIDE * SIDE * 3), np.uint8).reshape(SIDE, SIDE, 3) / 255 - 0.5
    picture = ground * (1 - cover) + color * cover + noise * chance.uniform(20, 60)
    drawn = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    drawn.flags.writeable = False  # everyone gets the same one
    return drawn


@dataclass(frozen=True)
class DrawnStore:
    split: str

    def read(self, row: int) -> Image.Image:
        return Image.fromarray(draw(self.split, row))


def shapes() -> PictureSet:
    """Return 4,000 pictures to train on and 1,000 to test on, of eight classes, drawn as they are read."""
    splits = {}
    for split, count in COUNTS.items():
        labels = np.arange(count, dtype=np.int64) % len(CLASSES)
        names = tuple(f"{split}/{CLASSES[label]}/{index:04d}.png" for index, label in enumerate(labels))
        splits[split] = Split(labels, names, DrawnStore(split), np.arange(count))
    return PictureSet("shapes", CLASSES, splits, fingerprint="shapes-1")
