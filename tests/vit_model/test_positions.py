"""Position resampling against the libraries that each scheme is named after, and its properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import timm.layers
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from torchvision.models.vision_transformer import interpolate_embeddings
from transformers import Dinov2Config, Dinov2WithRegistersConfig, ViTConfig
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import Dinov2WithRegistersEmbeddings
from transformers.models.vit.modeling_vit import ViTEmbeddings

from vit_model.positions import METHODS, resample_positions

GRIDS = [(6, 6), (3, 12), (9, 5), (4, 2), (1, 1), (1, 7), (13, 13)]


def embeddings(grid, prefix=1, width=5):
    torch.manual_seed(0)
    return torch.randn(1, prefix + grid[0] * grid[1], width)


def field(positions, grid, prefix=1):
    return positions[0, prefix:].reshape(*grid, -1)


@pytest.mark.parametrize("new_grid", GRIDS[1:])
@pytest.mark.parametrize(
    ("method", "config_class", "embeddings_class"),
    [
        ("hf", ViTConfig, ViTEmbeddings),
        ("dinov2", Dinov2Config, Dinov2Embeddings),
        ("dinov2-registers", Dinov2WithRegistersConfig, Dinov2WithRegistersEmbeddings),
    ],
)
def test_agrees_with_transformers(method, config_class, embeddings_class, new_grid):
    torch.manual_seed(0)
    theirs = embeddings_class(config_class(image_size=24, patch_size=4, hidden_size=5))
    torch.nn.init.normal_(theirs.position_embeddings)
    tokens = torch.zeros(1, 1 + new_grid[0] * new_grid[1], 5)
    expected = theirs.interpolate_pos_encoding(tokens, new_grid[0] * 4, new_grid[1] * 4)
    actual = resample_positions(theirs.position_embeddings, (6, 6), new_grid, method=method)
    assert_close(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("new_grid", GRIDS)
@pytest.mark.parametrize("old_grid", [(6, 6), (4, 9), (1, 5)])
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_agrees_with_timm(old_grid, new_grid, prefix):
    positions = embeddings(old_grid, prefix)
    expected = timm.layers.resample_abs_pos_embed(positions, list(new_grid), list(old_grid), num_prefix_tokens=prefix)
    assert_close(
        resample_positions(positions, old_grid, new_grid, prefix, method="timm"), expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("new_grid", GRIDS)
@pytest.mark.parametrize("old_grid", [(6, 6), (4, 9), (1, 5)])
def test_jax_agrees_with_scipy_zoom(old_grid, new_grid):
    positions = embeddings(old_grid)
    zoom = (new_grid[0] / old_grid[0], new_grid[1] / old_grid[1], 1)
    expected = scipy.ndimage.zoom(field(positions, old_grid).double().numpy(), zoom, order=1)
    actual = field(resample_positions(positions, old_grid, new_grid, method="jax"), new_grid)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(6, 9), (6, 4), (7, 1), (1, 3), (14, 24), (5, 5)])
def test_agrees_with_torchvision(old, new):
    positions = embeddings((old, old))
    expected = interpolate_embeddings(new * 16, 16, {"encoder.pos_embedding": positions})["encoder.pos_embedding"]
    actual = resample_positions(positions, (old, old), (new, new), method="torchvision")
    assert_close(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("new_grid", GRIDS[1:])
def test_dino_agrees_with_a_transcription_of_its_formula(new_grid):
    """out[i] is a sum of four taps of the cubic kernel (a = -0.75) around (i + 1/2) * old / (new + 0.1) - 1/2."""

    def cubic(x):
        x = abs(x)
        if x <= 1:
            return 1.25 * x**3 - 2.25 * x**2 + 1
        return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    def matrix(old, new):
        weights = np.zeros((new, old))
        for i in range(new):
            centre = (i + 0.5) * old / (new + 0.1) - 0.5
            for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
                weights[i, min(max(tap, 0), old - 1)] += cubic(centre - tap)
        return weights

    positions = embeddings((6, 6))
    down, across = matrix(6, new_grid[0]), matrix(6, new_grid[1])
    expected = np.einsum("ai,bj,ijd->abd", down, across, field(positions, (6, 6)).double().numpy())
    actual = field(resample_positions(positions, (6, 6), new_grid, method="dino"), new_grid)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_dino_differs_from_plain_bicubic():
    positions = embeddings((6, 6))
    dino, plain = (resample_positions(positions, (6, 6), (9, 9), method=method) for method in ("dino", "hf"))
    assert (dino - plain).abs().max() > 1e-2


def test_bilinear_is_interpolation_without_antialias():
    positions = embeddings((6, 6))
    for grid in ((9, 5), (2, 3)):
        expected = F.interpolate(positions[:, 1:].mT.reshape(1, 5, 6, 6), grid, mode="bilinear", align_corners=False)
        actual = resample_positions(positions, (6, 6), grid)
        assert_close(field(actual, grid), expected[0].permute(1, 2, 0))


@pytest.mark.parametrize("method", METHODS)
def test_same_grid_returns_the_input_itself(method):
    positions = embeddings((4, 9))
    assert resample_positions(positions, (4, 9), [4, 9], method=method) is positions


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_prefix_keeps_its_bits_and_the_dtype_stays(method, dtype):
    positions = embeddings((6, 6), prefix=2).to(dtype)
    resampled = resample_positions(positions, (6, 6), (9, 5), prefix=2, method=method)
    assert resampled.dtype == dtype and resampled.shape == (1, 2 + 45, 5)
    assert torch.equal(resampled[:, :2], positions[:, :2])
    in_double = resample_positions(positions.double(), (6, 6), (9, 5), prefix=2, method=method)
    assert_close(resampled.double(), in_double, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_grids_are_compared_not_counts(method):
    """timm once took 14x14 for 7x28, which holds as many patches."""
    positions = embeddings((14, 14))
    resampled = resample_positions(positions, (14, 14), (7, 28), method=method)
    assert resampled.shape == positions.shape
    assert (resampled - positions)[:, 1:].abs().max() > 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("new_grid", GRIDS)
def test_a_constant_field_stays_constant(method, new_grid):
    positions = torch.full((1, 1 + 20, 3), 0.7)
    assert_close(
        resample_positions(positions, (4, 5), new_grid, method=method), torch.full((1, 1 + math.prod(new_grid), 3), 0.7)
    )


def test_bilinear_keeps_a_ramp_in_the_interior():
    """A value equal to its own row stays so: new row i lies at (i + 1/2) * 8/20 - 1/2 of the old."""
    ramp = torch.arange(8.0).repeat_interleave(3)[None, :, None]
    resampled = resample_positions(ramp, (8, 3), (20, 3), prefix=0)[0, ::3, 0]
    expected = (torch.arange(20) + 0.5) * 8 / 20 - 0.5
    assert_close(resampled[1:-1], expected[1:-1].clamp(0, 7))


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_columns_are_treated_alike(method):
    positions = embeddings((4, 9), prefix=0)
    turned = field(positions, (4, 9), 0).transpose(0, 1).reshape(1, 36, -1)
    straight = field(resample_positions(positions, (4, 9), (7, 3), 0, method), (7, 3), 0)
    across = field(resample_positions(turned, (9, 4), (3, 7), 0, method), (3, 7), 0)
    assert_close(across.transpose(0, 1), straight, rtol=1e-5, atol=1e-6)


def test_errors_say_what_was_expected():
    positions = torch.zeros(1, 200, 4)
    with pytest.raises(ValueError, match="a 14x14 grid has 196 positions, the checkpoint holds 200; pass image_size"):
        resample_positions(positions, (14, 14), (24, 24), prefix=0)
    with pytest.raises(ValueError, match="has 196 positions and 1 before them, the checkpoint holds 200; pass"):
        resample_positions(positions, (14, 14), (14, 14))
    with pytest.raises(ValueError, match="unknown interpolation 'nearest'; choose one of bilinear, jax, hf, timm"):
        resample_positions(positions, (10, 20), (14, 14), prefix=0, method="nearest")
    with pytest.raises(ValueError, match=r"expected position embeddings \[1, N, D\], got \[200, 4\]"):
        resample_positions(positions[0], (10, 20), (14, 14), prefix=0)
    with pytest.raises(ValueError, match="at least 1x1 patches, got 10x20 and 0x4"):
        resample_positions(positions, (10, 20), (0, 4), prefix=0)
