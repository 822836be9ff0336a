"""The data report: content and faults of a data set, before anything is trained on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from training.data.picture_set import PictureSet, Split, Survey
from training.data.survey import survey
from vit_model.messages import add_codes, message

Progress = Callable[[int, int, str], None]
Part = tuple[str, np.ndarray]  # the split that a part is taken from, and which of its pictures

SAMPLES = 24  # pictures of each part that are named as samples
NAMED = 50  # unreadable pictures, and groups of duplicates, that are named; all are counted
UNEVEN = 3.0  # largest to smallest class: from here on it is worth a sentence


def report(
    pictures: PictureSet,
    parts: Mapping[str, Part] | None = None,
    *,
    resolution: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Report on a data set, for JSON. `parts`: the parts that a run makes of the splits, such as {"train": ("train",
    indices), "val": ("train", other indices), "test": ("test", ...)}; by default the splits themselves.

    - `source`, `fingerprint`, `classes`, `notes` (sentences on what was passed over), `notes_coded` (see `add_codes`)
    - `parts`: name -> `split`, `count`, `per_class` [classes], `samples`: indices into the split, the classes
      in turn
    - `unreadable`: `count`, and the first ones' `names` and `reasons`, with `reasons_coded`
    - `imbalance` of the training part: `ratio`, `largest` and `smallest` class with their counts, `text`
    - `single`: classes with one training picture, which are not held out
    - `sizes`: `height` and `width`, each [least, median, greatest], of all pictures; `smaller`: how many have a side
      below `resolution`
    - `duplicates`, of pictures with equal pixels: `within` part -> `extra` (how many could go), `contradicting` (groups
      with several labels) and the first `groups` of names; `across`: for each two parts that share some, `parts`,
      `count` (pictures of the second that are in the first), and the first `pairs` of names
    - `warnings`: sentences on what may spoil a result

    Decodes nothing for sets made from files: that was done when they were opened.
    """
    of_run = parts is not None
    parts = parts or {kind: (kind, np.arange(len(split))) for kind, split in pictures.splits.items()}
    parts = {name: (kind, np.asarray(indices, np.int64)) for name, (kind, indices) in parts.items() if len(indices)}
    seen = {kind: _surveyed(split, kind, progress) for kind, split in pictures.splits.items()}
    labels = {name: np.asarray(pictures.splits[kind].labels)[indices] for name, (kind, indices) in parts.items()}
    counts = {name: np.bincount(found, minlength=len(pictures.classes)) for name, found in labels.items()}
    made = {
        "source": pictures.source,
        "fingerprint": pictures.fingerprint,
        "classes": list(pictures.classes),
        **add_codes({"notes": list(pictures.notes)}),
        "parts": {
            name: {
                "split": kind,
                "count": len(indices),
                "per_class": counts[name].tolist(),
                "samples": indices[_spread(labels[name])].tolist(),
            }
            for name, (kind, indices) in parts.items()
        },
        "unreadable": {
            "count": len(pictures.unreadable),
            "names": list(pictures.unreadable[:NAMED]),
            **add_codes({"reasons": list(pictures.reasons[:NAMED])}),
        },
        "imbalance": _imbalance(pictures.classes, counts["train"]),
        "single": [name for name, count in zip(pictures.classes, counts["train"], strict=True) if count == 1],
        "sizes": _sizes([seen[kind].sizes[indices] for kind, indices in parts.values()], resolution),
        "duplicates": _duplicates(pictures.splits, parts, seen),
    }
    return made | {"warnings": _warnings(made, of_run)}


def _surveyed(split: Split, kind: str, progress: Progress | None) -> Survey:
    text = message("surveying_split", "looking at the pictures of {split}", split=kind)
    return split.survey or survey(split.store, split.rows, progress, text)


