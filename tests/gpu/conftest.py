"""Tests on a real CUDA GPU. Elsewhere they are skipped, or with VIT_EXPLORER_GPU_TESTS=cpu run on the CPU all the same,
so that an hour of a GPU is not spent on what is wrong with the tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.config import RunConfig
from vit_model.device import SETTING

FORCED = os.environ.get("VIT_EXPLORER_GPU_TESTS", "")


def pytest_collection_modifyitems(items):
    """A warning of a driver or compiler that no machine here has is not worth a GPU's hour: it is printed."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="module", autouse=True)
def device():
    """Where the module's tests run, which is where the product then runs models too."""
    name = FORCED or "cuda"
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU here; VIT_EXPLORER_GPU_TESTS=cpu runs this on the CPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, name)
        yield torch.device(name)


@pytest.fixture(scope="module")
def config(tmp_path_factory, device):
    """config(**fields) -> the settings of a short run on 96 pictures, 30 to test with; three classes, by colour."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 10)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                values = random.integers(0, 160, (32, 32, 3), dtype=np.uint8)
                values[..., channel] += 40
                Image.fromarray(values).save(Path(folder) / split / name / f"{number}.png")
    shape = {"model": "new:scratch-vit4", "width": 32, "depth": 2, "heads": 2, "patch_size": 8, "head_init": "random"}
    loop = {"optimizer": "adamw", "lr": 1e-3, "warmup": 2, "clip": 1.0, "batch": 16, "steps": 8}
    events = {"log_every": 1, "eval_every": 4, "held_out": 0.2}

    def make(**fields) -> RunConfig:
        return RunConfig(**(shape | loop | events | {"data": str(folder), "device": str(device)} | fields))

    return make
