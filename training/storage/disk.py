"""Errors of a full disk: which folder, how much is free there, how much was needed. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from vit_model.messages import Message, message

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(OSError):
    """`folder` has no room for `needed` bytes (0: nobody knows how many)."""

    def __init__(self, folder: Path, needed: int = 0):
        text = "the disk is full: {found}; make room and try again"
        reason = message("disk_full", text, found=room_in_words(folder, needed))
        super().__init__(errno.ENOSPC, str(reason))
        self.folder, self.needed, self.code, self.details = folder, needed, reason.code, dict(reason.details)

    def __str__(self) -> str:
        return str(self.strerror)


def is_full(error: BaseException) -> bool:
    """Return whether an error means that a disk is full; safetensors says so in words alone."""
    return (isinstance(error, OSError) and error.errno in FULL) or "no space left" in str(error).lower()


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that the folder is on, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_room(folder: Path, needed: int) -> None:
    """Raise DiskFullError if `needed` bytes do not fit."""
    if needed > free_bytes(folder):
        raise DiskFullError(folder, needed)


@contextlib.contextmanager
def naming_a_full_disk(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turn an error of a full disk, raised inside, into one that names this folder."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError) or not is_full(error):
            raise
        raise DiskFullError(folder, needed) from error


def room_in_words(folder: Path, needed: int = 0) -> Message:
    free = shown_bytes(free_bytes(folder))
    if not needed:
        return message("disk_free", "{folder} has {free} free", folder=folder, free=free)
    text = "{folder} needs {needed} and has {free} free"
    return message("disk_needs", text, folder=folder, needed=shown_bytes(needed), free=free)


def shown_bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
