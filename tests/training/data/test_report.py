"""The data report."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.training.data.data_files import animals, picture, split_animals, write_folder, write_zip
from training.data.datasets import open_dataset
from training.data.report import report
from training.data.shapes import shapes


@pytest.fixture
def made(tmp_path):
    def make(files, parts=None, **choices):
        source = write_folder(tmp_path / "pets", files)
        told = report(open_dataset(str(source), cache=tmp_path / "cache"), parts, **choices)
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        return told

    return make


def test_counts_and_samples(made):
    told = made(split_animals(4, 2))
    assert told["classes"] == ["cat", "dog"]
    assert told["parts"]["train"] == {
        "split": "train",
        "count": 8,
        "per_class": [4, 4],
        "samples": [0, 4, 1, 5, 2, 6, 3, 7],
    }
    assert told["parts"]["test"]["per_class"] == [2, 2]
    assert told["warnings"] == []
    assert told["imbalance"]["text"] == "every class has 4 pictures"


def test_samples_are_spread(made):
    told = made({f"{name}/{n:02d}.png": picture(n + 99 * (name > "c")) for name in "ad" for n in range(40)})
    samples = told["parts"]["train"]["samples"]
    assert len(samples) == len(set(samples)) == 24
    assert max(samples) > 70


def test_many_classes_have_samples(made):
    told = made({f"{n:03d}/1.png": picture(n) for n in range(60)})
    assert len(set(told["parts"]["train"]["samples"])) == 24
    assert len(told["single"]) == 60
    assert told["warnings"] == ["60 classes have one training picture, e.g. '000'"]


@pytest.mark.parametrize("held", [{"val": ("train", [])}, {}])
def test_a_run_that_holds_nothing_out_is_told(made, held):
    told = made({"a/1.png": picture(1), "b/1.png": picture(2)}, {"train": ("train", [0, 1])} | held)
    assert told["warnings"][-1].startswith("no picture is held out: no accuracy is measured")


def test_parts_of_a_run(made):
    told = made(split_animals(4), {"train": ("train", [0, 1, 4, 5, 6]), "val": ("train", [2, 3, 7])})
    assert {name: part["per_class"] for name, part in told["parts"].items()} == {"train": [2, 3], "val": [2, 1]}
    assert set(told["parts"]["val"]["samples"]) == {2, 3, 7}


def test_leakage_is_named_and_counted(made):
    files = split_animals()
    files["test/cat/copy.png"] = files["train/cat/1.png"]
    files["test/dog/copy.png"] = picture(101, format_="BMP")  # the pixels of train/dog/1.png in another file
    told = made(files)["duplicates"]["across"]
    assert told == [
        {
            "parts": ["train", "test"],
            "count": 2,
            "pairs": [["train/cat/1.png", "test/cat/copy.png"], ["train/dog/1.png", "test/dog/copy.png"]],
        }
    ]


def test_leakage_into_the_held_out_part(made):
    files = animals(4)
    files["cat/copy.png"] = files["cat/0.png"]
    told = made(files, {"train": ("train", [0, 1, 2, 5]), "val": ("train", [3, 4])})
    assert told["duplicates"]["across"][0] == {
        "parts": ["train", "val"],
        "count": 1,
        "pairs": [["cat/0.png", "cat/copy.png"]],
    }
    assert told["warnings"][0] == (
        "leakage: 1 pictures of val are also in train, pixel for pixel, e.g. 'cat/copy.png'; "
        "accuracy on val is flattered"
    )


def test_duplicates_within_a_part_and_labels_that_contradict(made):
    files = animals(3)
    files["cat/a.png"] = files["cat/b.png"] = files["cat/0.png"]
    files["dog/c.png"] = files["cat/1.png"]
    told = made(files)
    assert told["duplicates"]["within"]["train"] == {
        "extra": 3,
        "contradicting": 1,
        "groups": [["cat/0.png", "cat/a.png", "cat/b.png"], ["cat/1.png", "dog/c.png"]],
    }
    assert told["warnings"] == ["3 pictures of train repeat others of it, 1 of them with several labels"]


def test_pictures_of_the_same_bytes_in_another_shape_are_not_alike(made):
    files = animals(2) | {"cat/wide.png": _flat((2, 8)), "cat/high.png": _flat((8, 2))}
    assert made(files)["duplicates"]["within"]["train"]["extra"] == 0


def test_imbalance(made):
    files = animals(2) | {f"cat/{n}.png": picture(n) for n in range(8)}
    told = made(files)
    assert told["imbalance"] == {
        "ratio": 4.0,
        "largest": ["cat", 8],
        "smallest": ["dog", 2],
        "text": "the largest class, 'cat' with 8 pictures, is 4.0 times the smallest, 'dog' with 2",
    }
    assert told["warnings"][0].startswith("uneven classes: the largest class, 'cat'")


def test_sizes(made):
    files = {"cat/1.png": picture(1, (10, 30)), "cat/2.png": picture(2, (20, 20)), "dog/1.png": picture(3, (60, 40))}
    told = made(files, resolution=16)
    assert told["sizes"] == {"height": [10, 20.0, 60], "width": [20, 30.0, 40], "resolution": 16, "smaller": 1}
    assert told["warnings"][-1] == "1 pictures are smaller than 16 pixels and are enlarged"
    assert made(files)["sizes"]["smaller"] is None


def test_unreadable_pictures_by_name(made):
    told = made(animals(2) | {f"cat/x{n:02d}.png": b"broken" for n in range(60)})
    assert told["unreadable"]["count"] == 60
    assert told["unreadable"]["names"] == [f"cat/x{n:02d}.png" for n in range(50)]
    assert told["unreadable"]["reasons"][0].startswith("this is a text file")
    assert told["warnings"][0] == "60 pictures cannot be read and are left out, e.g. 'cat/x00.png'"


def test_empty_class_folders_are_in_the_notes(tmp_path):
    source = write_zip(tmp_path / "a.zip", animals(2) | {"emu/": b""})
    told = report(open_dataset(str(source), cache=tmp_path / "cache"))
    assert told["notes"] == ["empty class folders, passed over: 'emu'"]


def test_a_set_that_was_never_surveyed():
    pictures, seen = shapes(), []
    parts = {kind: (kind, np.arange(40)) for kind in ("train", "test")}
    told = report(pictures, parts, resolution=32, progress=lambda *args: seen.append(args))
    assert told["parts"]["test"]["count"] == 40
    assert told["sizes"] == {"height": [32, 32.0, 32], "width": [32, 32.0, 32], "resolution": 32, "smaller": 0}
    assert told["duplicates"]["across"] == []
    assert seen[-1] == (1000, 1000, "looking at the pictures of test")


def _flat(size):
    file = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(file, "PNG")
    return file.getvalue()
