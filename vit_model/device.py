"""The device that forwards and training run on where nobody names one."""

from __future__ import annotations

import os

import torch

from vit_model.errors import CodedError
from vit_model.messages import message

SETTING = "VIT_EXPLORER_DEVICE"


def preferred_device() -> torch.device:
    """The device that VIT_EXPLORER_DEVICE names; without it, or where it says "auto": CUDA, else Apple's mps, else the
    CPU. CodedError where the setting is no device, or one that this machine lacks."""
    name = os.environ.get(SETTING, "").strip().lower() or "auto"
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        text = "{setting} must be auto, cpu, cuda, cuda:1, ... or mps; got {name}"
        raise CodedError(message("device_setting_unknown", text, setting=SETTING, name=repr(name[:40])))
    if device.type != "cpu" and not (cuda if device.type == "cuda" else mps):
        text = "{setting} is {name}, but torch finds no such device here; set it to auto or cpu"
        raise CodedError(message("device_setting_missing", text, setting=SETTING, name=name))
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        text = "{setting} is {name}, but there are {count} GPUs"
        raise CodedError(message("device_setting_gpus", text, setting=SETTING, name=name, count=count))
    return device