def _spread(labels: np.ndarray) -> np.ndarray:
    """Choose the positions of sample pictures, a class after the other in turn, each class's spread over it."""
    classes = np.unique(labels)
    classes = classes[np.linspace(0, len(classes) - 1, min(len(classes), SAMPLES)).astype(int)]
    rounds = max(SAMPLES // len(classes), 1)
    chosen = []
    for turn in range(rounds):
        for label in classes:
            members = np.flatnonzero(labels == label)
            if turn < len(members):
                chosen.append(members[turn * len(members) // min(rounds, len(members))])
    return np.array(chosen, np.int64)


def _imbalance(classes: Sequence[str], counts: np.ndarray) -> dict[str, Any]:
    large, small = int(counts.argmax()), int(counts.argmin())
    ratio = float(counts[large] / max(counts[small], 1))
    if counts[large] == counts[small]:
        text = f"every class has {counts[large]:,} pictures"
    else:
        text = (
            f"the largest class, {classes[large]!r} with {counts[large]:,} pictures, is {ratio:.1f} times the "
            f"smallest, {classes[small]!r} with {counts[small]:,}"
        )
    return {
        "ratio": ratio,
        "largest": [classes[large], int(counts[large])],
        "smallest": [classes[small], int(counts[small])],
        "text": text,
    }


def _sizes(sizes: Sequence[np.ndarray], resolution: int | None) -> dict[str, Any]:
    both = np.concatenate(sizes)
    ranges = [[int(side.min()), float(np.median(side)), int(side.max())] for side in both.T]
    smaller = None if resolution is None else int((both.min(1) < resolution).sum())
    return {"height": ranges[0], "width": ranges[1], "resolution": resolution, "smaller": smaller}


def _duplicates(splits: Mapping[str, Split], parts: Mapping[str, Part], seen: Mapping[str, Survey]) -> dict[str, Any]:
    groups = {name: _groups(seen[kind].digests, indices) for name, (kind, indices) in parts.items()}
    within, across = {}, []
    for name, (kind, _) in parts.items():
        split = splits[kind]
        several = [members for members in groups[name].values() if len(members) > 1]
        within[name] = {
            "extra": sum(len(members) - 1 for members in several),
            "contradicting": sum(len({int(split.labels[index]) for index in members}) > 1 for members in several),
            "groups": [[split.names[index] for index in members[:NAMED]] for members in several[:NAMED]],
        }
    order = list(parts)
    for position, first in enumerate(order):
        for second in order[position + 1 :]:
            shared = [digest for digest in groups[second] if digest in groups[first]]
            if not shared:
                continue
            names = [splits[parts[part][0]].names for part in (first, second)]
            pairs = [
                [names[0][groups[first][digest][0]], names[1][groups[second][digest][0]]] for digest in shared[:NAMED]
            ]
            count = sum(len(groups[second][digest]) for digest in shared)
            across.append({"parts": [first, second], "count": count, "pairs": pairs})
    return {"within": within, "across": across}


def _groups(digests: np.ndarray, indices: np.ndarray) -> dict[bytes, list[int]]:
    """Group the indices of pictures with the same pixels, by their hash."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index in indices.tolist():
        groups[digests[index].tobytes()].append(index)
    return groups


def _warnings(made: Mapping[str, Any], of_run: bool) -> list[str]:
    warnings = []
    if count := made["unreadable"]["count"]:
        warnings.append(f"{count:,} pictures cannot be read and are left out, e.g. {made['unreadable']['names'][0]!r}")
    for shared in made["duplicates"]["across"]:
        first, second = shared["parts"]
        warnings.append(
            f"leakage: {shared['count']:,} pictures of {second} are also in {first}, pixel for pixel, e.g. "
            f"{shared['pairs'][0][1]!r}; accuracy on {second} is flattered"
        )
    for part, found in made["duplicates"]["within"].items():
        if found["extra"]:
            more = f", {found['contradicting']:,} of them with several labels" if found["contradicting"] else ""
            warnings.append(f"{found['extra']:,} pictures of {part} repeat others of it{more}")
    if made["imbalance"]["ratio"] >= UNEVEN:
        warnings.append(f"uneven classes: {made['imbalance']['text']}; accuracy favours the large ones")
    if made["single"]:
        warnings.append(f"{len(made['single']):,} classes have one training picture, e.g. {made['single'][0]!r}")
    if of_run and "val" not in made["parts"]:
        warnings.append(
            "no picture is held out: no accuracy is measured while it trains, and no checkpoint is the best"
        )
    if smaller := made["sizes"]["smaller"]:
        warnings.append(f"{smaller:,} pictures are smaller than {made['sizes']['resolution']} pixels and are enlarged")
    return warnings
