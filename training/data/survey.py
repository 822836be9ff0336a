"""The survey of a data set: every picture decoded once, for its size, its hash and its faults; and the data set without
the pictures that cannot be decoded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from training.data.layout import listed
from training.data.picture_set import DataError, PictureSet, Split, Store, Survey
from training.storage.jsonfile import locked
from vit_model.files.private import private_folder
from vit_model.messages import CODED, message, message_of, read_messages, to_json
from vit_model.picture import PictureError

Progress = Callable[[int, int, str], None]
CHUNK = 64
THREADS = 8  # a picture may take 600 MB while it is decoded
VERSION = 1  # of how pictures are read and hashed; part of the key under which a survey is kept
CHECKING = message("checking_pictures", "checking pictures")


def survey(
    store: Store, rows: Sequence[int] | np.ndarray, progress: Progress | None = None, text: str = CHECKING
) -> Survey:
    """Decode `rows` of the store one by one, by threads: about 4,000 small pictures a second and core."""
    sizes, digests = np.zeros((len(rows), 2), np.int32), np.zeros((len(rows), 16), np.uint8)
    faults = [""] * len(rows)

    def look(begin: int) -> None:
        for position in range(begin, min(begin + CHUNK, len(rows))):
            try:
                picture = store.read(int(rows[position]))
            except PictureError as error:
                faults[position] = message_of(error)
                continue
            sizes[position] = picture.height, picture.width
            digest = hashlib.blake2b(b"%d,%d:" % picture.size, digest_size=16)
            digest.update(picture.tobytes())
            digests[position] = np.frombuffer(digest.digest(), np.uint8)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, THREADS)) as pool:
        under_way = [pool.submit(look, begin) for begin in range(0, len(rows), CHUNK)]
        try:
            for done, chunk in enumerate(under_way, 1):
                chunk.result()
                if progress is not None:
                    progress(min(done * CHUNK, len(rows)), len(rows), text)
        except BaseException:  # a progress that stops the work: chunks not begun are not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Survey(sizes, digests, np.array(faults, dtype=object))


def remembered_survey(
    store: Store, rows: Sequence[int] | np.ndarray, fingerprint: str, folder: Path, progress: Progress | None = None
) -> Survey:
    """Survey pictures, and keep the survey in `folder` under `fingerprint`, so that a set is decoded for this once."""
    path = folder / f"{fingerprint}-{_hash(np.asarray(rows, np.int64).tobytes())[:16]}-{VERSION}.npz"
    found = _kept(path, len(rows))
    if found is not None:
        return found
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs the work again, nothing else
            private_folder(folder)
            held.enter_context(locked(folder / f".lock-{fingerprint[:2]}"))  # processes wait for one that looks
            found = _kept(path, len(rows))
        if found is None:
            found = survey(store, rows, progress)
            with contextlib.suppress(OSError):
                _keep(path, found)
    return found


def _kept(path: Path, count: int) -> Survey | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            faults = kept["faults"].astype(object)
            bad = np.flatnonzero(faults != "")
            codes = json.loads(str(kept["codes"])) if "codes" in kept else None
            faults[bad] = read_messages({"faults": faults[bad].tolist(), f"faults{CODED}": codes}, "faults")
            found = Survey(kept["sizes"], kept["digests"], faults)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None  # there is none, or not a whole one
    return found if len(found.sizes) == len(found.digests) == len(found.faults) == count else None


def _keep(path: Path, made: Survey) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.npz")
    codes = json.dumps([to_json(fault) for fault in made.faults[made.faults != ""]])
    faults = made.faults.astype(np.str_)
    np.savez_compressed(beside, sizes=made.sizes, digests=made.digests, faults=faults, codes=np.array(codes))
    os.replace(beside, path)


def _hash(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def checked_set(
    source: str,
    classes: Sequence[str],
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    names: Sequence[str],
    store: Store,
    fingerprint: str,
    cache: Path,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> PictureSet:
    """Make a data set without the pictures that cannot be read, which are named. `splits`: kind -> (rows of `store`
    [n], labels [n]); `names` of all rows. DataError if a class of the training set is left without any picture."""
    rows = np.concatenate([rows for rows, _ in splits.values()])
    seen = remembered_survey(store, rows, fingerprint, cache / ".surveys", progress)
    readable, unreadable, reasons, begin = {}, [], [], 0
    for kind, (rows, labels) in splits.items():
        part = seen.take(np.arange(begin, begin + len(rows)))
        begin += len(rows)
        good = part.faults == ""
        unreadable += [names[int(row)] for row in rows[~good]]
        reasons += part.faults[~good].tolist()
        kept: tuple[str, ...] = tuple(names[int(row)] for row in rows[good])
        readable[kind] = Split(labels[good], kept, store, rows[good], part.take(good))
    _check_left(classes, readable["train"].labels, unreadable, reasons)
    told = [f"{name}\n".encode() for split in readable.values() for name in split.names]
    labels = [split.labels.tobytes() for split in readable.values()]
    return PictureSet(
        source,
        tuple(classes),
        readable,
        tuple(unreadable),
        tuple(reasons),
        tuple(notes),
        fingerprint=_hash(fingerprint.encode(), *told, *labels),
    )


def _check_left(classes: Sequence[str], labels: np.ndarray, unreadable: list[str], reasons: list[str]) -> None:
    left = np.bincount(labels, minlength=len(classes))
    lost = [name for name, count in zip(classes, left, strict=True) if not count]
    if lost:
        raise DataError(
            message(
                "class_unreadable",
                "no picture of {names} in the training set can be read; the first: {name}: {reason}",
                names=listed(lost),
                name=repr(unreadable[0]),
                reason=reasons[0],
            )
        )
