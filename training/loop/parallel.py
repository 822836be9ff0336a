"""One run on several processes: each takes its rows of every batch, gradients are averaged (DistributedDataParallel).

Started by torchrun, which sets RANK, LOCAL_RANK and WORLD_SIZE; without them everything here is the plain case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.config import ConfigError
from vit_model.device import preferred_device
from vit_model.errors import CodedError, quoted
from vit_model.messages import message, message_of


def launched() -> bool:
    """Return whether torchrun started this process."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


@contextmanager
def group(device: str) -> Iterator[None]:
    """Join the other processes for as long as the block runs; do nothing for a single one."""
    if not launched():
        yield
        return
    try:
        cuda = device_of(device).type == "cuda"
    except ConfigError:  # which the training says again, where its reason is kept
        cuda = False
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def device_of(name: str) -> torch.device:
    """ "auto" -> as `preferred_device` says; "cuda" -> this process's own. ConfigError where it is missing."""
    if name == "auto":
        try:
            name = str(preferred_device())
        except CodedError as error:
            raise ConfigError(message_of(error)) from error
    try:
        device = torch.device(name)
    except RuntimeError as error:
        text = "device must be auto, cpu, cuda, cuda:1, ... or mps; got {name}"
        raise ConfigError(message("device_unknown", text, name=quoted(name))) from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            text = "there is no CUDA GPU that torch can use here; choose device auto or cpu"
            raise ConfigError(message("no_gpu", text))
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if device.index >= torch.cuda.device_count():
            text, count = "there are {count} GPUs, so there is no {device}", torch.cuda.device_count()
            raise ConfigError(message("no_such_gpu", text, count=count, device=device))
    return device


def wrap(model: nn.Module, device: torch.device, compiled: bool) -> nn.Module:
    """Wrap the model for the training step. The parameters stay those of `model`."""
    if world() > 1:
        model = DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)
    if compiled:
        return torch.compile(model)  # pyright: ignore[reportReturnType] # torch's types call it a function
    return model


def without_sync(model: nn.Module, more_to_come: bool):
    """Suppress the exchange of gradients for all but the last part of a step."""
    inner = getattr(model, "_orig_mod", model)
    return inner.no_sync() if more_to_come and isinstance(inner, DistributedDataParallel) else nullcontext()


def mean(value: Tensor) -> Tensor:
    """Average a value over all processes."""
    if world() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world()


def any_of(flag: bool) -> bool:
    """Return whether `flag` is true in any process."""
    if world() == 1:
        return flag
    total = torch.tensor(float(flag), device=_device())
    dist.all_reduce(total)
    return bool(total.item())


def agree(value: float) -> float:
    """Return the first process's value in all processes."""
    if world() == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=_device())
    dist.broadcast(shared, 0)
    return shared.item()


def wait() -> None:
    """Wait for all other processes."""
    if world() > 1:
        dist.barrier()


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
