"""The drawn data set."""

import hashlib
import subprocess
import sys

import numpy as np

from training.data.shapes import CLASSES, COUNTS, SHAPES, draw, shapes


def test_counts_and_classes():
    pictures = shapes()
    assert {kind: len(split) for kind, split in pictures.splits.items()} == COUNTS == {"train": 4000, "test": 1000}
    assert len(pictures.classes) == 8
    for split in pictures.splits.values():
        assert set(np.bincount(split.labels).tolist()) == {len(split) // 8}
        assert len(set(split.names)) == len(split)
    split = pictures.splits["test"]
    assert all(f"/{pictures.classes[label]}/" in name for name, label in zip(split.names, split.labels, strict=True))


def test_pictures():
    picture = shapes().splits["train"].read(5)
    assert picture.mode == "RGB"
    assert picture.size == (32, 32)
    assert np.array_equal(np.asarray(picture), draw("train", 5))


def test_the_same_bits_in_another_process():
    code = "import hashlib; from training.data.shapes import draw\n"
    code += "print(hashlib.sha256(b''.join(draw('test', n).tobytes() for n in range(40))).hexdigest())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == hashlib.sha256(b"".join(draw("test", n).tobytes() for n in range(40))).hexdigest()


def test_no_two_are_alike():
    pictures = {draw(split, index).tobytes() for split in COUNTS for index in range(200)}
    assert len(pictures) == 400


def test_each_class_is_drawn_by_its_own_shape():
    """Areas of the shapes on a fine grid, against what geometry says."""
    y, x = np.mgrid[-1.2:1.2:600j, -1.2:1.2:600j]
    areas = {name: inside(x, y).mean() * 2.4**2 for name, inside in SHAPES.items()}
    tip = np.pi / 5
    expected = {
        "circle": np.pi * 0.85**2,
        "cross": 2 * 0.54 * 1.9 - 0.54**2,
        "ring": np.pi * (1 - 0.55**2),
        "square": 1.5**2,
        "star": 10 * 0.5 * 0.42 * np.sin(tip),
        "stripe": 2 * 0.56,
        "triangle": 1.5 * np.sqrt(3) / 2,
    }
    for name, area in expected.items():
        assert abs(areas[name] - area) < 0.03, name
    assert 0.5 < areas["crescent"] < 2
    assert set(areas) == set(CLASSES)


def test_shapes_lie_inside_and_can_be_seen():
    """The picture brightens where the shape is."""
    for index in range(64):
        pixels = draw("train", index).astype(int).sum(2)
        bright = pixels > (pixels.min() + pixels.max()) / 2
        assert 0.02 < bright.mean() < 0.8
        edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
        assert edge.mean() < 0.5


def test_nobody_can_draw_over_it():
    assert not draw("train", 0).flags.writeable
