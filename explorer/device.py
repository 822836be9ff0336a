"""The device where forwards run, its description for the page, and Hugging Face's ZeroGPU where there is one."""

from __future__ import annotations

import os
import pickle
import platform
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import wraps
from typing import Any, TypeVar

try:
    # Before CUDA is initialised, as ZeroGPU asks; only Hugging Face's Spaces have it
    import spaces  # pyright: ignore[reportMissingImports]
except ImportError:
    spaces = None

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vit_model.device import SETTING, preferred_device

Function = TypeVar("Function", bound=Callable)

ZERO_GPU = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t")


def on_space() -> bool:
    """Return whether this process runs on a Hugging Face Space."""
    return "SPACE_ID" in os.environ


def on_gpu(function: Function, seconds: int = 60) -> Function:
    """`spaces.GPU(duration=seconds)` where that package is there (a no-op off ZeroGPU), else the function itself."""
    return function if spaces is None else spaces.GPU(duration=seconds)(function)


def steps_on_gpu(function: Callable[..., Iterator], seconds: int = 60) -> Callable[..., Iterator]:
    """`on_gpu` for a generator of anything that pickle takes. On ZeroGPU it runs in a forked worker, which may be gone
    before a tensor in shared memory is read: what it yields comes as bytes."""
    if not ZERO_GPU:
        return function

    @wraps(function)
    def in_bytes(*arguments: Any) -> Generator[bytes, None, None]:
        for value in function(*arguments):
            yield pickle.dumps(value)

    lent = on_gpu(in_bytes, seconds)

    def steps(*arguments: Any) -> Iterator[Any]:
        with closing(lent(*arguments)) as values:
            for value in values:
                yield pickle.loads(value)

    return steps


def best_device() -> torch.device:
    """Where forwards run: as `preferred_device` says."""
    return preferred_device()


def resting_device() -> torch.device:
    """Return the device where models and traces stay between calls: on ZeroGPU the CPU, since a GPU is lent to one call
    at a time."""
    return torch.device("cpu") if ZERO_GPU else best_device()


def on_host(values: Tensor | ArrayLike, dtype: type | None = None) -> np.ndarray:
    """Convert values on any device to numpy, which itself takes no tensor of a GPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype)


def device_report() -> tuple[str, dict[str, str]]:
    """(key, details): `gpu` with its name, or why there is none: `zero-gpu`, `cpu-setting`, `cpu-build`, `no-gpu`."""
    if ZERO_GPU:
        return "zero-gpu", {}
    device = best_device()
    if device.type == "cuda":
        return "gpu", {"name": torch.cuda.get_device_name(device)}
    if device.type == "mps":
        return "gpu", {"name": f"Apple {platform.processor() or 'GPU'} (mps)"}
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "cpu-setting", {"setting": SETTING}
    if torch.version.cuda is None and torch.version.hip is None:
        return "cpu-build", {"version": torch.__version__}
    return "no-gpu", {"version": torch.__version__}
