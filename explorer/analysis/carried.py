"""Patch edits at another resolution: the patches there that show the same part of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from explorer.analysis.edits import PatchEdit
from vit_model import CropBox

IN_PLACE = ("drop", "grey", "blur")
"""Kinds of edits that are a set of places. Moves and shuffles exchange patches of equal size one for one, and have no
counterpart on another grid."""


@dataclass(frozen=True)
class Carried:
    """`steps` for the new grid; how many could not be carried over, since patches move in them (`moves`) or since what
    they changed is not in sight any more (`unseen`)."""

    steps: tuple[PatchEdit, ...]
    moves: int
    unseen: int


def carried_over(
    steps: Sequence[PatchEdit], grid: tuple[int, int], box: CropBox, new_grid: tuple[int, int], new_box: CropBox
) -> Carried:
    """Steps on `grid`, which shows `box` of the picture, for `new_grid`, which shows `new_box` of it.

    A new patch takes part where its centre lies in a patch that did, so that about the same area is changed. Where
    none does, since the new patches are too large, those that hold a centre of the old ones do: nothing in sight is
    lost for being small.
    """
    places = new_grid[0] * new_grid[1]
    was = [_place_at(_centre(new_box, new_grid, place), box, grid) for place in range(places)]
    found, moves, unseen = [], 0, 0
    for step in steps:
        if step.kind not in IN_PLACE:
            moves += 1
            continue
        chosen = set(step.patches)
        patches = [place for place in range(places) if was[place] in chosen]
        if not patches:
            held = {_place_at(_centre(box, grid, place), new_box, new_grid) for place in chosen}
            patches = sorted(place for place in held if place is not None)
        if patches:
            found.append(replace(step, patches=tuple(patches)))
        else:
            unseen += 1
    return Carried(tuple(found), moves, unseen)


def _centre(box: CropBox, grid: tuple[int, int], place: int) -> tuple[float, float]:
    """(down, across) in the picture."""
    patch = box.patch(place, grid)
    return (patch.top + patch.bottom) / 2, (patch.left + patch.right) / 2


def _place_at(point: tuple[float, float], box: CropBox, grid: tuple[int, int]) -> int | None:
    """The place of the patch that holds a point; of two that share it as their edge the later one. None outside."""
    shares = (point[0] - box.top) / (box.bottom - box.top), (point[1] - box.left) / (box.right - box.left)
    row, column = (math.floor(share * count + 1e-6) for share, count in zip(shares, grid, strict=True))
    return row * grid[1] + column if 0 <= row < grid[0] and 0 <= column < grid[1] else None
