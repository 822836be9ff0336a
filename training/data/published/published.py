"""CIFAR-10, CIFAR-100, Oxford-IIIT Pet and Flowers-102, downloaded from their publishers in torchvision's layout.

Addresses and checksums are torchvision's. A folder that torchvision has filled already is used as it is. It is imported
where it is needed, as that takes a second of the page's start.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data.files import files_fingerprint
from training.data.picture_set import DataError, FileStore, PictureSet, PixelStore, Split
from training.data.published.downloads import fetch
from training.data.published.matlab import read_matrices
from training.data.survey import checked_set
from vit_model.messages import message

Progress = Callable[[int, int, str], None]


def published(name: str, cache: Path, progress: Progress | None = None) -> PictureSet:
    """Open cifar10, cifar100, pets or flowers102, kept below `cache`. DataError if it cannot be downloaded."""
    return {"cifar10": cifar10, "cifar100": cifar100, "pets": pets, "flowers102": flowers102}[name](cache, progress)


def is_published(name: str, cache: Path) -> bool:
    """Return whether its pictures are in the folder `cache` already."""
    folders = {
        "cifar10": ("cifar-10-batches-py",),
        "cifar100": ("cifar-100-python",),
        "pets": ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations"),
        "flowers102": ("flowers-102/jpg",),
    }
    return all((cache / folder).is_dir() for folder in folders[name])


def cifar10(cache: Path, progress: Progress | None = None) -> PictureSet:
    """Open CIFAR-10: 50,000 pictures to train on, 10,000 to test on, 32 x 32, ten classes; decoded already."""
    return _cifar("cifar10", "CIFAR10", cache, progress)


def cifar100(cache: Path, progress: Progress | None = None) -> PictureSet:
    return _cifar("cifar100", "CIFAR100", cache, progress)


def pets(cache: Path, progress: Progress | None = None) -> PictureSet:
    """Open Oxford-IIIT Pet: 37 breeds, the official trainval split to train on (3,680) and test (3,669)."""
    from torchvision.datasets import OxfordIIITPet

    folder = cache / "oxford-iiit-pet"
    for url, md5 in OxfordIIITPet._RESOURCES:
        archive = folder / url.rpartition("/")[2]
        _extracted(url, archive, md5, archive.name.partition(".")[0], progress)
    names, splits, classes = [], {}, {}
    for kind, listing in (("train", "trainval.txt"), ("test", "test.txt")):
        lines = _lines(folder / "annotations" / listing)
        rows = np.arange(len(names), len(names) + len(lines))
        labels = np.array([int(line[1]) - 1 for line in lines], np.int64)
        names += [f"images/{line[0]}.jpg" for line in lines]
        classes |= {int(line[1]) - 1: line[0].rpartition("_")[0].replace("_", " ").title() for line in lines}
        splits[kind] = (rows, labels)
    return _files("pets", [classes[label] for label in sorted(classes)], splits, folder, names, cache, progress)


def flowers102(cache: Path, progress: Progress | None = None) -> PictureSet:
    """Open Flowers-102: the official train (1,020) and val (1,020) splits, ten pictures a class, and test (6,149)."""
    from torchvision.datasets import Flowers102

    folder = cache / "flowers-102"
    base = Flowers102._download_url_prefix
    (images, labels, parts) = (Flowers102._file_dict[kind] for kind in ("image", "label", "setid"))
    _extracted(base + images[0], folder / images[0], images[1], "jpg", progress)
    label_file = fetch(base + labels[0], folder / labels[0], labels[1], progress)
    part_file = fetch(base + parts[0], folder / parts[0], parts[1], progress)
    label_of = read_matrices(label_file.read_bytes())["labels"].ravel().astype(np.int64) - 1
    chosen = read_matrices(part_file.read_bytes())
    splits, names = {}, []
    for kind, field in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        numbers = chosen[field].ravel().astype(np.int64)
        splits[kind] = (np.arange(len(names), len(names) + len(numbers)), label_of[numbers - 1])
        names += [f"jpg/image_{number:05d}.jpg" for number in numbers]
    return _files("flowers102", Flowers102.classes, splits, folder, names, cache, progress)


def _cifar(source: str, kind_name: str, cache: Path, progress: Progress | None) -> PictureSet:
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    kind = getattr(datasets, kind_name)
    folder = cache / kind.base_folder
    files = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    if not all(check_integrity(folder / name, md5) for name, md5 in files):
        archive = fetch(kind.url, cache / kind.filename, kind.tgz_md5, progress)
        _extract(archive, cache, kind.base_folder)
    splits = {}
    for split in ("train", "test"):
        with warnings.catch_warnings():  # these old pickles hold a number where NumPy now wants true or false
            warnings.simplefilter("ignore")
            loaded = kind(cache, train=split == "train")  # unpickles after it checked each file's MD5
        count = len(loaded.targets)
        names = tuple(f"{split}/{loaded.classes[label]}/{row:05d}.png" for row, label in enumerate(loaded.targets))
        labels = np.array(loaded.targets, np.int64)
        splits[split] = Split(labels, names, PixelStore(np.ascontiguousarray(loaded.data)), np.arange(count))
    return PictureSet(source, tuple(loaded.classes), splits, fingerprint=f"{source}-{kind.tgz_md5}")


def _files(
    source: str,
    classes: Sequence[str],
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    folder: Path,
    names: list[str],
    cache: Path,
    progress: Progress | None,
) -> PictureSet:
    fingerprint = files_fingerprint(folder, names)
    return checked_set(source, classes, splits, names, FileStore(folder, tuple(names)), fingerprint, cache, progress)


def _extracted(url: str, archive: Path, md5: str, inside: str, progress: Progress | None) -> None:
    """Make sure that the folder `inside` lies beside its archive, which is downloaded if it is missing."""
    if not (archive.parent / inside).is_dir():
        _extract(fetch(url, archive, md5, progress), archive.parent, inside)


def _extract(archive: Path, folder: Path, inside: str) -> None:
    """Unpack the folder `inside` of a checked archive to `folder`, in one move, and delete the archive."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as beside, tarfile.open(archive) as tar:
        carefully: dict[str, Any] = (
            {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        )  # Python before 3.11.4 has none
        tar.extractall(beside, **carefully)
        shutil.rmtree(folder / inside, ignore_errors=True)
        os.replace(Path(beside) / inside, folder / inside)
    archive.unlink()


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\S+ \d+ ", line)]
    except OSError as error:
        text, folder = "{path} cannot be read: {reason}; delete {folder} and try again", path.parent.parent
        raise DataError(message("published_unread", text, path=path, reason=error.strerror, folder=folder)) from error
