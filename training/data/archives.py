"""Archives from outside: hostile until checked. Pictures come out in one file under names that are never paths.

No member is ever written under its own name: all pictures of an archive go one after the other into a single file, and
the names into a list beside it. So names that climb out, collide, are not allowed on some system or come by the
hundred thousand have nothing to act on. What an archive unpacks to is counted as it streams; its headers are not
trusted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

import numpy as np

from training.data.archive_members import Limits, Member, members
from training.data.layout import is_junk, is_picture
from training.data.picture_set import DataError, PackedStore
from training.storage.disk import free_bytes, shown_bytes
from training.storage.jsonfile import locked
from vit_model.files.private import private_folder
from vit_model.messages import Message, message
from vit_model.picture import MAX_BYTES as MAX_PICTURE_BYTES

Progress = Callable[[int, int, str], None]
PIECE = 2**20
VERSION = 1  # of what `unpack` leaves behind
MAX_LETTERS = 16_000_000  # of all names: 200,000 of 80
HALF = ".unpacking-"
LOCK = ".lock-"
DAY = 24 * 3600
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError)
BROKEN += (ValueError, OverflowError, IndexError, struct.error)  # also from these modules: names, dates and sizes
KEPT_BYTES = int(os.environ.get("VIT_EXPLORER_DATA_BYTES", 100_000_000_000))
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")


@dataclass(frozen=True, eq=False)
class Unpacked:
    """`names` of all files that are not junk and of `folders`; the pictures' bytes are in `store`, others are empty."""

    names: tuple[str, ...]
    folders: tuple[str, ...]
    store: PackedStore
    fingerprint: str


