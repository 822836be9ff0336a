"""The pictures of a folder or an archive, in any layout, with the class that a folder's name says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.data.archive_members import Limits
from training.data.archives import Progress, is_archive_path, unpack
from training.data.datasets import cache_folder
from training.data.files import as_text, files_below
from training.data.layout import is_picture
from training.data.picture_set import DataError, FileStore, Store
from vit_model.messages import message

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Pictures:
    """`names` of picture files, relative, in order; `rows` of the store that hold them."""

    names: tuple[str, ...]
    rows: tuple[int, ...]
    store: Store

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Image.Image:
        """Read a picture, RGB and upright; PictureError if it cannot be decoded."""
        return self.store.read(self.rows[index])

    def spread(self, count: int | None) -> list[int]:
        """Choose `count` of the pictures, evenly spaced over the names: so of every folder about the same share. All of
        them for None or more than there are. They come in an order of which any beginning is evenly spaced, too
        (multiples of the golden ratio modulo 1, sorted), so that work on them may stop anywhere."""
        have = len(self)
        count = have if count is None else min(count, have)
        return [i * have // count for i in sorted(range(count), key=lambda i: i * GOLDEN % 1)]


def pictures_of(source: Path, progress: Progress | None = None, limits: Limits | None = None) -> Pictures:
    """`progress` and `limits`: see `archives.unpack`. DataError for what is neither a folder nor an archive, for what
    holds no picture, and for an archive that is damaged, hostile or beyond `limits`."""
    if source.is_dir():
        names, _ = files_below(source)
        store: Store = FileStore(source, names)
    elif source.is_file() and is_archive_path(source):
        unpacked = unpack(source, cache_folder() / ".unpacked", progress, limits)
        names, store = unpacked.names, unpacked.store
    else:
        text = "{source} is neither a folder nor an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.bz2)"
        raise DataError(message("pictures_source", text, source=source))
    rows = tuple(row for row, name in enumerate(names) if is_picture(name))
    if not rows:
        raise DataError(message("pictures_none", "{source} holds no pictures", source=source))
    rows = tuple(sorted(rows, key=names.__getitem__))  # an archive holds them in any order
    return Pictures(as_text([names[row] for row in rows]), rows, store)


def class_of(name: str, labels: Sequence[str]) -> int | None:
    """Return the class whose label is the name of a folder that a picture lies in, the innermost such folder; None if
    there is none. Capitals do not count, and "garbage_truck" is "garbage truck"."""
    known = {_plain(label): index for index, label in reversed(list(enumerate(labels)))}
    return next((known[_plain(part)] for part in reversed(name.split("/")[:-1]) if _plain(part) in known), None)


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ").strip()
