"""The files of a folder on this machine, and a fingerprint that changes when they do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from training.data.layout import is_junk
from training.data.picture_set import DataError
from vit_model.messages import message

SMALL_BYTES = 64 * 2**20  # of which the contents are read too


def files_below(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List all files and all folders below `folder`, by relative names in order. Junk is not looked into; links to
    files and folders are followed, as people build data sets of them, but not in circles."""
    names, folders, seen = [], [], set()
    for where, below, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(where)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        prefix = Path(where).relative_to(folder).as_posix()
        prefix = "" if prefix == "." else prefix + "/"
        below[:] = sorted(name for name in below if not is_junk(name))
        folders += [prefix + name for name in below]
        names += [prefix + name for name in sorted(files) if not is_junk(name)]
    return tuple(names), tuple(folders)


def files_fingerprint(folder: Path, names: Sequence[str]) -> str:
    """Hash names, sizes and times, and the contents of small sets: reading every byte of a large one again at each
    start would take longer than it saves."""
    digest = hashlib.blake2b(digest_size=16)
    left = SMALL_BYTES
    for name in names:
        try:
            status = os.stat(folder / name)
            told = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"
            left -= status.st_size
            if left >= 0:
                told += hashlib.blake2b((folder / name).read_bytes(), digest_size=16).hexdigest()
        except OSError:
            told = f"{name}\0gone\0"
        digest.update(told.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def as_text(names: Sequence[str]) -> tuple[str, ...]:
    """Names whose bytes are not UTF-8, which no JSON file or page could hold, with these bytes as \\xff."""
    return tuple(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names)


def _refuse(error: OSError) -> None:
    text = "the folder {folder} cannot be read: {reason}"
    raise DataError(message("folder_unread", text, folder=error.filename, reason=error.strerror)) from error
