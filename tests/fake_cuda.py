"""A machine that says it has a GPU: whatever is put there fails, so a test that passes has chosen the CPU.

`VIT_EXPLORER_TESTS_FAKE_CUDA=1 python -m pytest ...` runs any test so; processes that tests start see no GPU."""

from __future__ import annotations

import torch


def pretend() -> None:
    """Have torch say, until this process ends, that there is one CUDA GPU."""
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_name = lambda device=None: "a GPU that is not there"
    torch.cuda.is_current_stream_capturing = lambda: False  # which each step of an optimiser asks
    torch.cuda.manual_seed = torch.cuda.manual_seed_all = lambda seed: None
