"""Deletion curves: a model whose answer is known for every set of patches, the naive way as an oracle, and the cost."""

import numpy as np
import pytest
import torch

from explorer.analysis.faithfulness.faithfulness import Curves, area, deletion_curve, faithfulness, order_of
from vit_model.errors import CodedError

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3


def last(curves) -> Curves:
    return list(curves)[-1]


def maps(*names, grid=(4, 4)):
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(*grid, generator=generator) for name in names}


def naive(model, pixels, order, kept_at_least=0):
    """softmax over the model fed with the prefix and ever fewer of `order`'s patches, from the last of it."""
    tokens = model.embed(pixels)
    prefix = model.config.prefix
    rows = []
    for dropped in range(len(order) + 1 - kept_at_least):
        kept = sorted(prefix + patch for patch in order[dropped:])
        rows.append(model.logits_from(tokens[:, [*range(prefix), *kept]]).softmax(-1)[0])
    return torch.stack(rows)


@pytest.mark.parametrize("shape", [{}, {"registers": 2}, {"distillation_token": True, "pool": "class-distilled"}])
def test_parity_with_one_forward_for_each_set_of_patches(tiny_model, shape):
    model, target = tiny_model(**shape), 2
    given = maps("one", "two")
    found = last(faithfulness(model, PIXELS, given, target, steps=16))
    assert found.dropped.tolist() == list(range(17))
    for row, values in enumerate(given.values()):
        order = values.flatten().argsort(descending=True).tolist()
        for direction, kept in (("positive", order), ("negative", order[::-1])):
            oracle = naive(model, PIXELS, kept)
            np.testing.assert_allclose(getattr(found, direction)[row], oracle[:, target], rtol=2e-4, atol=1e-6)
            assert (getattr(found, f"{direction}_first")[row] == (oracle.argmax(-1) == target).numpy()).all()


def test_one_curve_by_itself_is_the_same(tiny_model):
    model, given = tiny_model(), maps("one", "two")
    found = last(faithfulness(model, PIXELS, given, 1, steps=5, value="logit"))
    for first, direction in ((True, "positive"), (False, "negative")):
        share, curve = deletion_curve(model, PIXELS, given["two"], 1, most_relevant_first=first, steps=5, value="logit")
        np.testing.assert_allclose(share, found.share, rtol=1e-6)
        np.testing.assert_allclose(curve, getattr(found, direction)[1], rtol=2e-4, atol=1e-5)


def test_one_curve_packs_what_fits(tiny_model, monkeypatch):
    model, given = tiny_model(), maps("one")["one"]
    share, curve = deletion_curve(model, PIXELS, given, 1, steps=16)
    for most, packs in ((0, 17), (18 * 4 * 3 * model.config.width, 11), (2**30, 1)):  # bytes of the widest activation
        monkeypatch.setattr("explorer.analysis.faithfulness.faithfulness.ACTIVATION_BYTES", most)
        counted = blocks_of_tokens(model)
        again, same = deletion_curve(model, PIXELS, given, 1, steps=16)
        assert len(counted) == packs * model.config.depth
        torch.testing.assert_close(same, curve)
        torch.testing.assert_close(again, share)
        for block in model.blocks:
            block._forward_pre_hooks.clear()


def test_a_trace_that_is_there_saves_the_forward_pass_of_the_first_point(tiny_model):
    model, given = tiny_model(), maps("one")["one"]
    trace, counted = model.trace(PIXELS), blocks_of_tokens(model)
    share, curve = deletion_curve(model, PIXELS, given, 1, steps=4)
    without = sum(counted)
    counted.clear()
    again, same = deletion_curve(model, PIXELS, given, 1, steps=4, trace=trace)
    assert sum(counted) == without - trace.tokens * trace.layers
    torch.testing.assert_close(same, curve)
    torch.testing.assert_close(again, share)


