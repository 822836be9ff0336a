"""Class and split of every picture, read off the files' names alone, opening none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.picture_set import DataError
from vit_model.messages import Message, message

PICTURE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff"}
    | {"ppm", "pgm", "pbm", "pnm", "avif", "heic", "heif", "jp2"}
)
"""Files with other endings are passed over. Those that are named like a picture and are none are reported."""

ARCHIVE_ENDINGS = frozenset(
    ["zip", "tar", "gz", "tgz", "xz", "txz", "bz2", "tbz", "tbz2", "zst", "7z", "rar", "lz4", "lzma"]
)
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "lost+found", "@eadir", "$recycle.bin"})
TRAIN = ("train", "training")
VAL = ("val", "valid", "validation")
TEST = ("test", "testing")

MAX_CLASSES = 25_000
_TOP = message("top_folder", "top folder")
SHOWN = 8  # names in a message


@dataclass(frozen=True, eq=False)
class Layout:
    """`classes` in order; `splits`: name -> (positions in the given names [n], labels [n]), both int64, ordered by
    class and name; `notes`: sentences on what was passed over."""

    classes: tuple[str, ...]
    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    notes: tuple[str, ...]


def is_junk(name: str) -> bool:
    """Return whether an operating system left this file: hidden files, __MACOSX, Thumbs.db and the like, at any
    depth."""
    return any(part.startswith(".") or part.casefold() in JUNK for part in name.split("/"))


def is_picture(name: str) -> bool:
    return _ending(name) in PICTURE_ENDINGS


def is_archive(name: str) -> bool:
    return _ending(name) in ARCHIVE_ENDINGS


def arrange(names: Sequence[str], folders: Iterable[str] = ()) -> Layout:
    """Find the classes and splits that `names` (relative, parts separated by "/") are laid out in.

    One folder a class, pictures at any depth in it; or train/ with val/ and/or test/, each with one folder a class. One
    such split besides train/ is the test set, whatever it is called; of two, val/ is held out and test/ is the test
    set. Folders that hold everything (imagenette128/train/...) are looked through. `folders`: names of folders, so
    that empty ones can be told.

    DataError: no pictures, one class only, classes that differ by case only, splits whose classes differ.
    """
    pictures = [(tuple(name.split("/")), row) for row, name in enumerate(names) if not is_junk(name)]
    others = [parts for parts, _ in pictures if not is_picture(parts[-1])]
    pictures = [(parts, row) for parts, row in pictures if is_picture(parts[-1])]
    if not pictures:
        raise DataError(_no_pictures(others))
    empty = [tuple(name.split("/")) for name in folders if name and not is_junk(name)]
    depth = _wrapping(pictures, empty)
    pictures = [(parts[depth:], row) for parts, row in pictures]
    empty = [parts[depth:] for parts in empty if len(parts) > depth]

    notes = [_passed_over(others)] if others else []
    splits, more = _splits(pictures, empty)
    classes, arranged, most = _classes(splits)
    return Layout(classes, arranged, tuple(notes + more + most))


def unwrapped(names: Sequence[str]) -> list[str]:
    """Strip the folders that hold everything from the names."""
    pictures = [(tuple(name.split("/")), 0) for name in names if not is_junk(name) and is_picture(name)]
    depth = _wrapping(pictures, []) if pictures else 0
    return ["/".join(name.split("/")[depth:]) for name in names]


def _wrapping(pictures: list[tuple[tuple[str, ...], int]], empty: list[tuple[str, ...]]) -> int:
    """Count the folders that hold everything, and hold folders themselves."""
    depth = 0
    while True:
        tops = {parts[depth] for parts, _ in pictures} | {parts[depth] for parts in empty if len(parts) > depth}
        shallow = min(len(parts) for parts, _ in pictures)
        if len(tops) > 1 or shallow < depth + 3:
            return depth
        depth += 1


def _splits(
    pictures: list[tuple[tuple[str, ...], int]], empty: list[tuple[str, ...]]
) -> tuple[dict[str, dict[str, list]], list[str]]:
    """{split: {class folder: [(parts below it, row)]}}, with empty class folders; and notes."""
    tops: dict[str, list] = {}
    for parts, row in pictures:
        tops.setdefault(parts[0] if len(parts) > 1 else "", []).append((parts, row))
    found = {}
    for kind, called in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        folders = [top for top in tops if top.casefold() in called and _has_class_folders(tops[top])]
        if len(folders) > 1:
            text = "the folders {names} both name one split; keep one of them"
            raise DataError(message("split_twice", text, names=listed(folders)))
        if folders:
            found[kind] = folders[0]
    if "train" not in found:
        return {"train": _by_class(pictures, empty, 0)}, []

    notes = []
    if "val" in found and "test" not in found:
        found["test"] = found.pop("val")
    left = [top or "pictures outside of folders" for top in tops if top not in found.values()]
    if left:
        text = "beside the folder {folder}, passed over: {names}"
        notes.append(message("beside_train", text, folder=repr(found["train"]), names=listed(left)))
    return {
        kind: _by_class(
            [(parts, row) for parts, row in pictures if len(parts) > 1 and parts[0] == top],
            [parts for parts in empty if parts[0] == top],
            1,
            inside=top,
        )
        for kind, top in found.items()
    }, notes


def _has_class_folders(pictures: list[tuple[tuple[str, ...], int]]) -> bool:
    """Return whether a folder called "train" is a split: a class "train" (of vehicles, say) holds its pictures
    itself."""
    return all(len(parts) > 2 for parts, _ in pictures)


def _by_class(pictures: list, empty: list, depth: int, inside: str = "") -> dict[str, list]:
    loose = ["/".join(parts) for parts, _ in pictures if len(parts) <= depth + 1]
    if len(loose) == len(pictures):
        raise DataError(
            message(
                "no_class_folders",
                "expected one folder for each class, found {count} pictures without folders ({names}); put the "
                "pictures of each class into a folder with the name of the class",
                count=f"{len(loose):,}",
                names=listed(loose),
            )
        )
    if loose:
        where = message("folder_named", "folder {name}", name=repr(inside)) if inside else _TOP
        raise DataError(
            message(
                "classless_pictures",
                "the {where} holds class folders, and {count} pictures of no class ({names}); move them into class "
                "folders, or take them out",
                where=where,
                count=f"{len(loose):,}",
                names=listed(loose),
            )
        )
    classes: dict[str, list] = {parts[depth]: [] for parts in empty if len(parts) > depth}
    for parts, row in pictures:
        classes.setdefault(parts[depth], []).append((parts, row))
    return classes


def _classes(splits: dict[str, dict[str, list]]) -> tuple[tuple[str, ...], dict, list[str]]:
    notes, named = [], {}
    for kind, folders in splits.items():
        named[kind] = {}
        for folder, pictures in folders.items():
            name = unicodedata.normalize("NFC", folder)  # macOS writes é as e and an accent
            named[kind].setdefault(name, []).extend(pictures)
        hollow = sorted(name for name, pictures in named[kind].items() if not pictures)
        if hollow:
            where = message("of_split", " of {split}", split=kind) if len(splits) > 1 else ""
            text = "empty class folders{where}, passed over: {names}"
            notes.append(message("empty_classes", text, where=where, names=listed(hollow)))
        named[kind] = {name: pictures for name, pictures in named[kind].items() if pictures}
        _check_case(named[kind])
    classes = tuple(sorted(named["train"]))
    if len(classes) < 2:
        raise DataError(
            message(
                "one_class",
                "expected at least two classes, found one only: {name}; a classifier needs one folder for each of two "
                "or more classes",
                name=repr(next(iter(classes))),
            )
        )
    if len(classes) > MAX_CLASSES:
        text = "{count} class folders, at most {most} are taken; is each a class?"
        raise DataError(message("many_classes", text, count=f"{len(classes):,}", most=f"{MAX_CLASSES:,}"))
    for kind, folders in named.items():
        _check_same(classes, kind, folders)
    label_of = {name: label for label, name in enumerate(classes)}
    arranged = {}
    for kind, folders in named.items():
        ordered = [(label_of[name], parts, row) for name in folders for parts, row in folders[name]]
        ordered.sort()
        arranged[kind] = (
            np.array([row for _, _, row in ordered], np.int64),
            np.array([label for label, _, _ in ordered], np.int64),
        )
    return classes, arranged, notes


def _check_case(folders: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for name in sorted(folders):
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(
                message(
                    "class_case",
                    "the class folders {first} and {second} differ only in upper and lower case; merge them, or rename "
                    "one",
                    first=repr(other),
                    second=repr(name),
                )
            )


def _check_same(classes: tuple[str, ...], kind: str, folders: Iterable[str]) -> None:
    missing, extra = sorted(set(classes) - set(folders)), sorted(set(folders) - set(classes))
    if missing or extra:
        ours = message("only_in_train", "only in train: {names}", names=listed(missing))
        theirs = message("only_in_split", "only in {split}: {names}", split=kind, names=listed(extra))
        both = message("two_parts", "{first}; {second}", first=ours, second=theirs)
        raise DataError(
            message(
                "split_classes",
                "train and {split} must have the same class folders, and differ; {parts}. Rename or remove what does "
                "not match",
                split=kind,
                parts=both if missing and extra else ours if missing else theirs,
            )
        )


def _ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return ending.lower() if dot and stem else ""


def _no_pictures(others: list[tuple[str, ...]]) -> Message:
    names = ["/".join(parts) for parts in others]
    count = f"{len(names):,}"
    found = message("no_file", "no file at all")
    if names:
        found = message("other_files", "{count} other files ({names})", count=count, names=listed(names))
    if any(is_archive(name) for name in names):
        return message(
            "no_pictures_but_archives",
            "expected pictures in one folder for each class, found {found}. Unpack the archives inside first.",
            found=found,
        )
    return message("no_pictures", "expected pictures in one folder for each class, found {found}.", found=found)


def _passed_over(others: list[tuple[str, ...]]) -> Message:
    names = ["/".join(parts) for parts in others]
    archives, count = [name for name in names if is_archive(name)], f"{len(names):,}"
    if archives:
        return message(
            "archives_passed_over",
            "{count} files that are no pictures, passed over; archives among them are not opened: {names}",
            count=count,
            names=listed(archives),
        )
    text = "{count} files that are no pictures, passed over: {names}"
    return message("files_passed_over", text, count=count, names=listed(names))


def listed(names: Sequence[str]) -> str:
    """Quote the first few names, and count the rest; for messages."""
    shown = ", ".join(repr(name if len(name) <= 80 else name[:77] + "...") for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
