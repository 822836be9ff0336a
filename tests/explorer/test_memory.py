"""A long sequence's analyses stay far below its attention matrices: measured in a process of its own."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

# 1,601 tokens, 8 heads, 2 layers: the attention of one layer takes 78 MiB, one fused matrix 10 MiB.
MEASURE = """
import json
import torch
from benchmarks.memory import peak_of, resident_bytes
from explorer.analysis import attention
from explorer.analysis.attention import attention_columns, attention_rows
from explorer.analysis.rollout import rollout, rollout_rows
from explorer.analysis.statistics import attention_distance, attention_entropy
from explorer import explain
from vit_model import ViTConfig, VisionTransformer

attention.BLOCK_VALUES, attention.FUSED_VALUES = 2**18, 2**17  # 1 MiB, and half of one
attention.BLOCK_ROWS = 1
torch.set_num_threads(1)
shape = dict(image_size=40, patch_size=1, width=32, depth=2, heads=8, mlp_width=32, classes=3)
model, pixels = VisionTransformer(ViTConfig(**shape)).eval().requires_grad_(False), torch.randn(1, 3, 40, 40)
trace = model.trace(pixels)
attention_rows(trace, 0, 0), attention_columns(model.trace(pixels), 0, 0)
torch.autograd.grad(model.trace(pixels, differentiable=True).logits.sum(), pixels.requires_grad_(), allow_unused=True)
functions = {
    "row": lambda: attention_rows(trace, 1, 0),
    "column": lambda: attention_columns(trace, 1, 0),
    "rollout": lambda: rollout(trace, 5, "max", discard_ratio=0.5, discard="row"),
    "rollout rows": lambda: rollout_rows(trace, 5),
    "distance": lambda: attention_distance(trace, 1),
    "entropy": lambda: attention_entropy(trace),
    "matrix discards": lambda: rollout(trace, 5, "max", discard_ratio=0.5),
}
by_class = ("gradient-rollout", "relevance", "legrad", "grad-cam", "attention-gradient", "input-gradient")
functions |= {name: lambda name=name: explain(model, pixels, name, 0, trace=trace) for name in by_class}
functions["occlusion"] = lambda: explain(model, pixels, "occlusion", 0, trace=trace, window=39)

print(json.dumps({name: peak_of(f, resident_bytes("VmRSS"))[1] for name, f in functions.items()}))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="peaks are read from /proc, and exact on glibc only")
def test_peaks_do_not_hold_attention_matrices():
    root = Path(__file__).parent.parent.parent
    exact = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # every tensor is mapped by itself, and given back
    command = [sys.executable, "-c", MEASURE]
    found = subprocess.run(command, cwd=root, env=exact, capture_output=True, text=True, check=True)
    peaks = json.loads(found.stdout)
    differentiated = ("gradient-rollout", "relevance", "attention-gradient", "input-gradient")
    limits = dict.fromkeys(peaks, 6) | {"matrix discards": 30} | dict.fromkeys(differentiated, 14) | {"occlusion": 20}
    assert {name: peak for name, peak in peaks.items() if peak > limits[name]} == {}
