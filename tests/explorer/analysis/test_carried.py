"""Patch edits carried to another grid: sets worked by hand, and areas that stay."""

import pytest

from explorer.analysis.carried import carried_over
from explorer.analysis.edits import PatchEdit
from vit_model import CropBox

WHOLE = CropBox(0, 0, 60, 60)


def carried(patches, grid, new_grid, box=WHOLE, new_box=WHOLE, kind="drop"):
    return carried_over([PatchEdit(kind, tuple(patches), seed=3)], grid, box, new_grid, new_box)


@pytest.mark.parametrize(
    ("patches", "grid", "new_grid", "expected"),
    [
        ((0, 5), (2, 3), (2, 3), (0, 5)),
        ((1,), (2, 2), (4, 4), (2, 3, 6, 7)),
        ((2, 3, 6, 7), (4, 4), (2, 2), (1,)),
        ((4,), (3, 3), (5, 5), (12,)),
        ((0, 1, 2), (3, 3), (6, 2), (0, 1, 2, 3)),
        ((0,), (12, 12), (3, 3), (0,)),
        ((143,), (12, 12), (1, 1), (0,)),
    ],
)
def test_places_worked_by_hand(patches, grid, new_grid, expected):
    found = carried(patches, grid, new_grid)
    assert found.steps == (PatchEdit("drop", expected, seed=3),)
    assert (found.moves, found.unseen) == (0, 0)


@pytest.mark.parametrize("new_grid", [(24, 24), (36, 12), (6, 6), (18, 9)])
def test_half_the_picture_stays_half_the_picture(new_grid):
    half = [row * 12 + column for row in range(12) for column in range(6)]
    found = carried(half, (12, 12), new_grid).steps[0].patches
    assert abs(len(found) / (new_grid[0] * new_grid[1]) - 0.5) < 0.06


def test_up_and_down_again_is_the_same():
    patches = (0, 5, 17, 20, 35)
    up = carried(patches, (6, 6), (18, 12)).steps[0].patches
    assert carried(up, (18, 12), (6, 6)).steps[0].patches == patches


def test_a_single_small_patch_is_not_lost_wherever_it_is():
    for place in range(144):
        assert carried((place,), (12, 12), (5, 4)).steps


def test_it_is_the_place_in_the_picture_that_counts():
    cropped = CropBox(15, 0, 45, 60)  # the middle half across
    found = carried((0, 1, 2, 3), (4, 4), (4, 2), new_box=cropped)
    assert found.steps[0].patches == (0, 1)
    assert carried((1,), (4, 4), (4, 2), new_box=cropped).steps[0].patches == (0,)
    outside = carried((0,), (4, 4), (4, 2), new_box=cropped)
    assert (outside.steps, outside.moves, outside.unseen) == ((), 0, 1)


def test_moves_and_shuffles_are_counted_and_the_others_keep_their_order():
    steps = [PatchEdit(kind, (3,), by=(0, 1)) for kind in ("blur", "move", "grey", "shuffle", "drop")]
    found = carried_over(steps, (2, 2), WHOLE, (4, 4), WHOLE)
    assert [step.kind for step in found.steps] == ["blur", "grey", "drop"]
    assert (found.moves, found.unseen) == (2, 0)
