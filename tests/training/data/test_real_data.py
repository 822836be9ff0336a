"""Real archives of pictures, where they are at hand: in the folder that VIT_EXPLORER_TEST_DATA names, or in
shared/data beside the project."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from training.data.datasets import hold_out, open_dataset
from training.data.loader import Pictures
from training.data.report import report

FOLDER = Path(os.environ.get("VIT_EXPLORER_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def opened(cache):
    def open_(name):
        path = FOLDER / name
        if not path.is_file():
            pytest.skip(f"{name} is not in {FOLDER}; set VIT_EXPLORER_TEST_DATA to a folder that holds it")
        return open_dataset(str(path), cache=cache)

    return open_


def test_cifar10(opened):
    pictures = opened("cifar10.tar.xz")
    assert pictures.classes[0] == "airplane"
    assert {kind: len(split) for kind, split in pictures.splits.items()} == {"train": 50_000, "test": 10_000}
    assert pictures.unreadable == ()
    train, held = hold_out(pictures.splits["train"].labels, 0.1, 42)
    assert np.bincount(pictures.splits["train"].labels[held]).tolist() == [500] * 10

    told = report(pictures, {"train": ("train", train), "val": ("train", held), "test": ("test", np.arange(10_000))})
    assert told["sizes"]["height"] == told["sizes"]["width"] == [32, 32.0, 32]
    assert told["imbalance"]["ratio"] == 1

    made = Pictures.prepare(pictures.splits["test"], np.arange(0, 10_000, 50), np.asarray, "cpu")
    assert made.resident
    assert torch.equal(made.labels, torch.arange(10).repeat_interleave(20))
    assert 100 < made.fetch(torch.arange(200)).float().mean() < 140


def test_imagenette(opened):
    pictures = opened("imagenette128.tar.xz")
    assert "golf_ball" in pictures.classes
    assert {kind: len(split) for kind, split in pictures.splits.items()} == {"train": 9469, "test": 3925}
    assert pictures.unreadable == ()
    assert report(pictures)["sizes"]["height"] == [128, 128.0, 128]
    assert pictures.splits["test"].names[0].startswith("imagenette128/val/cassette_player/")
