"""open_dataset: every source of labelled pictures as one PictureSet; and the part that is held out of training."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from training.archives import ENDINGS, is_archive_path, unpack
from training.layout import arrange, is_junk
from training.picture_set import DataError, FileStore, PictureSet, Split, Store
from training.shapes import shapes
from training.survey import remembered_survey

__all__ = ["DataError", "PictureSet", "Split", "cache_folder", "hold_out", "open_dataset"]

Progress = Callable[[int, int, str], None]
BUILT_IN = ("shapes", "cifar10", "cifar100", "pets", "flowers102")


def cache_folder() -> Path:
    """Where data is kept: VIT_EXPLORER_DATA, else the folder data in VIT_EXPLORER_CACHE, else in ~/.cache."""
    if named := os.environ.get("VIT_EXPLORER_DATA"):
        return Path(named).expanduser()
    if shared := os.environ.get("VIT_EXPLORER_CACHE"):
        return Path(shared).expanduser() / "data"
    return Path.home() / ".cache" / "vit-explorer" / "data"


def open_dataset(
    source: str, *, cache: Path | None = None, progress: Progress | None = None, local_paths: bool = True
) -> PictureSet:
    """The data set that `source` names: "shapes", "cifar10", "cifar100", "pets", "flowers102", "hf:owner/name"; a
    folder or an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.bz2), whose layout `training.layout.arrange` reads; or the
    plain name of a folder or archive that lies in the cache folder.

    What is not on this machine is downloaded to `cache` (default: `cache_folder()`); `progress(done, total, text)`
    follows. Every picture is decoded once, so that those that cannot be are left out and named. `local_paths=False`
    refuses paths, for visitors that are not at this machine. DataError says what is wrong.
    """
    source = source.strip()
    cache = cache_folder() if cache is None else cache
    if source == "shapes":
        return shapes()
    path = _local_path(source, cache, local_paths)
    if path.is_dir():
        names, folders = _scanned(path)
        return _arranged(source, names, folders, FileStore(path, names), _fingerprint(path, names), cache, progress)
    unpacked = unpack(path, cache / ".unpacked", progress)
    return _arranged(source, unpacked.names, unpacked.folders, unpacked.store, unpacked.fingerprint, cache, progress)


def hold_out(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(indices to train on, indices held out), both ascending. Of each class with n pictures, n * share are held out,
    rounded, yet at least one and at most n - 1; of a class with one picture none.

    Which ones follows from (seed, index) by SHA-256, so that it is the same on every machine and version. A share of 0
    holds out nothing.
    """
    labels = np.asarray(labels)
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share must be at least 0 and below 1, got {share}")
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


def _local_path(source: str, cache: Path, local_paths: bool) -> Path:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", source):
        for ending in ("", *ENDINGS):
            kept = cache / (source + ending)
            if kept.is_dir() or (kept.is_file() and is_archive_path(kept)):
                return kept
    if not local_paths:
        raise DataError(
            f"no data set {source[:80]!r}; use {', '.join(BUILT_IN)}, hf:owner/name, or upload an archive. Paths of "
            "this computer are taken from its own browser only"
        )
    path = Path(source).expanduser()
    if path.is_dir() or path.is_file():
        return path
    raise DataError(
        f"no data set {source!r}: it is none of {', '.join(BUILT_IN)}, does not begin with hf:, and there is no such "
        f"folder or archive, nor one of that name in {cache}"
    )


def _scanned(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All files and folders below `folder`, by relative names in order. Junk is not looked into; links to files and
    folders are followed, as people build data sets of them, but not in circles."""
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


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _fingerprint(folder: Path, names: Sequence[str]) -> str:
    """Of names, sizes and times: reading every byte again at each start would take longer than it saves."""
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        try:
            status = os.stat(folder / name)
            told = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0"
        except OSError:
            told = f"{name}\0gone\0"
        digest.update(told.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _arranged(
    source: str,
    names: tuple[str, ...],
    folders: tuple[str, ...],
    store: Store,
    fingerprint: str,
    cache: Path,
    progress: Progress | None,
) -> PictureSet:
    layout = arrange(names, folders)
    rows = np.concatenate([rows for rows, _ in layout.splits.values()])
    seen = remembered_survey(store, rows, fingerprint, cache / ".surveys", progress)
    splits, unreadable, reasons, begin = {}, [], [], 0
    for kind, (rows, labels) in layout.splits.items():
        part = seen.take(np.arange(begin, begin + len(rows)))
        begin += len(rows)
        good = part.faults == ""
        unreadable += [names[row] for row in rows[~good]]
        reasons += part.faults[~good].tolist()
        splits[kind] = Split(labels[good], tuple(names[row] for row in rows[good]), store, rows[good], part.take(good))
    return PictureSet(
        source, layout.classes, splits, tuple(unreadable), tuple(reasons), layout.notes, fingerprint=fingerprint
    )
