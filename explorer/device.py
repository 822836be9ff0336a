"""Where forwards run: the device, in words for the page, and Hugging Face's ZeroGPU where it is there."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import TypeVar

try:
    import spaces  # before CUDA is initialised, as ZeroGPU asks; only Hugging Face's Spaces have it
except ImportError:
    spaces = None

import torch

Function = TypeVar("Function", bound=Callable)

ZERO_GPU = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t")


def on_space() -> bool:
    """Whether this process runs on a Hugging Face Space."""
    return "SPACE_ID" in os.environ


def on_gpu(function: Function, seconds: int = 60) -> Function:
    """`spaces.GPU(duration=seconds)` where that package is there (a no-op off ZeroGPU), else the function itself."""
    return function if spaces is None else spaces.GPU(duration=seconds)(function)


def best_device() -> torch.device:
    """CUDA, else Apple's mps, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def resting_device() -> torch.device:
    """Where models and traces stay between calls: on ZeroGPU the CPU, since a GPU is lent to one call at a time."""
    return torch.device("cpu") if ZERO_GPU else best_device()


def device_report() -> tuple[str, dict[str, str]]:
    """(key, details): `gpu` with its name, or why there is none: `zero-gpu`, `cpu-build`, `no-gpu`."""
    if ZERO_GPU:
        return "zero-gpu", {}
    if torch.cuda.is_available():
        return "gpu", {"name": torch.cuda.get_device_name()}
    if torch.backends.mps.is_available():
        return "gpu", {"name": f"Apple {platform.processor() or 'GPU'} (mps)"}
    if torch.version.cuda is None and torch.version.hip is None:
        return "cpu-build", {"version": torch.__version__}
    return "no-gpu", {"version": torch.__version__}
