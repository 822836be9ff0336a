"""A device that is not the CPU, on a machine that has none: tensors that say they are elsewhere and keep their numbers
on the CPU.

It refuses what real ones refuse: tensors of two devices in one operation, numpy without a copy to the CPU, and, as
Apple's mps, float64. What it cannot show is speed, rounding, fused attention, and operations that a real one lacks.

Tests that use it are marked `other_device` and run in a process of their own (`own_process.py`): once torch knows of
the device, it can run no backward pass on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from tests.own_process import MARK, is_own_process

NAME = "elsewhere"
MIXING = {  # copies, and indices, which every device fetches for itself
    torch.ops.aten._to_copy.default,
    torch.ops.aten.copy_.default,
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
}


class OnDevice(Tensor):
    """A tensor that says it is on the device; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"{NAME} has no {held.dtype}")
        words = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.size(), device=_device(), **words)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, arguments: tuple = (), words: dict | None = None) -> Any:
        tensors = [value for value in tree_leaves((arguments, words)) if isinstance(value, Tensor)]
        here = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnDevice)}
        if function not in MIXING and any(tensor.dim() for tensor in tensors if not isinstance(tensor, OnDevice)):
            raise RuntimeError(f"{function}: expected all tensors on one device, found {NAME} and cpu")
        words = dict(words or {})
        target = torch.device(words.get("device") or _device())
        if "device" in words:
            words["device"] = torch.device("cpu")
        found = function(*_held(arguments), **_held(words))
        if target.type != NAME or (function is torch.ops.aten.copy_.default and id(found) not in here):
            return found

        def wrapped(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return here.get(id(value)) if id(value) in here else OnDevice(value)  # in place: the tensor that came

        return tree_map(wrapped, found)

    def tolist(self) -> Any:
        return self.held.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.held.untyped_storage()

    def __repr__(self) -> str:
        return f"OnDevice({self.held!r})"


def _held(values: Any) -> Any:
    return tree_map_only(OnDevice, lambda tensor: tensor.held, values)


# What torch asks the device for by itself: memory, and copies into it.


def _empty(size: Any, *stride: Any, dtype: torch.dtype | None = None, **_: Any) -> OnDevice:
    return OnDevice(torch.empty_strided(size, *stride, dtype=dtype) if stride else torch.empty(size, dtype=dtype))


def _copied(source: Tensor, target: OnDevice, non_blocking: bool = False) -> Tensor:
    _held(target).copy_(_held(source))
    return target


def _device() -> torch.device:
    return torch.device(NAME, 0)


@cache
def _register() -> torch.library.Library:
    """Tell torch of the device, for as long as this process runs."""
    assert is_own_process(), f"a test that uses this device is marked {MARK}, so that it runs in a process of its own"
    _setup_privateuseone_for_python_backend(NAME)  # torch's own place for devices that are written in Python
    kernels = torch.library.Library("aten", "IMPL")
    kernels.impl("empty.memory_format", _empty, "PrivateUse1")
    kernels.impl("empty_strided", _empty, "PrivateUse1")
    kernels.impl("_copy_from", _copied, "PrivateUse1")
    for name in ("eye", "eye.m", "arange", "arange.start", "arange.start_step", "linspace", "randperm"):
        function = getattr(torch, name.split(".")[0])

        def made(*arguments: Any, dtype: torch.dtype | None = None, function: Any = function, **_: Any) -> OnDevice:
            return OnDevice(function(*arguments, dtype=dtype))

        kernels.impl(name, made, "PrivateUse1")
    return kernels


def _attention(queries: Tensor, keys: Tensor, values: Tensor, dropout_p: float = 0.0) -> Tensor:
    weights = (queries * queries.shape[-1] ** -0.5 @ keys.transpose(-2, -1)).softmax(-1)
    return torch.dropout(weights, dropout_p, train=True) @ values


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within it tensors and modules can be moved to the device."""
    _register()
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # `param.data` cannot change a tensor's type
    try:
        with mock.patch("torch.nn.functional.scaled_dot_product_attention", _attention):  # it would look for a kernel
            yield _device()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


if is_own_process():
    _register()  # before anything is trained: a backward pass knows the devices that were there at the first
