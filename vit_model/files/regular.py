"""open_regular: a file that somebody named, opened once, and only if it is a plain one of bounded size."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from vit_model.errors import CodedError
from vit_model.messages import message


class FileError(CodedError):
    """A file that cannot be used; the message says why and what to do, and nothing of what is in it."""


def open_regular(path: str | os.PathLike, most_bytes: int) -> BinaryIO:
    """`path`, open for reading. It is checked once open, so that nothing can be put in its place after the check.

    FileError for what is missing, cannot be opened, is no plain file (a device or a pipe has no end), or has more than
    `most_bytes` bytes.
    """
    wanted = ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")  # a pipe without a writer would block
    try:
        descriptor = os.open(path, os.O_RDONLY | sum(getattr(os, name, 0) for name in wanted))
    except (OSError, ValueError) as error:  # ValueError: a name that holds a zero byte
        if isinstance(error, FileNotFoundError):
            text = "the file is no longer here; choose or upload it again"
            raise FileError(message("file_gone", text)) from error
        text = "the file cannot be opened; choose or upload another"
        raise FileError(message("file_unreadable", text)) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            text = "expected a plain file, this is a folder, a device or a pipe"
            raise FileError(message("file_not_plain", text))
        if found.st_size > most_bytes:
            size, most = f"{found.st_size:,}", f"{most_bytes:,}"
            text = "the file has {size} bytes, at most {most} are read; use a smaller one"
            raise FileError(message("file_too_large", text, size=size, most=most))
    except FileError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")
