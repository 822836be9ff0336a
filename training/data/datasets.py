"""open_dataset: every source of labelled pictures as one PictureSet; and the part that is held out of training."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from training.data.archive_members import Limits
from training.data.archives import ENDINGS, is_archive_path, unpack
from training.data.files import as_text, files_below, files_fingerprint
from training.data.hub_data import hub_pictures, is_fetched
from training.data.layout import arrange
from training.data.picture_set import DataError, FileStore, PictureSet, Split, Store
from training.data.published.published import is_published, published
from training.data.shapes import shapes
from training.data.survey import checked_set
from training.runs import bounds
from training.storage.disk import free_bytes
from vit_model.messages import message

__all__ = ["DataError", "PictureSet", "Split", "cache_folder", "hold_out", "open_dataset", "would_download"]

Progress = Callable[[int, int, str], None]
BUILT_IN = ("shapes", "cifar10", "cifar100", "pets", "flowers102")
HUB = "hf:"


def cache_folder() -> Path:
    """Return the folder where data is kept: VIT_EXPLORER_DATA, else the folder data in VIT_EXPLORER_CACHE, else in
    ~/.cache."""
    if named := os.environ.get("VIT_EXPLORER_DATA"):
        return Path(named).expanduser()
    if shared := os.environ.get("VIT_EXPLORER_CACHE"):
        return Path(shared).expanduser() / "data"
    return Path.home() / ".cache" / "vit-explorer" / "data"


def open_dataset(
    source: str,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    local_paths: bool = True,
    guest: bool = False,
) -> PictureSet:
    """Open the data set that `source` names: "shapes", "cifar10", "cifar100", "pets", "flowers102", "hf:owner/name"; a
    folder or an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.bz2), whose layout `layout.arrange` reads; or the plain
    name of a folder or archive that lies in the cache folder.

    What is not on this machine is downloaded to `cache` (default: `cache_folder()`); `progress(done, total, text)`
    follows. Every picture is decoded once, so that those that cannot be are left out and named. `local_paths=False`
    refuses paths, for visitors that are not at this machine; `guest`: whoever asks gets nothing that this machine's Hub
    token opens. DataError says what is wrong.
    """
    source = source.strip()
    cache = cache_folder() if cache is None else cache
    if source == "shapes":
        return shapes()
    if source in BUILT_IN:
        return published(source, cache, progress)
    limits = visitors_limits(cache) if guest else None
    if source.startswith(HUB):
        fetched = hub_pictures(source.removeprefix(HUB), cache, progress, guest=guest or not local_paths, limits=limits)
        return _arranged(source, fetched.names, (), fetched.store, fetched.fingerprint, cache, progress)
    path = _local_path(source, cache, local_paths)
    if path.is_dir():
        names, folders = files_below(path)
        store, fingerprint = FileStore(path, names), files_fingerprint(path, names)
        names, folders = as_text(names), as_text(folders)
    else:
        unpacked = unpack(path, cache / ".unpacked", progress, limits)
        names, folders, store, fingerprint = unpacked.names, unpacked.folders, unpacked.store, unpacked.fingerprint
    return _arranged(source, names, folders, store, fingerprint, cache, progress)


def visitors_limits(cache: Path) -> Limits:
    """Return the limits of a visitor's archive: one visitor's share of the disk, less the room that is left to the
    host."""
    room = free_bytes(cache) - bounds.VISITOR.reserve
    return Limits(total_bytes=max(min(bounds.VISITOR.disk, room), 0))


def would_download(source: str, cache: Path | None = None) -> bool:
    """Return whether opening this data set would fetch pictures over the network. Asks no network, and may be wrongly
    True for a repository whose listing is not remembered."""
    source, cache = source.strip(), cache_folder() if cache is None else cache
    if source.startswith(HUB):
        return not is_fetched(source.removeprefix(HUB), cache)
    return source in BUILT_IN and source != "shapes" and not is_published(source, cache)


def hold_out(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split into (indices to train on, indices held out), both ascending. Of each class with n pictures, n * share are
    held out, rounded, yet at least one and at most n - 1; of a class with one picture none.

    Which ones follows from (seed, index) by SHA-256, so that it is the same on every machine and version. A share of 0
    holds out nothing.
    """
    labels = np.asarray(labels)
    if not 0 <= share < 1:
        text = "the held-out share must be at least 0 and below 1, got {share}"
        raise DataError(message("held_out_share", text, share=share))
    held = np.zeros(len(labels), bool)
    if share > 0:
        chance = np.array([_chance(seed, index) for index in range(len(labels))], np.uint64)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            count = min(max(int(len(members) * share + 0.5), 1), len(members) - 1)
            held[members[np.argsort(chance[members], kind="stable")[:count]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _chance(seed: int, index: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:8], "big")


def _arranged(
    source: str,
    names: Sequence[str],
    folders: Sequence[str],
    store: Store,
    fingerprint: str,
    cache: Path,
    progress: Progress | None,
) -> PictureSet:
    layout = arrange(names, folders)
    return checked_set(
        source, layout.classes, layout.splits, names, store, fingerprint, cache, progress, notes=layout.notes
    )


def _local_path(source: str, cache: Path, local_paths: bool) -> Path:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", source):
        for ending in ("", *ENDINGS):
            kept = cache / (source + ending)
            if kept.is_dir() or (kept.is_file() and is_archive_path(kept)):
                return kept
    if not local_paths:
        raise DataError(
            message(
                "data_refused",
                "no data set {name}; use {names}, hf:owner/name, or upload an archive. Paths of this computer are "
                "taken from its own browser only",
                name=repr(source[:80]),
                names=", ".join(BUILT_IN),
            )
        )
    path = Path(source).expanduser()
    if path.is_dir() or path.is_file():
        return path
    raise DataError(
        message(
            "data_unknown",
            "no data set {name}: it is none of {names}, does not begin with hf:, and there is no such folder or "
            "archive, nor one of that name in {cache}",
            name=repr(source),
            names=", ".join(BUILT_IN),
            cache=cache,
        )
    )
