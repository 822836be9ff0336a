"""Spearman's rank correlation against scipy's, with ties, and where there is no order."""

import math

import pytest
import torch
from scipy.stats import rankdata, spearmanr

from explorer.analysis.faithfulness.agreement import rank_agreement, ranks, spearman


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 7, 10**6])
def test_parity_with_scipy(seed, levels):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randint(-levels, levels, (2, 12, 12), generator=generator).float()
    torch.testing.assert_close(ranks(a), torch.from_numpy(rankdata(a.numpy().ravel())))
    assert spearman(a, b) == pytest.approx(spearmanr(a.flatten(), b.flatten()).statistic, abs=1e-12)


def test_only_the_order_counts():
    values = torch.tensor([[-3.0, 0.5], [2.0, 9.0]])
    assert spearman(values, values.exp()) == pytest.approx(1.0)
    assert spearman(values, -values) == pytest.approx(-1.0)


def test_a_constant_map_and_nan_have_no_order():
    values = torch.arange(4.0)
    assert math.isnan(spearman(torch.ones(4), values))
    assert math.isnan(spearman(torch.tensor([0.0, math.nan, 1.0, 2.0]), values))


def test_matrix_of_all_pairs():
    maps = [torch.arange(6.0), -torch.arange(6.0), torch.ones(6)]
    matrix = rank_agreement(maps)
    assert torch.equal(matrix.nan_to_num(9), matrix.T.nan_to_num(9))
    torch.testing.assert_close(matrix[:2, :2], torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64))
    assert matrix[2].isnan().all()


def test_maps_of_different_shapes():
    with pytest.raises(ValueError, match=r"\[2, 3\] and \[3, 2\]"):
        spearman(torch.zeros(2, 3), torch.zeros(3, 2))
