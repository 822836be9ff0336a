"""Folders and files for their owner only. Standard library only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
"""Permissions; Windows goes by those of the folder above."""


def private_folder(path: Path) -> Path:
    """The folder, made where it is missing, as are those above it. What is there already stays as its owner has set it:
    a folder that is shared on purpose, say."""
    for folder in reversed([path, *path.absolute().parents]):
        if not folder.exists():
            folder.mkdir(mode=FOLDER, exist_ok=True)  # another process may be faster
    path.mkdir(exist_ok=True)  # FileExistsError for a file of that name
    return path


def fault_of(folder: Path) -> str:
    """Why nothing can be written in a folder, which is made where it is missing; empty where it can."""
    try:
        with tempfile.TemporaryFile(dir=private_folder(folder)):
            return ""
    except OSError as error:
        return f"cannot write in {folder} ({error.strerror or error})"


def private_opener(path: str, flags: int) -> int:
    """For `open(..., opener=private_opener)`: a new file is its owner's from the start."""
    return os.open(path, flags, FILE)