def test_an_order_that_is_known_to_be_true_wins(tiny_model):
    """Every patch adds its own evidence: mean pooling without any mixing between tokens."""
    model = tiny_model(pool="mean-patches", class_token=False)
    for block in model.blocks:
        for parameter in block.parameters():
            parameter.zero_()
    evidence = model.classify(model.embed(PIXELS).transpose(0, 1))[:, 0].reshape(4, 4)  # each token by itself
    given = {"true": evidence, "reversed": -evidence, "random": torch.rand(64, 4, 4)}
    areas = last(faithfulness(model, PIXELS, given, 0, steps=15, value="logit")).areas
    assert areas["gap"][0] > 0
    assert areas["gap"][0] == pytest.approx(-areas["gap"][1])
    assert areas["positive"][0] == areas["positive"].min()
    assert areas["negative"][0] == areas["negative"].max()
    assert abs(areas["gap"][2]) < 0.15 * areas["gap"][0]


def test_insertion_is_negative_deletion_from_the_other_end(tiny_model):
    model, given = tiny_model(), maps("one")
    found = last(faithfulness(model, PIXELS, given, 0, steps=8))
    share, scores = 1 - found.share[::-1], found.negative[:, ::-1]
    assert share.tolist() == [index / 8 for index in range(9)]
    order = given["one"].flatten().argsort(descending=True).tolist()
    tokens = model.embed(PIXELS)
    for inserted, score in zip(range(0, 17, 2), scores[0], strict=True):
        kept = [0, *(1 + patch for patch in order[:inserted])]
        assert score == pytest.approx(model.logits_from(tokens[:, kept]).softmax(-1)[0, 0].item(), rel=1e-3)
    assert area(share, scores)[0] == pytest.approx(found.areas["negative"][0])


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ({"pool": "mean-patches", "class_token": False}, 15),
        ({"pool": "mean-patches"}, 15),
        ({"pool": "class+mean"}, 15),
        ({"pool": "mean-all"}, 16),
        ({"pool": "mean-all", "class_token": False}, 15),
        ({}, 16),
    ],
)
def test_one_patch_stays_where_the_head_needs_one(tiny_model, shape, most):
    found = last(faithfulness(tiny_model(**shape), PIXELS, maps("one"), 0))
    assert found.dropped.tolist() == list(range(most + 1))
    assert np.isfinite(found.positive).all()
    assert found.share[-1] == most / 16


def test_areas_worked_by_hand():
    assert area(np.array([0, 0.5, 1.0]), np.array([[1.0, 0.5, 0.0], [1, 1, 1], [0, 1, 0]])).tolist() == [0.5, 1.0, 0.5]
    assert area(np.array([0, 0.25, 0.75]), np.array([1.0, 0.5, 0.5])) == pytest.approx(0.4375 / 0.75)


def test_points_come_from_coarse_to_fine_and_every_yield_is_usable(tiny_model):
    seen = list(faithfulness(tiny_model(), PIXELS, maps("one"), 0, steps=4))
    assert [found.dropped.tolist() for found in seen] == [[0, 16], [0, 8, 16], [0, 4, 8, 16], [0, 4, 8, 12, 16]]
    assert [found.complete for found in seen] == [False, False, False, True]
    for found in seen:
        assert np.isfinite(found.areas["gap"]).all()
        assert set(found.dropped) <= set(seen[-1].dropped)


def blocks_of_tokens(model):
    """A list that collects the tokens each block is given."""
    counted = []
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, args: counted.append(args[0].shape[0] * args[0].shape[1]))
    return counted


def test_a_curve_of_20_steps_costs_less_than_12_forwards(tiny_model):
    model = tiny_model(image_size=112, depth=2)  # 14 x 14 patches
    pixels = torch.randn(1, 3, 112, 112)
    counted = blocks_of_tokens(model)
    model(pixels)
    forward = sum(counted)
    counted.clear()
    deletion_curve(model, pixels, torch.rand(14, 14), 0)
    assert 8 * forward < sum(counted) < 12 * forward
    counted.clear()
    last(faithfulness(model, pixels, {"one": torch.rand(14, 14)}, 0))
    assert sum(counted) < 21 * forward  # two curves, which share their ends


