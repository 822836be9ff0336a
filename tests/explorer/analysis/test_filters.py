"""Principal components of the patch projection."""

import numpy as np
import pytest
import torch

from explorer.analysis.filters import patch_filters


def test_golden_one_direction_explains_everything(tiny_model):
    model = tiny_model(patch_size=2, image_size=8)
    direction = torch.zeros(3, 2, 2)
    direction[1, 0, 1], direction[2, 1, 0] = 0.6, -0.8  # length 1; the largest entry is negative
    amounts = torch.arange(32.0).reshape(32, 1, 1, 1)
    model.patch_embed.projection.weight.copy_(0.5 + amounts * direction)
    components, explained = patch_filters(model, 2)
    expected = torch.zeros(2, 2, 3)
    expected[0, 1, 1], expected[1, 0, 2] = -0.6, 0.8
    torch.testing.assert_close(components[0], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(explained, torch.tensor([1.0, 0.0]), rtol=0, atol=1e-6)


def test_components_are_the_eigenvectors_of_the_covariance(tiny_model):
    model = tiny_model(patch_size=(2, 4), image_size=8)
    components, explained = patch_filters(model, 5)
    assert components.shape == (5, 2, 4, 3)
    values, vectors = np.linalg.eigh(np.cov(model.patch_embed.projection.weight.flatten(1).numpy(), rowvar=False))
    np.testing.assert_allclose(explained, (values / values.sum())[::-1][:5], rtol=1e-4)
    channels_first = components.permute(0, 3, 1, 2).flatten(1).numpy()
    overlaps = np.abs((channels_first * vectors.T[::-1][:5]).sum(1))
    np.testing.assert_allclose(overlaps, 1.0, rtol=1e-3)


def test_no_more_than_there_are(tiny_model):
    model = tiny_model(patch_size=1, image_size=4, channels=2)
    assert patch_filters(model, 28).components.shape == (2, 1, 1, 2)


def test_wording_of_errors(tiny_model):
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        patch_filters(tiny_model(), 0)
