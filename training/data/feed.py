"""The pictures of a run: its data set split, decoded for the resolution at hand, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.config import RunConfig
from training.data.datasets import hold_out, open_dataset
from training.data.loader import Pictures
from training.randomness import order
from vit_model import Preprocessing

Progress = Callable[[int, int, str], None]
ROOM = 8 / 7  # how much larger than the input a picture is stored, where crops are taken from it


class Feed:
    """The pictures of a run. `count` are trained on; `held_labels` belong to the part that chooses, which is the data
    set's own "val" where it has one, else taken from "train"; both may be empty. The test set is opened when asked."""

    def __init__(
        self,
        config: RunConfig,
        device: torch.device,
        progress: Progress | None,
        local_paths: bool = True,
        sample: int | None = None,
        guest: bool = False,
    ):
        self.config, self.device, self.progress = config, device, progress
        self.data = open_dataset(config.data, progress=progress, local_paths=local_paths, guest=guest)
        self.classes = self.data.classes
        labels = self.data.splits["train"].labels
        if "val" in self.data.splits and config.held_out:
            self.indices, self.held_split = np.arange(len(labels)), "val"
            self.held_indices = np.arange(len(self.data.splits["val"].labels))
        else:
            self.held_split = "train"
            self.indices, self.held_indices = (
                hold_out(labels, config.held_out, config.seed)
                if config.held_out
                else (np.arange(len(labels)), np.arange(0))
            )
        self.held_labels = torch.as_tensor(self.data.splits[self.held_split].labels[self.held_indices])
        self.has_test = "test" in self.data.splits
        self.test_labels = torch.as_tensor(self.data.splits["test"].labels) if self.has_test else torch.zeros(0)
        self.whole_count = len(self.indices)
        if sample is not None and sample + config.batch < len(self.indices):  # a dry run decodes a few
            self.indices = self.indices[order(config.seed, 0, len(self.indices))[: sample + config.batch]]
            self.held_indices = self.held_indices[:0]
        self.labels = torch.as_tensor(labels[self.indices])
        self.count = len(self.indices)
        self._ahead: Iterator[Tensor] | None = None
        self._next = -1

    @property
    def parts(self) -> dict[str, tuple[str, np.ndarray]]:
        """Return the parts of the data set that the run uses: part -> (split, indices of its pictures there)."""
        parts = {"train": ("train", self.indices), "val": (self.held_split, self.held_indices)}
        return parts | ({"test": ("test", np.arange(len(self.test_labels)))} if self.has_test else {})

    def prepare(self, preprocessing: Preprocessing) -> None:
        """Decode the pictures for this resolution."""
        self._preprocessing = preprocessing
        train = self.data.splits["train"]
        self.train = self._pictures(train, self.indices, Stored(self._stored(train, preprocessing)))
        self.held_out = self._pictures(
            self.data.splits[self.held_split], self.held_indices, Stored(preprocessing)
        )  # fmt: skip
        self._ahead, self._next = None, -1

    def test(self) -> Pictures:
        split = self.data.splits["test"]
        return self._pictures(split, np.arange(len(split.labels)), Stored(self._preprocessing))

    def batch(self, step: int, rank: int, world: int) -> tuple[Tensor, Tensor, slice]:
        """Return this process's rows of the batch of `step` (from 0): uint8 pixels, labels, and which rows they are."""
        size = self.config.batch // world
        rows = slice(rank * size, (rank + 1) * size)
        if step != self._next:  # the first of all, or after a jump
            self._plan = self._positions(step, rows)
            self._ahead = self.train.ahead(self._positions(step, rows))
        assert self._ahead is not None  # made with the plan
        pixels, positions = next(self._ahead), next(self._plan)
        self._next = step + 1
        return pixels, self.labels[positions].to(self.device), rows

    @property
    def waited(self) -> float:
        """Seconds spent waiting for pictures so far."""
        return self.train.waited_seconds

    def _positions(self, step: int, rows: slice) -> Iterator[Tensor]:
        """Yield, for every step from `step` on, the pictures of these rows, as positions in the training part.
        Every epoch visits all of them in a new order; what does not fill a batch is left out of that epoch."""
        batch, per_epoch = self.config.batch, self.count // self.config.batch
        epoch, visited = -1, np.arange(0)
        while True:
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                visited = order(self.config.seed, epoch, self.count)
            start = step % per_epoch * batch
            yield torch.from_numpy(visited[start : start + batch][rows].copy())
            step += 1

    def _pictures(self, split, indices: np.ndarray, make: Stored) -> Pictures:
        return Pictures.prepare(
            split, indices, make, self.device, workers=self.config.workers, progress=self.progress
        )  # fmt: skip

    def _stored(self, split, preprocessing: Preprocessing) -> Preprocessing:
        """Choose how training pictures are stored. Without crops: as they are evaluated. Else squares of one size stay
        as they are, unless they are far larger than needed; others get a little more room than the input."""
        side = preprocessing.size[0]
        native = self._native(split)
        if self.config.crop == "none":
            return preprocessing
        if native is not None and native <= 1.5 * side:
            return preprocessing.at_size(native)
        roomy = 1.5 if native is not None else ROOM
        return preprocessing.at_size(round(side * roomy))

    def _native(self, split) -> int | None:
        """Return the side of the training pictures, if a few of them are squares of one size."""
        some = self.indices[np.linspace(0, self.count - 1, min(self.count, 16)).astype(int)]
        sizes = {split.read(int(index)).size for index in some}
        (width, height), *others = sizes
        return width if not others and width == height else None


@dataclass(frozen=True)
class Stored:
    """A function picture -> uint8 [h, w, 3] with the geometry of a preprocessing, before normalisation."""

    preprocessing: Preprocessing

    def __call__(self, picture: Image.Image) -> np.ndarray:
        return self.preprocessing.values(picture)[0]
