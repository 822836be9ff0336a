"""All methods of the registry, measured beside the two baselines; stopped in the middle; and a method that fails."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from explorer.analysis.explain import methods
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.method import Method
from explorer.analysis.faithfulness.baselines import sobel_map
from explorer.analysis.faithfulness.leaderboard import edges_of, leaderboard

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3
SOME = ["attention", "rollout", "gradient-rollout"]


def test_every_method_and_both_baselines_take_part(tiny_model):
    seen = list(leaderboard(tiny_model(), PIXELS, 1, steps=2, draws=3))
    assert [now.doing for now in seen[: len(methods.METHODS)]] == list(methods.METHODS)
    assert all(now.curves is None for now in seen[: len(methods.METHODS)])
    *_, found = seen
    assert set(found.maps) | set(found.refused) == {*methods.METHODS, "random", "sobel"}
    assert not found.refused
    assert found.curves.names == tuple(found.maps)
    assert found.maps["random"].shape == (3, 4, 4)
    assert found.done == 1.0
    assert all(a.done <= b.done for a, b in pairwise(seen))
    gaps = found.curves.areas["gap"][found.ranking]
    assert (np.diff(gaps) <= 0).all()
    assert found.agreement.shape == (len(found.maps),) * 2


def test_maps_are_those_of_explain(tiny_model):
    model = tiny_model()
    *_, found = leaderboard(model, PIXELS, 1, methods=SOME, steps=2)
    for name in SOME:
        assert torch.equal(found.maps[name], methods.explain(model, PIXELS, name, 1).values)


def test_a_method_that_fails_is_named_and_the_others_stay(tiny_model, monkeypatch):
    nan = torch.full((4, 4), torch.nan)
    broken = Method("broken", lambda *_: Explanation("broken", nan, signed=True), needs_head=False)
    monkeypatch.setitem(methods.METHODS, "broken", broken)
    *_, found = leaderboard(tiny_model(), PIXELS, 1, methods=["rollout", "broken"], steps=2)
    assert list(found.maps) == ["rollout", "random", "sobel"]
    assert "NaN" in str(found.refused["broken"])


def test_edges_are_of_the_picture_not_of_the_normalised_pixels(tiny_model):
    model = tiny_model()
    picture = torch.rand(3, 32, 32)
    mean, std = (torch.tensor(each)[:, None, None] for each in (model.preprocessing.mean, model.preprocessing.std))
    torch.testing.assert_close(edges_of(model, ((picture - mean) / std)[None]), sobel_map(picture, (8, 8)))


def test_wrong_requests(tiny_model):
    with pytest.raises(ValueError, match="unknown method 'magic'"):
        next(leaderboard(tiny_model(), PIXELS, 0, methods=["magic"]))
    with pytest.raises(ValueError, match="no head"):
        next(leaderboard(tiny_model(classes=0), PIXELS, 0))
