"""Batched augmentation: exact where it must be, within bounds elsewhere, and the same however the batch is cut."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from training.config import RunConfig
from training.data.augment import OPERATIONS, augment
from vit_model import Preprocessing

PLAIN = Preprocessing(size=(16, 16))


def pictures(count=8, side=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8), torch.arange(count)


def config(**more):
    return RunConfig(**({"steps": 10, "batch": 8, "flip": False} | more))


STRONG = {
    "flip": True,
    "crop": "resized",
    "mixup": 0.4,
    "cutmix": 1.0,
    "randaugment": 2,
    "color_jitter": 0.4,
    "downscale": 0.5,
    "erasing": 0.5,
}


def test_nothing_asked_for_is_preprocessing_alone():
    pixels, labels = pictures()
    x, targets = augment(pixels, labels, config(), PLAIN, step=3)
    assert torch.allclose(x, pixels / 255 / 0.5 - 1, atol=1e-6)
    assert targets.first is labels and bool((targets.share == 1).all())


def test_statistics_are_those_of_the_preprocessing():
    pixels, labels = pictures()
    own = Preprocessing(size=(16, 16), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    x, _ = augment(pixels, labels, config(), own, step=0)
    expected = (pixels / 255 - torch.tensor(own.mean).view(3, 1, 1)) / torch.tensor(own.std).view(3, 1, 1)
    assert torch.allclose(x, expected, atol=1e-6)


def test_a_flip_turns_about_half_of_the_pictures_round_and_nothing_else():
    pixels, labels = pictures(64)
    x, _ = augment(pixels, labels, config(flip=True, batch=64), PLAIN, step=0)
    plain = pixels / 255 / 0.5 - 1
    turned = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(x, plain, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(x, plain, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True))
    assert 16 < sum(turned) < 48


def test_padding_shifts_by_whole_pixels_up_to_an_eighth_and_fills_with_black():
    pixels, labels = pictures(64)
    x, _ = augment(pixels, labels, config(crop="pad", batch=64), PLAIN, step=0)
    padded = torch.nn.functional.pad(pixels, (2, 2, 2, 2)) / 255 / 0.5 - 1
    shifts = set()
    for picture, source in zip(x, padded, strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.allclose(picture, source[:, top : top + 16, left : left + 16], atol=1e-4)
        ]
        assert len(found) == 1
        shifts.update(found)
    assert len(shifts) > 12


def test_a_resized_crop_keeps_to_its_share_of_the_area():
    """On a picture whose values are its coordinates, the corners tell which part was taken."""
    side = 64
    ramp = torch.linspace(0, 255, side)
    pixels = torch.stack([ramp.expand(side, side), ramp.view(-1, 1).expand(side, side), torch.zeros(side, side)])
    pixels = pixels.to(torch.uint8).expand(256, -1, -1, -1).contiguous()
    settings = config(crop="resized", crop_scale=0.25, batch=256)
    x, _ = augment(pixels, torch.zeros(256, dtype=torch.long), settings, Preprocessing(size=(32, 32)), step=0)
    values = (x + 1) / 2
    width = (values[:, 0, 0, -1] - values[:, 0, 0, 0]) * 32 / 31
    height = (values[:, 1, -1, 0] - values[:, 1, 0, 0]) * 32 / 31
    area = width * height
    assert area.min() > 0.22 and area.max() < 1.03 and area.std() > 0.1
    assert (width / height).min() > 0.7 and (width / height).max() < 1.4


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_go_through_what_the_whole_batch_does(parts):
    pixels, labels = pictures(16)
    settings = config(batch=16, **STRONG)
    whole, targets = augment(pixels, labels, settings, PLAIN, step=5)
    size = 16 // parts
    for part in range(parts):
        rows = slice(part * size, (part + 1) * size)
        x, own = augment(pixels[rows], labels[rows], settings, PLAIN, 5, rows)
        torch.testing.assert_close(x, whole[rows], rtol=0, atol=1e-6)
        assert torch.equal(own.second, targets.second[rows]) and torch.equal(own.share, targets.share[rows])


def test_the_same_step_is_the_same_and_another_is_another():
    pixels, labels = pictures()
    settings = config(**STRONG)
    a, b, c = (augment(pixels, labels, settings, PLAIN, step)[0] for step in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    other = augment(pixels, labels, config(seed=7, **STRONG), PLAIN, 1)[0]
    assert not torch.equal(a, other)


def test_mixup_is_a_weighted_sum_with_the_neighbour_and_its_share_the_weight():
    pixels, labels = pictures()
    plain, _ = augment(pixels, labels, config(), PLAIN, step=0)
    x, targets = augment(pixels, labels, config(mixup=1.0), PLAIN, step=0)
    share = targets.share.view(-1, 1, 1, 1)
    neighbour = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])
    torch.testing.assert_close(x, share * plain + (1 - share) * plain[neighbour], rtol=0, atol=1e-5)
    assert torch.equal(targets.second, labels[neighbour])


def test_cutmix_takes_each_pixel_from_one_of_two_and_its_share_counts_them():
    pixels, labels = pictures()
    plain, _ = augment(pixels, labels, config(), PLAIN, step=0)
    x, targets = augment(pixels, labels, config(cutmix=1.0), PLAIN, step=0)
    neighbour = plain[torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])]
    own, others = (x - plain).abs().amax(1) < 1e-6, (x - neighbour).abs().amax(1) < 1e-6
    assert bool((own | others).all())
    torch.testing.assert_close(own.float().mean((1, 2)), targets.share, atol=0.02, rtol=0)


def test_the_loss_of_mixed_targets_is_the_mixture_of_losses():
    pixels, labels = pictures()
    _, targets = augment(pixels, labels, config(mixup=1.0), PLAIN, step=0)
    logits = torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
    soft = torch.zeros(8, 8)
    soft[torch.arange(8), targets.first] += targets.share
    soft[torch.arange(8), targets.second] += 1 - targets.share
    expected = torch.nn.functional.cross_entropy(logits, soft, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(targets.loss(logits, 0.1), expected)


def test_erasing_erases_rectangles_to_the_mean():
    pixels, labels = pictures(64)
    x, _ = augment(pixels, labels, config(erasing=1.0, batch=64), PLAIN, step=0)
    erased = (x == 0).all(1).float().mean((1, 2))
    assert (erased > 0).float().mean() > 0.9 and erased.max() < 0.45


def test_randaugment_has_the_operations_and_magnitudes_of_torchvision():
    """Each of ours against torchvision's own on the same pictures; the signs of geometric ones are drawn there."""
    pixels, _ = pictures(1, 32)
    theirs = v2.RandAugment(num_ops=1, magnitude=9)
    spaces = theirs._AUGMENTATION_SPACE
    assert len(OPERATIONS) == len(spaces)
    for (name, (magnitudes, _signed)), ours in zip(spaces.items(), OPERATIONS, strict=True):
        values = magnitudes(31, 32, 32)
        value = 0.0 if values is None else float(values[9])
        expected = theirs._apply_image_or_video_transform(pixels, name, value, theirs.interpolation, theirs._fill)
        difference = (ours(v2.functional, pixels, 9 / 30).float() - expected.float()).abs().mean()
        assert difference < 0.6, name


