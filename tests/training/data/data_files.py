"""Small pictures, and the folders and archives that people, good and bad, make of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, size: tuple[int, int] = (8, 6), format_: str = "PNG") -> bytes:
    """A picture file of random pixels; `size` is (height, width)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_)
    return file.getvalue()


def animals(each: int = 3, prefix: str = "", seed: int = 0) -> dict[str, bytes]:
    """{name: picture file} of cats and dogs, all different."""
    return {
        f"{prefix}{name}/{index}.png": picture(seed + 100 * label + index)
        for label, name in enumerate(("cat", "dog"))
        for index in range(each)
    }


def split_animals(train: int = 3, test: int = 2) -> dict[str, bytes]:
    return animals(train, "train/") | animals(test, "test/", seed=1000)


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields) -> None:
    """A member with these fields of TarInfo, whatever they are."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))
