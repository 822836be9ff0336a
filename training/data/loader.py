"""A split's pictures as uint8 pixels on the device: all of them where they fit, else decoded ahead of their use."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.picture_set import DataError, Split
from vit_model.messages import Message, message, message_of
from vit_model.picture import PictureError

Make = Callable[[Image.Image], np.ndarray]
Progress = Callable[[int, int, str], None]

AHEAD = 3  # batches under way for each worker process, or for all threads together
CHUNK = 256  # pictures decoded together while a resident set is made


class Pictures:
    """The pictures `indices` of a split, each as `make` sees it: uint8 [3, height, width], all of one size.

    `positions` count within `indices`. `resident`: whether all pixels lie on the device. `waited_seconds`: how long
    `fetch` and `ahead` kept their caller waiting for pixels so far. Order and pixels do not depend on `resident` or
    `workers`.
    """

    def __init__(self, split: Split, indices: np.ndarray, make: Make, device: torch.device, workers: int):
        self.split, self.indices, self.device, self.workers = split, indices, device, workers
        self.labels = torch.from_numpy(np.asarray(split.labels, np.int64)[indices]).to(device)
        self.waited_seconds = 0.0
        self._decoder = _Decoder(split, indices, make, _shape(split, indices, make))
        self._pixels: Tensor | None = None
        self._loader: DataLoader | None = None
        self._batches = _Plan()

    @classmethod
    def prepare(
        cls,
        split: Split,
        indices: Iterable[int],
        make: Make,
        device: torch.device | str,
        *,
        workers: int = 0,
        budget_bytes: int | None = None,
        progress: Progress | None = None,
    ) -> Pictures:
        """Decode everything now if it takes at most `budget_bytes` (default: a quarter of the device's free memory,
        or of the RAM at hand), which `progress(pictures done, pictures, text)` follows.

        `make`: picture -> uint8 [height, width, 3], picklable, the same size for all. `workers`: processes that decode;
        with 0 threads of this process do. `indices` may be empty. DataError if a picture cannot be read (any more).
        """
        indices = np.fromiter(indices, np.int64)
        pictures = cls(split, indices, make, torch.device(device), workers)
        budget = default_budget(pictures.device) if budget_bytes is None else budget_bytes
        if pictures.nbytes <= budget:
            pictures._make_resident(progress)
        return pictures

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def resident(self) -> bool:
        return self._pixels is not None

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels together."""
        return len(self.indices) * int(np.prod(self._decoder.shape))

    def fetch(self, positions: Tensor) -> Tensor:
        """Return the pixels [b, 3, height, width] uint8, on the device, of positions [b] int64."""
        began = time.perf_counter()
        if self._pixels is not None:
            pixels = self._pixels[positions.to(self.device)]
        else:
            with ThreadPoolExecutor(_threads()) as pool:
                pixels = self._sent(_stacked(pool.map(self._decoder, positions.tolist())))
        self.waited_seconds += time.perf_counter() - began
        return pixels

    def ahead(self, plan: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the batches of `plan`, a sequence of positions, in its order. Unless the set is resident, several of
        them are under way at any time; one such iteration can run at once, and it can be left at any point."""
        if self._pixels is not None:
            yield from map(self.fetch, plan)
            return
        with closing(self._by_processes(plan) if self.workers else self._by_threads(plan)) as batches:
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                pixels = None if batch is None else self._sent(batch)
                self.waited_seconds += time.perf_counter() - began
                if pixels is None:
                    return
                yield pixels

    def _make_resident(self, progress: Progress | None) -> None:
        pixels = torch.empty((len(self), *self._decoder.shape), dtype=torch.uint8, device=self.device)
        plan = torch.arange(len(self)).split(CHUNK) if len(self) else ()
        done = 0
        with closing(self._by_processes(plan) if self.workers else self._by_threads(plan)) as batches:
            for batch in batches:
                pixels[done : done + len(batch)] = self._sent(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, len(self), message("decoding_pictures", "decoding pictures"))
        self._pixels, self._loader = pixels, None

    def _by_threads(self, plan: Iterable[Tensor]) -> Generator[Tensor | str, None, None]:
        plan = iter(plan)
        under_way: deque = deque()
        pool = ThreadPoolExecutor(_threads())
        try:
            while True:
                while len(under_way) < AHEAD and (positions := next(plan, None)) is not None:
                    under_way.append([pool.submit(self._decoder, position) for position in positions.tolist()])
                if not under_way:
                    return
                yield _stacked(future.result() for future in under_way.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _by_processes(self, plan: Iterable[Tensor]) -> Generator[Tensor | str, None, None]:
        if self._loader is None:
            self._loader = DataLoader(
                self._decoder,
                batch_sampler=self._batches,
                num_workers=self.workers,
                collate_fn=_stacked,
                prefetch_factor=AHEAD,
                persistent_workers=True,  # starting a process takes seconds, an epoch may take less
                pin_memory=self.device.type == "cuda",
                multiprocessing_context="spawn",  # a forked copy of a process with threads, or with CUDA, may hang
                generator=torch.Generator(),  # else the seed of every epoch is drawn from torch's global one
            )
        self._batches.plan = plan
        try:
            yield from self._loader
        except RuntimeError as error:
            if "worker" not in str(error):
                raise
            raise DataError(
                message(
                    "loader_died",
                    "a process that decodes pictures died ({reason}); memory or /dev/shm may be too small: set workers "
                    "to 0, which decodes by threads",
                    reason=str(error).splitlines()[0],
                )
            ) from error

    def _sent(self, batch: Tensor | str) -> Tensor:
        if isinstance(batch, str):
            raise DataError(batch)
        return batch.to(self.device, non_blocking=True)


class _Decoder(Dataset):
    """Position -> pixels [3, height, width] uint8; or, where that fails, the reason: an exception that crossed a
    process boundary arrives with a page of traceback in its message."""

    def __init__(self, split: Split, indices: np.ndarray, make: Make, shape: tuple[int, ...]):
        self.split, self.indices, self.make, self.shape = split, indices, make, shape

    def __call__(self, index: int) -> Tensor | str:
        index = int(self.indices[index])
        try:
            pixels = _pixels(self.make(self.split.read(index)))
        except PictureError as error:
            return _changed_message(error)
        if tuple(pixels.shape) != self.shape:
            return message(
                "picture_sizes",
                "{name}: expected {wanted} pixels like the first picture, got {found}; make all pictures the same size",
                name=self.split.names[index],
                wanted=_size(self.shape),
                found=_size(tuple(pixels.shape)),
            )
        return pixels

    __getitem__ = __call__


class _Plan:
    """A batch sampler for DataLoader: the lists of positions to decode, in order. Each epoch brings another."""

    plan: Iterable[Tensor] = ()

    def __iter__(self) -> Iterator[list[int]]:
        return (positions.tolist() for positions in self.plan)


def default_budget(device: torch.device) -> int:
    """Return a quarter of the memory that is free on the device, in bytes; of the free RAM for a device without its
    own."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 4
    return _free_ram() // 4


def _free_ram() -> int:
    """Return the RAM that can be had without swapping, within the limit of this container; 4 GiB if the system does not
    say."""
    free = 4 * 2**30
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = free if limit == "max" else min(free, max(int(limit) - used, 0))
    except (OSError, ValueError, StopIteration):
        pass
    return free


def _threads() -> int:
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 16)


def _shape(split: Split, indices: np.ndarray, make: Make) -> tuple[int, ...]:
    """Return the shape of the first picture, which all pictures have."""
    if not len(indices):
        return (3, 0, 0)
    try:
        return tuple(_pixels(make(split.read(int(indices[0])))).shape)
    except PictureError as error:
        raise DataError(_changed_message(error)) from error


def _changed_message(error: PictureError) -> Message:
    text = "{reason}; the data changed since they were checked: open them again"
    return message("data_changed_since", text, reason=message_of(error))


def _pixels(array: np.ndarray) -> Tensor:
    assert array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3, (array.dtype, array.shape)
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)


def _stacked(pictures: Iterable[Tensor | str]) -> Tensor | str:
    """Stack pictures to a batch [b, 3, height, width], or return the reason why the first one that failed did."""
    decoded: list[Tensor] = []
    for picture in pictures:
        if isinstance(picture, str):
            return picture
        decoded.append(picture)
    return torch.stack(decoded)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[2]}"
