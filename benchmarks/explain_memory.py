"""Peak memory of the methods of explanation, in a process of its own: `python -m benchmarks.explain_memory SIDE` prints
JSON. Peaks come from /proc, so Linux only."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from benchmarks.memory import peak_of, resident_bytes
from vit_model.config import ViTConfig

METHODS = ("rollout", "grad-cam", "legrad", "input-gradient", "attention-gradient", "gradient-rollout", "relevance")
ORACLE = "relevance with stored attention (oracle)"


def peaks(config: ViTConfig) -> dict:
    """{"tokens", "peaks": {name: MiB above the loaded model}}. Each method begins with pixels alone; a peak holds no
    more than the library's buffers from before."""
    import torch

    from benchmarks.explain_oracles import with_stored_attention
    from benchmarks.peers import random_model
    from explorer.analysis.explain.methods import explain

    model = random_model(config)
    pixels, found = torch.randn(1, config.channels, *config.image_size), {}
    model(pixels)  # the library's own buffers are there from now on
    base = resident_bytes("VmRSS")
    for method in METHODS:
        found[method] = peak_of(lambda method=method: explain(model, pixels, method, 0), base)[1]
    oracle = with_stored_attention(config)["relevance"]
    base = resident_bytes("VmRSS")
    found[ORACLE] = peak_of(lambda: oracle(pixels, 0), base)[1]
    return {"tokens": config.tokens, "peaks": found}


if __name__ == "__main__":
    from vit_model import SIZES

    print(json.dumps(peaks(replace(SIZES["B/16"], image_size=int(sys.argv[1])))))