def test_downscaled_pictures_keep_their_coarse_content_and_lose_the_fine():
    """A chequerboard of single pixels turns grey in the share that is shrunk; a slope across the picture stays."""
    board = (torch.arange(48)[:, None] + torch.arange(48)) % 2 * 255
    pixels, labels = board.to(torch.uint8).expand(64, 3, -1, -1), torch.zeros(64, dtype=torch.long)
    plain, settings = Preprocessing(size=(48, 48)), config(downscale=0.5, batch=64)
    x, _ = augment(pixels, labels, settings, plain, step=0)
    spread = x.flatten(1).std(1)
    shrunk = spread < 0.5
    assert 16 < shrunk.sum() < 48 and bool((spread[~shrunk] > 0.99).all()) and bool((spread[shrunk] < 0.2).all())
    slope = torch.linspace(0, 255, 48).to(torch.uint8).expand(64, 3, 48, -1)
    x, _ = augment(slope, labels, settings, plain, step=0)
    assert (x - (slope / 255 / 0.5 - 1)).abs()[..., 8:-8].max() < 0.06


def test_colour_jitter_stays_within_its_strength():
    grey = torch.full((64, 3, 8, 8), 128, dtype=torch.uint8)
    x, _ = augment(
        grey, torch.zeros(64, dtype=torch.long), config(color_jitter=0.25, batch=64), Preprocessing(size=(8, 8)), 0
    )
    brightness = ((x + 1) / 2 * 255 / 128).flatten(1).mean(1)
    assert brightness.min() >= 0.74 and brightness.max() <= 1.26 and brightness.std() > 0.05
    assert np.ptp(x[0].numpy()) < 1e-5
