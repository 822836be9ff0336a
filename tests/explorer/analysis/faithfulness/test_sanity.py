"""Weight randomisation: the model keeps its bits, lower layers theirs, and maps that ignore weights are marked."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch

from explorer.analysis.explain import methods
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.method import Method
from explorer.analysis.faithfulness.baselines import sobel_map
from explorer.analysis.faithfulness.sanity import randomisations, sanity, step_names

PIXELS = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def changed(model, copy):
    return {name for name, p in model.state_dict().items() if not torch.equal(p, copy.state_dict()[name])}


def test_the_model_keeps_its_bits(tiny_model):
    model = tiny_model(distillation_token=True, pool="class-distilled", registers=1, layer_scale=0.5)
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in model.state_dict().items()}
    for _ in randomisations(model):
        pass
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name][0])
        assert tensor.data_ptr() == before[name][1]


def test_steps_go_from_the_top_down_and_share_what_is_below(tiny_model):
    model = tiny_model(registers=1)
    model.norm.weight.normal_()
    steps = dict(zip(step_names(model), randomisations(model), strict=True))
    assert list(steps) == ["head", "block 2", "block 1", "block 0", "embedding"]
    assert changed(model, steps["head"]) == {"head.weight", "norm.weight"}  # all biases here are constant
    above = changed(model, steps["block 1"])
    assert "blocks.1.attention.qkv.weight" in above
    assert "blocks.2.mlp.fc1.weight" in above
    assert not any(name.startswith(("blocks.0", "patch_embed", "positions")) for name in above)
    lower = steps["block 1"].blocks[0].mlp.fc1.weight
    assert lower.data_ptr() == model.blocks[0].mlp.fc1.weight.data_ptr()
    assert {"positions", "registers", "class_token", "patch_embed.projection.weight"} <= changed(
        model, steps["embedding"]
    )


def test_random_weights_keep_mean_and_spread_and_follow_the_seed(tiny_model):
    model = tiny_model()
    weight = model.blocks[2].mlp.fc1.weight
    weight.mul_(0.2).add_(1.0)
    *_, a = randomisations(model, seed=1)
    *_, b = randomisations(model, seed=1)
    *_, c = randomisations(model, seed=2)
    new = a.blocks[2].mlp.fc1.weight
    assert new.mean() == pytest.approx(weight.mean().item(), abs=0.01)
    assert new.std() == pytest.approx(weight.std().item(), rel=0.1)
    assert not changed(a, b)
    assert changed(a, c)


def _edges(model, pixels, trace, target):
    return Explanation("edges", sobel_map(pixels, model.config.patch_size))


def _weights(model, pixels, trace, target):
    """A map that looks at the head alone, and by its sign."""
    torch.manual_seed(int(model.head.weight.abs().sum() * 1e4))
    return Explanation("weights", torch.randn(trace.grid), signed=True)


def _broken(model, pixels, trace, target):
    raise ValueError("not for this model")


@pytest.fixture
def registry():
    """Other methods; afterwards the ones before are back in their order, in which the page offers them."""
    before = dict(methods.METHODS)
    made = {"edges": _edges, "weights": _weights, "broken": _broken}
    table = {"rollout": before["rollout"]} | {name: Method(name, each, needs_head=False) for name, each in made.items()}
    methods.METHODS.clear()
    methods.METHODS.update(table)
    yield
    methods.METHODS.clear()
    methods.METHODS.update(before)


def test_a_map_that_ignores_the_weights_is_marked_and_no_other(tiny_model, registry):
    model = tiny_model(image_size=64)
    original = copy.deepcopy(model.state_dict())
    seen = list(sanity(model, PIXELS, 0))
    assert [len(found.steps) for found in seen] == [0] * 4 + [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5]
    assert all(a.done <= b.done for a, b in pairwise(seen))
    assert seen[-1].done == 1.0
    assert not any(any(found.marked) for found in seen[:-1])
    found = seen[-1]
    assert found.methods == ("rollout", "edges", "weights")  # the broken one is left out
    assert found.marked == (False, True, False)
    assert found.complete
    np.testing.assert_allclose(found.correlation[1], 1.0)
    assert found.correlation[0, 0] == pytest.approx(1.0)  # rollout looks at no head
    assert found.correlation[0, 1] < 1.0
    assert (np.abs(found.correlation[2]) < 0.8).all()
    np.testing.assert_allclose(found.magnitude[:2], found.correlation[:2])  # both are unsigned
    assert all(torch.equal(tensor, original[name]) for name, tensor in model.state_dict().items())


def test_a_map_turned_over_still_has_not_depended_on_the_weights(tiny_model, registry, monkeypatch):
    flips = iter([1, -1, 1, -1, -1, 1])
    turned = lambda model, pixels, trace, target: Explanation(  # noqa: E731
        "edges", next(flips) * sobel_map(pixels, model.config.patch_size), signed=True
    )
    monkeypatch.setitem(methods.METHODS, "edges", Method("edges", turned, needs_head=False))
    *_, found = sanity(tiny_model(image_size=64), PIXELS, 0, ["edges"])
    assert found.correlation[0].tolist() == pytest.approx([-1, 1, -1, -1, 1])
    assert found.marked == (True,)


def test_wrong_requests(tiny_model, registry):
    with pytest.raises(ValueError, match="no head"):
        next(sanity(tiny_model(image_size=64, classes=0), PIXELS, 0))
    with pytest.raises(ValueError, match="none of the chosen methods"):
        list(sanity(tiny_model(image_size=64), PIXELS, 0, ["broken"]))
