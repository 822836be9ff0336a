"""Environment variables that torch, Gradio and huggingface_hub read when they are imported. Imports none of them."""

from __future__ import annotations

import os
from pathlib import Path

from vit_model.files.private import fault_of


def prepare_environment() -> str:
    """Set what is not set yet; call it before anything imports torch or Gradio. Returns why VIT_EXPLORER_CACHE cannot
    be used and what to do, or an empty string."""
    if cache := os.environ.get("VIT_EXPLORER_CACHE"):  # one writable folder for everything that is written
        if fault := fault_of(Path(cache, "tmp")):
            return f"VIT_EXPLORER_CACHE: {fault}; set it to a folder that this user may write"
        os.environ.setdefault("TMPDIR", str(Path(cache) / "tmp"))
        os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(cache) / "gradio"))
        os.environ.setdefault("HF_HOME", str(Path(cache) / "huggingface"))
        os.environ.setdefault("VIT_EXPLORER_RUNS", str(Path(cache) / "runs"))
    # Between two parts of a product torch's threads would wait in loops, and take the processors from other visitors'
    # work: on two cores two forward passes at once take 0.7x of the time so, and one alone 1.1x (ViT-S/14) to 1.35x
    # (bundled)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Gradio 6.31 makes a table of the last 10,000 events after every one, for its monitoring page, which is off here
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    return ""
