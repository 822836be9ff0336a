"""machine.json: the machine that a run was trained on, for its model card."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from training.loop import parallel
from training.storage.jsonfile import write_json


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the device, the number of processes, and the versions that decide the numbers."""
    return {
        "device": _name(device),
        "processes": parallel.world(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
        }
        | ({"cuda": torch.version.cuda} if device.type == "cuda" and torch.version.cuda else {}),
    }


def note_machine(folder: Path, device: torch.device) -> None:
    """Write machine.json of the run in `folder`; a resume elsewhere writes its own in place."""
    write_json(folder / "machine.json", machine(device))


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"CPU ({_processor()})" if _processor() else "CPU"


def _processor() -> str:
    """Return the model of the processor; "" if the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
