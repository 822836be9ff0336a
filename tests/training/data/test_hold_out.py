"""The held-out part: disjoint, complete, stratified, the same everywhere."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.datasets import hold_out

LABELS = st.lists(st.integers(0, 6), max_size=120).map(np.array)
SHARES = st.floats(0, 0.9)
SEEDS = st.integers(0, 2**63 - 1)


@given(LABELS, SHARES, SEEDS)
def test_each_picture_is_in_one_part(labels, share, seed):
    train, held = hold_out(labels, share, seed)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert train.tolist() == sorted(train)
    assert held.tolist() == sorted(held)
    assert train.dtype == held.dtype == np.int64


@given(LABELS, SHARES.filter(bool), SEEDS)
def test_each_class_gives_its_share_within_one(labels, share, seed):
    _, held = hold_out(labels, share, seed)
    for label in np.unique(labels):
        count, taken = (labels == label).sum(), (labels[held] == label).sum()
        assert (taken == 0) if count == 1 else (1 <= taken < count)
        assert abs(taken - count * share) <= 1


@given(LABELS, SHARES, SEEDS)
def test_it_is_the_same_each_time(labels, share, seed):
    one, two = hold_out(labels, share, seed), hold_out(labels.copy(), share, seed)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_nothing_is_held_out_for_a_share_of_0():
    train, held = hold_out(np.zeros(10, np.int64), 0, 1)
    assert len(held) == 0
    assert train.tolist() == list(range(10))


def test_another_seed_takes_others():
    labels = np.arange(1000) % 2
    assert hold_out(labels, 0.5, 1)[1].tolist() != hold_out(labels, 0.5, 2)[1].tolist()


def test_these_very_ones_on_every_machine():
    assert hold_out(np.arange(20) % 2, 0.2, 42)[1].tolist() == GOLDEN
    code = (
        "import numpy as np; from training.data.datasets import hold_out as h; print(h(np.arange(20) % 2, 0.2, 42)[1])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip("[ ]\n").split() == [str(n) for n in GOLDEN]


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_a_share_that_cannot_be_meant(share):
    with pytest.raises(ValueError, match="held-out share must be at least 0 and below 1"):
        hold_out(np.zeros(4), share, 0)


GOLDEN = [0, 1, 6, 13]