def test_every_distinct_set_is_run_once(tiny_model):
    model, given = tiny_model(), maps("one", "two")
    counted = blocks_of_tokens(model)
    first = last(faithfulness(model, PIXELS, given, 0, steps=8))
    once = sum(counted)
    counted.clear()
    again = given | {"copy": 2 * given["one"] + 1, "turned": -given["two"]}
    found = last(faithfulness(model, PIXELS, again, 0, steps=8))
    assert sum(counted) == once
    np.testing.assert_allclose(found.positive[2], first.positive[0])
    np.testing.assert_allclose(found.negative[3], first.positive[1])


def test_batches_are_bounded_in_memory(tiny_model, monkeypatch):
    model, given = tiny_model(), maps("one", "two", "three")
    whole = last(faithfulness(model, PIXELS, given, 0, steps=8))
    sizes = []
    model.blocks[0].register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[:2]))
    monkeypatch.setattr(
        "explorer.analysis.faithfulness.faithfulness.ACTIVATION_BYTES", 2 * 10 * 3 * 32 * 4
    )  # two sets of ten tokens
    np.testing.assert_allclose(last(faithfulness(model, PIXELS, given, 0, steps=8)).positive, whole.positive, rtol=1e-3)
    assert max(sets * tokens for sets, tokens in sizes if sets > 1) <= 20


def test_draws_are_averaged(tiny_model):
    model, given = tiny_model(), maps("one", "two")
    apart = last(faithfulness(model, PIXELS, given, 0, steps=4))
    together = last(faithfulness(model, PIXELS, {"both": torch.stack(list(given.values()))}, 0, steps=4))
    np.testing.assert_allclose(together.positive[0], apart.positive.mean(0), rtol=1e-5)
    np.testing.assert_allclose(together.negative_first[0], apart.negative_first.mean(0))


def test_ties_are_broken_at_random_and_in_the_same_way_for_the_same_seed():
    flat = torch.zeros(10, 10)
    order = order_of(flat, seed=0)
    assert sorted(order.tolist()) == list(range(100))
    assert torch.equal(order, order_of(flat, seed=0))
    assert not torch.equal(order, order_of(flat, seed=1))
    assert abs(np.corrcoef(order.numpy(), np.arange(100))[0, 1]) < 0.3  # raster order is no order
    values = torch.tensor([0.0, 2.0, 1.0, 2.0, -1.0])
    assert order_of(values).tolist()[2:] == [2, 0, 4]
    assert {order_of(values, seed)[0].item() for seed in range(20)} == {1, 3}


def test_it_can_be_stopped_in_the_middle(tiny_model):
    model = tiny_model()
    counted = blocks_of_tokens(model)
    steps = faithfulness(model, PIXELS, maps("one"), 0)
    next(steps)
    so_far = len(counted)
    steps.close()
    assert len(counted) == so_far


def test_gradients_stay_as_the_caller_has_them(tiny_model):
    steps = faithfulness(tiny_model().requires_grad_(True), PIXELS, maps("one"), 0, steps=2)
    next(steps)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": 5}, "class from 0 to 4, got 5"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"value": "loss"}, "probability, logit, got 'loss'"),
        ({"maps": {"own": torch.zeros(2, 2)}}, r"own should be a map \[4, 4\]"),
        ({"maps": {"own": torch.full((4, 4), torch.nan)}}, "own holds NaN"),
        ({"maps": {}}, "no map"),
        ({"pixels": PIXELS.expand(2, -1, -1, -1)}, "one picture"),
    ],
)
def test_wrong_requests_say_what_is_valid(tiny_model, change, words):
    asked = {"pixels": PIXELS, "maps": maps("one"), "target": 0} | change
    with pytest.raises(ValueError, match=words):
        next(faithfulness(tiny_model(), **asked))


def test_a_model_without_a_head_says_why(tiny_model):
    with pytest.raises(CodedError, match="no head") as caught:
        next(faithfulness(tiny_model(classes=0), PIXELS, maps("one"), 0))
    assert caught.value.code == "no_head"