def is_archive_path(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def unpack(archive: Path, cache: Path, progress: Progress | None = None, limits: Limits | None = None) -> Unpacked:
    """Unpack the pictures of a .zip or .tar (plain, .gz, .xz, .bz2) below `cache` under the archive's own hash; an
    archive with the same bytes is unpacked once. `progress(bytes of the archive, all its bytes, text)`.

    DataError for an archive that is damaged, encrypted, holds links or devices or names that climb out, or goes beyond
    `limits`; nothing of it stays.
    """
    limits = limits or Limits()
    try:
        key = _hash(archive, progress)
    except OSError as error:
        text, reason = "the archive {name} cannot be read: {reason}", error.strerror or error
        raise DataError(message("archive_unread", text, name=archive.name, reason=reason)) from error
    folder = cache / f"{key}-{VERSION}"
    found = _opened(folder, key)
    if found is not None:
        return found
    try:
        private_folder(cache)
        with locked(cache / (LOCK + key[:2])):  # processes that need the same archive wait for one of them
            if _opened(folder, key) is None:
                make_room(cache)
                _unpack_at_once(archive, folder, limits, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                message(
                    "unpacking_disk_full",
                    "the disk became full while {name} was unpacked to {folder} ({free} free); make room there, or set "
                    "VIT_EXPLORER_DATA to a folder on another disk",
                    name=archive.name,
                    folder=cache,
                    free=shown_bytes(free_bytes(cache)),
                )
            ) from error
        raise DataError(
            message(
                "unpacking_failed",
                "{name} cannot be unpacked to {folder}: {reason}; set VIT_EXPLORER_DATA to a folder that can be "
                "written",
                name=archive.name,
                folder=cache,
                reason=error.strerror or error,
            )
        ) from error
    unpacked = _opened(folder, key)
    assert unpacked is not None
    return unpacked


def make_room(cache: Path, keep_bytes: int = KEPT_BYTES) -> None:
    """Remove the archives that were unpacked longest ago and not opened for a week, until the rest takes `keep_bytes`;
    and what killed processes left half unpacked."""
    now, kept = time.time(), []
    for folder in cache.iterdir():
        used = folder.stat().st_mtime
        if folder.name.startswith(LOCK):
            continue
        if folder.name.startswith(HALF):
            if now - used > DAY:
                shutil.rmtree(folder, ignore_errors=True)
        else:
            kept.append((used, sum(file.stat().st_size for file in folder.iterdir()), folder))
    total = sum(size for _, size, _ in kept)
    for used, size, folder in sorted(kept):
        if total <= keep_bytes or now - used < 7 * DAY:
            return
        shutil.rmtree(folder, ignore_errors=True)
        total -= size


def _unpack_at_once(archive: Path, folder: Path, limits: Limits, progress: Progress | None) -> None:
    """Unpack an archive into `folder`, which appears complete or not at all."""
    beside = Path(tempfile.mkdtemp(prefix=HALF, dir=folder.parent))
    try:
        _unpack(archive, beside, limits, progress)
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        os.rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpack(archive: Path, folder: Path, limits: Limits, progress: Progress | None) -> None:
    total = archive.stat().st_size
    names: dict[str, tuple[int, int]] = {}
    folders: set[str] = set()
    letters = 0
    with _plainly(archive), open(archive, "rb") as file, open(folder / "pictures.bin", "wb") as out:
        for member in members(file, limits):
            if is_junk(member.name):
                continue
            letters += len(member.name)
            if letters > MAX_LETTERS:
                raise DataError(
                    message(
                        "member_names_long",
                        "the names in the archive have more than {count} letters together, the most that is taken; "
                        "give folders and files shorter names, or pack fewer",
                        count=f"{MAX_LETTERS:,}",
                    )
                )
            if member.is_folder:
                folders.add(member.name)
                continue
            begin = out.tell()
            if is_picture(member.name):
                _copy(member, out)
            names[member.name] = (begin, out.tell() - begin)
            if progress is not None and len(names) % 500 == 0:
                progress(min(file.tell(), total), total, message("unpacking", "unpacking"))
        out.flush()
        os.fsync(out.fileno())
    np.save(folder / "spans.npy", np.array(list(names.values()), np.int64).reshape(-1, 2))
    index = {"names": list(names), "folders": sorted(folders)}
    (folder / "names.json").write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _copy(member: Member, out: BinaryIO) -> None:
    """Copy a picture's bytes; of one above the size limit just enough that it is refused as such later."""
    left = MAX_PICTURE_BYTES + 1
    for piece in member.pieces():
        out.write(piece[:left])
        left -= min(left, len(piece))


def _opened(folder: Path, key: str) -> Unpacked | None:
    try:
        index = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        spans = np.load(folder / "spans.npy", allow_pickle=False)
        size = (folder / "pictures.bin").stat().st_size
    except (OSError, ValueError, EOFError):
        return None
    if len(index["names"]) != len(spans) or (len(spans) and spans.sum(1).max() > size):
        return None
    with contextlib.suppress(OSError):
        os.utime(folder)  # when it was last used
    return Unpacked(tuple(index["names"]), tuple(index["folders"]), PackedStore(folder / "pictures.bin", spans), key)


def _hash(path: Path, progress: Progress | None) -> str:
    digest, total = hashlib.blake2b(digest_size=16), path.stat().st_size
    with open(path, "rb") as file:
        while piece := file.read(16 * PIECE):
            digest.update(piece)
            if progress is not None:
                progress(file.tell(), total, message("reading_archive", "reading the archive"))
    return digest.hexdigest()


@contextlib.contextmanager
def _plainly(archive: Path) -> Iterator[None]:
    """Turn what the archive modules raise on broken bytes into DataError."""
    try:
        yield
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(_damage_message(archive, error)) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        # gzip and bz2 raise plain OSErrors for broken data; a zip may point to before its beginning
        raise DataError(_damage_message(archive, error)) from error


def _damage_message(archive: Path, error: Exception) -> Message:
    reason = error.args[0] if error.args and isinstance(error.args[0], Message) else error
    text = "the archive {name} is damaged or cut short ({reason}); download or pack it again"
    return message("archive_damaged", text, name=archive.name, reason=reason)
