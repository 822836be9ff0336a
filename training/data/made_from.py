"""made_from.json: a fingerprint of the data that a run is made from, with which a resume compares its data.

Of every picture counts what it shows and its class, in order, as these decide the training; its file's name and times
do not: the same pictures unpacked again, checked out again or moved elsewhere are the same data.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from training.data.picture_set import DataError, PictureSet, Split
from training.runs.run import CHANGED
from training.storage.jsonfile import read_json, write_json
from vit_model.messages import add_codes, message

NOTE = "made_from.json"


class ChangedDataError(DataError):
    """The data are not those that the run was made from, and nobody agreed to go on with them."""


def made_from(pictures: PictureSet) -> dict[str, Any]:
    """Fingerprint a data set, for JSON: the classes, and of each split the number of pictures and hashes of labels and
    contents."""
    splits = {}
    for kind, split in pictures.splits.items():
        contents = _hash(_contents(split, pictures))
        splits[kind] = {"count": len(split), "labels": _hash(split.labels.tobytes()), "contents": contents}
    return {"classes": list(pictures.classes), "splits": splits}


def compare(folder: Path, pictures: PictureSet) -> str:
    """Describe what has changed since the run in `folder` began; "" for nothing, or if nothing was noted.
    ChangedDataError where something has, unless it was resumed with changed data; DataError where the run cannot go on
    with them at all."""
    before, now = read_json(folder / NOTE), made_from(pictures)
    told = difference(before, now) if before else ""
    if told and before and before.get("classes") != now["classes"]:
        text = "this run cannot go on with these data: {what}; bring back its own, or start a new run"
        raise DataError(message("other_classes", text, what=told))
    if told and not _accepted(folder):
        raise ChangedDataError(
            message(
                "other_data",
                "the data are not those that this run was made from: {what}; bring them back, say where they are now "
                "(--data), or say that it goes on with these all the same (--changed-data)",
                what=told,
            )
        )
    return told


def note(folder: Path, pictures: PictureSet, told: str, step: int) -> None:
    """Note the data that the run is made from, and `told`, the change at this step."""
    known = read_json(folder / NOTE) or {}
    if told or not known:
        change = add_codes({"step": step, "what": told, "time": time.time()})
        changes = [*known.get("changes", []), *([change] if told else [])]
        write_json(folder / NOTE, made_from(pictures) | {"changes": changes})
    (folder / CHANGED).unlink(missing_ok=True)


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Describe the first difference; "" for none. ValueError if `before` is damaged."""
    old, new = before.get("classes"), now["classes"]
    if old != new:
        count = len(old) if isinstance(old, list) else 0
        if count == len(new):
            return message("class_names_changed", "their classes have other names")
        text = "they had {before} classes, and have {now}"
        return message("class_count_changed", text, before=count, now=len(new))
    splits = before.get("splits")
    kept = splits if isinstance(splits, dict) else {}
    for kind in ("train", "val", "test"):
        first, second = kept.get(kind) or {"count": 0}, now["splits"].get(kind) or {"count": 0}
        if first["count"] != second["count"]:
            text = "{part} had {before} pictures, and has {now}"
            return message("picture_count_changed", text, part=kind, before=first["count"], now=second["count"])
        if first != second:
            if first["labels"] != second["labels"]:
                return message("labels_changed", "pictures of {part} are in other classes", part=kind)
            return message("pictures_changed", "pictures of {part} show something else", part=kind)
    return ""


def _contents(split: Split, pictures: PictureSet) -> bytes:
    """Hash the pixels, if each picture was decoded when the set was opened; else the set is a published one."""
    return pictures.fingerprint.encode() if split.survey is None else split.survey.digests.tobytes()


def _accepted(folder: Path) -> bool:
    return (read_json(folder / CHANGED) or {}).get("accepted") is True


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
