"""The maps that know nothing of the model: a Sobel edge worked by hand, and random orders that can be repeated."""

import pytest
import torch

from explorer.analysis.faithfulness.baselines import random_maps, sobel_map


def test_a_step_worked_by_hand():
    picture = torch.zeros(1, 1, 4, 8)
    picture[..., 4:] = 0.5  # columns 3 and 4 touch the edge: |gx| = (1 + 2 + 1) * 0.5 = 2, gy = 0
    expected = torch.tensor([[0.0, 1.0, 1.0, 0.0]]).expand(2, 4)  # half of a patch's pixels
    torch.testing.assert_close(sobel_map(picture, (2, 2)), expected)
    torch.testing.assert_close(sobel_map(picture.transpose(2, 3), (2, 2)), expected.T)


def test_a_corner_counts_both_directions_and_the_border_is_no_edge():
    picture = torch.ones(1, 3, 3)
    assert sobel_map(picture, (3, 3)).item() == 0.0
    picture[0, 1, 1] = 2.0  # gx^2 + gy^2: corners 1 + 1, sides 4, middle 0; nothing at the border is invented
    expected = (4 * 2**0.5 + 4 * 2.0) / 9
    assert sobel_map(picture, (3, 3)).item() == pytest.approx(expected)


def test_brightness_weighs_the_channels():
    picture = torch.zeros(3, 2, 4)
    picture[1, :, 2:] = 1.0  # green
    assert sobel_map(picture, (2, 4)).item() == pytest.approx(0.587 * 4 / 2)


def test_patches_have_to_divide_the_picture():
    with pytest.raises(ValueError, match=r"patches of 3x3 divide, got \[1, 4, 8\]"):
        sobel_map(torch.zeros(1, 4, 8), (3, 3))


def test_random_maps_are_the_same_for_the_same_seed():
    maps = random_maps((3, 4), 2, seed=1)
    assert maps.shape == (2, 3, 4)
    assert torch.equal(maps, random_maps((3, 4), 2, seed=1))
    assert not torch.equal(maps, random_maps((3, 4), 2, seed=2))
    assert not torch.equal(maps[0], maps[1])
