"""PictureFolders: how the Figures tab opens folders and archives of pictures, which the trainer's data sets know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.data.archive_members import Limits
from training.data.archives import ENDINGS, is_archive_path
from training.data.pictures import Pictures, pictures_of

VISITORS = Limits(members=20_000, total_bytes=2 * 2**30)
"""Limits of an archive on a page that is open to others."""


class PictureFolders:
    """Folders and archives within bounds: `VISITORS`, or on a page for this computer alone the trainer's own."""

    endings = ENDINGS

    def __init__(self, local_paths: bool):
        self._limits = Limits() if local_paths else VISITORS

    def holds_many(self, path: Path) -> bool:
        return path.is_dir() or is_archive_path(path)

    def open(self, path: Path, progress: Callable[[int, int, str], None] | None = None) -> Pictures:
        return pictures_of(path, progress, self._limits)
