"""Labelled pictures, in whatever store they are kept."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from vit_model.errors import CodedError
from vit_model.messages import message, message_of
from vit_model.picture import PictureError, read_picture


class DataError(CodedError):
    """Data that cannot be trained on; the message says what was expected, what came, and what to do."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Facts from decoding n pictures: `sizes` [n, 2] int32, height and width; `digests` [n, 16] uint8, a hash of size
    and RGB pixels; `faults` [n], objects: why a picture cannot be read, "" for those that can."""

    sizes: np.ndarray
    digests: np.ndarray
    faults: np.ndarray

    def take(self, rows: np.ndarray) -> Survey:
        return Survey(self.sizes[rows], self.digests[rows], self.faults[rows])


class Store(Protocol):
    """A store of pictures: row -> RGB picture, upright. Picklable, as worker processes get a copy."""

    def read(self, row: int) -> Image.Image: ...


@dataclass(frozen=True, eq=False)
class Split:
    """`labels` [n] int64, the class of each picture; `names`, each picture's relative name, such as "cat/001.jpg",
    which identifies it. Picture i is row `rows[i]` of the store. `survey`: of these pictures, where there is one."""

    labels: np.ndarray
    names: tuple[str, ...]
    store: Store
    rows: np.ndarray
    survey: Survey | None = None

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Image.Image:
        """Read picture `index`, RGB and upright; PictureError, with its name, if it does not decode (any more)."""
        try:
            return self.store.read(int(self.rows[index]))
        except PictureError as error:
            text = "{name}: {reason}"
            raise PictureError(
                message("picture_named", text, name=self.names[index], reason=message_of(error))
            ) from error


@dataclass(frozen=True, eq=False)
class PictureSet:
    """A data set. `splits` always has "train", and "val" and "test" where the set has them.

    `unreadable` names the pictures that were left out since they do not decode, with `reasons` for each; `notes` are
    sentences on what was passed over. `fingerprint` changes when any picture, label or order does.
    """

    source: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    unreadable: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class FileStore:
    """Files below `folder`, one for each of `names` (relative, with the separators of this system or "/")."""

    folder: Path
    names: tuple[str, ...]

    def read(self, row: int) -> Image.Image:
        try:
            with open(self.folder / self.names[row], "rb") as file:
                return read_picture(file)
        except OSError as error:  # caught here, as read_picture's own message shows the whole path
            reason = error.strerror or error
            raise PictureError(message("file_unread", "the file cannot be read: {reason}", reason=reason)) from error


@dataclass(frozen=True, eq=False)
class PackedStore:
    """Picture files one after the other in a single file; `spans` [n, 2] int64: where each begins and its bytes."""

    path: Path
    spans: np.ndarray

    def read(self, row: int) -> Image.Image:
        begin, size = self.spans[row].tolist()
        try:
            with open(self.path, "rb") as file:
                file.seek(begin)
                data = file.read(size)
        except OSError as error:
            text, reason = "the unpacked archive cannot be read: {reason}", error.strerror or error
            raise PictureError(message("unpacked_unread", text, reason=reason)) from error
        return read_picture(io.BytesIO(data))


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Decoded pictures of one size: `pixels` [n, height, width, 3] uint8."""

    pixels: np.ndarray

    def read(self, row: int) -> Image.Image:
        return Image.fromarray(self.pixels[row])


@dataclass(frozen=True)
class JoinedStore:
    """Several stores one after the other, with `counts` rows each."""

    stores: tuple[Store, ...]
    counts: tuple[int, ...]

    def read(self, row: int) -> Image.Image:
        for store, count in zip(self.stores, self.counts, strict=True):
            if row < count:
                return store.read(row)
            row -= count
        raise IndexError(row)
