"""Peak memory and time of one picture's analyses, in a process of its own: `python -m benchmarks.memory SIDE` prints
JSON. Peaks come from /proc, so Linux only."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

MIB = 2**20
REPEATS = 3
STEPS = ("prediction", "rollout", "a head's map", "attended by")


def measured(side: int, module: str = "benchmarks.memory") -> dict:
    """What `python -m MODULE SIDE` measures in a process of its own. Here, B/16 over one picture of `side` pixels:
    {"tokens", "steps": {name: {"seconds", "peak_mib"}}}. Peaks are above the loaded model, and hold everything that
    earlier steps left, the trace before all."""
    found = subprocess.run(
        [sys.executable, "-m", module, str(side)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        raise RuntimeError(f"measuring memory at {side} px failed:\n{found.stderr}")
    return json.loads(found.stdout)


def resident_bytes(field: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the most since `forget_peak`) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_of(function: Callable[[], object], base: int, repeats: int = 1) -> tuple[object, dict]:
    """The function's result, its median seconds, and the most memory above `base` that it needed."""
    forget_peak()
    seconds, result = [], None
    for _ in range(repeats):
        result = None  # the last repeat's may not count for this one
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, {"seconds": statistics.median(seconds), "peak_mib": (resident_bytes("VmHWM") - base) / MIB}


def main(side: int) -> dict:
    import torch

    from explorer.allocator import keep_freed_memory
    from explorer.attention import attention_columns, attention_rows
    from explorer.rollout import rollout
    from vit_model import SIZES, VisionTransformer

    keep_freed_memory()
    torch.manual_seed(0)
    native = VisionTransformer(SIZES["B/16"]).eval().requires_grad_(False)
    native.trace(torch.zeros(1, 3, 224, 224))  # the libraries' own buffers are there from now on
    model = native if side == 224 else native.at_size(side)
    pixels = torch.randn(1, 3, side, side)
    base = resident_bytes("VmRSS")
    trace, prediction = peak_of(lambda: model.trace(pixels), base, REPEATS)
    functions = {
        "rollout": lambda: rollout(trace),
        "a head's map": lambda: attention_rows(trace, 6, 0)[3],
        "attended by": lambda: attention_columns(trace, 6, 0)[3],
    }
    steps = {"prediction": prediction} | {
        name: peak_of(function, base, REPEATS)[1] for name, function in functions.items()
    }
    assert tuple(steps) == STEPS
    return {"tokens": replace(model.config, image_size=side).tokens, "steps": steps}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
