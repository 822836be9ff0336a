"""The device that forwards and training run on where nobody names one."""

from __future__ import annotations

import os

import torch

SETTING = "VIT_EXPLORER_DEVICE"


def preferred_device() -> torch.device:
    """The device that VIT_EXPLORER_DEVICE names; without it, or where it says "auto": CUDA, else Apple's mps, else the
    CPU. ValueError where the setting is no device, or one that this machine lacks."""
    name = os.environ.get(SETTING, "").strip().lower() or "auto"
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"{SETTING} must be auto, cpu, cuda, cuda:1, ... or mps; got {name[:40]!r}")
    if device.type != "cpu" and not (cuda if device.type == "cuda" else mps):
        raise ValueError(f"{SETTING} is {name}, but torch finds no such device here; set it to auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"{SETTING} is {name}, but there are {torch.cuda.device_count()} GPUs")
    return device
