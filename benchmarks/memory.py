"""Peak memory of one picture's analyses, in a process of its own: `python -m benchmarks.memory SIDE` prints
JSON. Peaks come from /proc, so Linux only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_model import Trace

MIB = 2**20


def measured(side: int, module: str = "benchmarks.memory") -> dict:
    """What `python -m MODULE SIDE` measures in a process of its own. Here, B/16 over one picture of `side` pixels:
    {"prediction", "rollout", ...: MiB above the loaded model}, with everything that earlier steps left, the trace
    before all."""
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


def peak_of(function: Callable[[], object], base: int) -> tuple[object, float]:
    """The function's result, and the most memory above `base` that it needed, in MiB."""
    forget_peak()
    result = function()
    return result, (resident_bytes("VmHWM") - base) / MIB


def analyses(trace: Trace) -> dict[str, Callable[[], object]]:
    """What is asked of one picture's trace."""
    from explorer.analysis.attention import attention_columns, attention_rows
    from explorer.analysis.rollout import rollout

    return {
        "rollout": lambda: rollout(trace),
        "a head's map": lambda: attention_rows(trace, 6, 0)[3],
        "attended by": lambda: attention_columns(trace, 6, 0)[3],
    }


def main(side: int) -> dict[str, float]:
    import torch

    from explorer.session.allocator import keep_freed_memory
    from vit_model import SIZES, VisionTransformer

    keep_freed_memory()
    torch.manual_seed(0)
    native = VisionTransformer(SIZES["B/16"]).eval().requires_grad_(False)
    native.trace(torch.zeros(1, 3, 224, 224))  # the libraries' own buffers are there from now on
    model = native if side == 224 else native.at_size(side)
    pixels = torch.randn(1, 3, side, side)
    base = resident_bytes("VmRSS")
    trace, prediction = peak_of(lambda: model.trace(pixels), base)
    return {"prediction": prediction} | {name: peak_of(function, base)[1] for name, function in analyses(trace).items()}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
