"""Small JSON files that are whole or absent, and a lock between processes. Standard library only."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vit_model.errors import CodedError
from vit_model.files.private import private_opener
from vit_model.messages import Message, message

LARGEST = 4 * 2**20  # bytes; what a run writes is far smaller, what somebody puts in its place may not be


def write_json(path: Path, value: dict[str, Any], *, durable: bool = True, private: bool = False) -> None:
    """Replace the file by `value` at once: readers see the old or the new one, never half. `durable`: it is on the disk
    when this returns. `private`: for its owner only. Numbers that are not finite are written as null."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with open(beside, "w", encoding="utf-8", opener=private_opener if private else None) as file:
            json.dump(_finite(value), file, ensure_ascii=False, indent=1, allow_nan=False)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        _replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def read_json(path: Path, largest: int = LARGEST, name: str = "") -> dict[str, Any] | None:
    """Read the object in the file; None if there is no file. ValueError for one that holds anything else, or more than
    `largest` bytes, calling it `name`, by default the file's."""
    name = name or path.name
    try:
        with open(path, "rb") as file:
            content = file.read(largest + 1)
    except FileNotFoundError:
        return None
    except OSError as error:  # a folder of that name, no permission
        raise CodedError(unreadable_message(name, str(error.strerror))) from error
    if len(content) > largest:
        large = message("file_large", "it is larger than {size} MiB", size=largest >> 20)
        raise CodedError(unreadable_message(name, large))
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CodedError(unreadable_message(name, str(error))) from error
    if not isinstance(value, dict):
        raise CodedError(unreadable_message(name, message("no_json_object", "it holds no JSON object")))
    return value


def unreadable_message(name: str, reason: str) -> Message:
    """Why a JSON file of this name cannot be used."""
    return message("json_unread", "{name} cannot be read: {reason}", name=name, reason=reason)


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder last through a power cut, where the system lets one."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of this file, which is made if need be. The operating system releases it when its holder dies,
    however that happens. Yields False if somebody else has it and `wait` is False. On a file system that knows no locks
    it is taken as free: runs there are safe with one server only."""
    with open(path, "ab") as file:
        taken = _lock(file.fileno(), wait)
        try:
            yield taken
        finally:
            if taken:
                _unlock(file.fileno())


if os.name == "nt":
    import msvcrt

    def _lock(descriptor: int, wait: bool) -> bool:
        while True:
            try:
                os.lseek(descriptor, 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
                time.sleep(0.05)
            else:
                return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, wait: bool) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        return True

    def _unlock(descriptor: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _replace(source: Path, target: Path) -> None:
    for _ in range(20 if os.name == "nt" else 0):
        try:
            os.replace(source, target)
        except PermissionError:  # somebody reads the target at this moment
            time.sleep(0.02)
        else:
            return
    os.replace(source, target)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
