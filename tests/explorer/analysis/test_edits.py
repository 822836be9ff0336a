"""Edits against independent oracles: hooks that zero what a part adds, tokens left out, and arrays moved by hand."""

import numpy as np
import pytest
import torch

from explorer import explain
from explorer.analysis.attention import layer_attention
from explorer.analysis.edits import BLUR, Edits, PatchEdit, apply_edits
from explorer.analysis.rollout import rollout

MODELS = {
    "class": {},
    "layer scale, registers": {"layer_scale": 0.5, "registers": 2},
    "mean": {"pool": "mean-patches", "class_token": False},
    "class and mean": {"pool": "class+mean"},
    "patch norms": {"patch_norms": True},
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request, tiny_model):
    return tiny_model(**request.param)


@pytest.fixture
def pixels():
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(4))


def run(model, pixels, edits):
    edited = apply_edits(model, pixels, edits)
    return edited.model(edited.pixels)


def hooked(modules, pixels, model, change):
    """Logits while every module of `modules` has `change` applied to what it returns or takes."""
    handles = [change(module) for module in modules]
    logits = model(pixels)
    for handle in handles:
        handle.remove()
    return logits


def zero_output(module):
    def hook(module, inputs, output):
        return (torch.zeros_like(output[0]), *output[1:]) if isinstance(output, tuple) else torch.zeros_like(output)

    return module.register_forward_hook(hook)


def zero_head(head, width):
    def change(projection):
        def hook(module, inputs):
            outputs = inputs[0].clone()
            outputs[..., head * width : (head + 1) * width] = 0
            return (outputs,)

        return projection.register_forward_pre_hook(hook)

    return change


def test_no_edits_change_no_bit(model, pixels):
    edited = apply_edits(model, pixels, Edits())
    assert torch.equal(edited.pixels, pixels)
    assert torch.equal(edited.model(edited.pixels), model(pixels))


def test_a_head_switched_off_is_a_hook_that_zeroes_its_output(model, pixels):
    for layer, head in ((0, 0), (2, 3)):
        expected = hooked([model.blocks[layer].attention.projection], pixels, model, zero_head(head, 8))
        torch.testing.assert_close(run(model, pixels, Edits(heads=((layer, head),))), expected, rtol=1e-5, atol=1e-5)


def test_an_mlp_or_layer_switched_off_is_a_hook_that_zeroes_what_it_adds(model, pixels):
    expected = hooked([model.blocks[1].mlp], pixels, model, zero_output)
    torch.testing.assert_close(run(model, pixels, Edits(mlps=(1,))), expected, rtol=1e-5, atol=1e-5)
    block = model.blocks[1]
    expected = hooked([block.mlp, block.attention], pixels, model, zero_output)
    torch.testing.assert_close(run(model, pixels, Edits(layers=(1,))), expected, rtol=1e-5, atol=1e-5)
    trace = apply_edits(model, pixels, Edits(layers=(1,))).model.trace(pixels)
    assert torch.equal(trace.residual[1], trace.residual[2]), "to the bit"


def test_a_dropped_patch_is_a_token_left_out(model, pixels):
    tokens = model.embed(pixels)
    left = [place for place in range(16) if place not in (3, 9)]
    prefix = model.config.prefix
    expected = model.logits_from(tokens[:, [*range(prefix), *(prefix + place for place in left)]])
    edits = Edits(steps=(PatchEdit("drop", (9, 3)),))
    torch.testing.assert_close(run(model, pixels, edits), expected, rtol=1e-4, atol=1e-5)
    edited = apply_edits(model, pixels, edits)
    assert edited.kept == tuple(left)


def test_a_picture_with_dropped_patches_can_be_explained_by_every_method(model, pixels):
    edited = apply_edits(model, pixels, Edits(steps=(PatchEdit("drop", tuple(range(5))),)))
    for method in ("attention", "rollout", "gradient-rollout"):
        values = explain(edited.model, edited.pixels, method).values
        placed = edited.on_grid(values)
        assert placed.shape == (4, 4)
        assert placed.flatten()[:5].isnan().all()
        torch.testing.assert_close(placed.flatten()[5:], values.flatten())


def test_the_canvas_shows_what_is_left(tiny_model, pixels):
    edited = apply_edits(tiny_model(), pixels, Edits(steps=(PatchEdit("drop", (0, 6)),)))
    canvas, before = grid_of(edited.canvas()), grid_of(pixels)
    assert not canvas[0, 0].any()
    assert not canvas[1, 2].any()
    canvas[0, 0], canvas[1, 2] = before[0, 0], before[1, 2]
    np.testing.assert_array_equal(canvas, before)


def test_zeroed_and_shuffled_positions(model, pixels):
    prefix = model.config.positioned_prefix
    own = model.positions.clone()
    zeroed = apply_edits(model, pixels, Edits(positions="zero")).model.positions
    assert torch.equal(zeroed[:, :prefix], own[:, :prefix])
    assert not zeroed[:, prefix:].any()
    shuffled = [apply_edits(model, pixels, Edits(positions="shuffled", seed=s)).model.positions for s in (1, 1, 2)]
    assert torch.equal(shuffled[0], shuffled[1])
    assert not torch.equal(shuffled[0], shuffled[2])
    assert not torch.equal(shuffled[0], own)
    assert torch.equal(shuffled[0][0, prefix:].sort(0).values, own[0, prefix:].sort(0).values)
    with torch.no_grad():
        model.positions.zero_()
        model.positions[:, :prefix] = own[:, :prefix]
        expected = model(pixels)
        model.positions.copy_(own)
    assert torch.equal(run(model, pixels, Edits(positions="zero")), expected)


def test_the_given_model_and_pixels_stay_as_they_were(model, pixels):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    given, before, config = pixels.clone(), model(pixels), model.config
    steps = tuple(PatchEdit(kind, (1, 2, 6), by=(1, 1), seed=5) for kind in ("blur", "shuffle", "move", "grey", "drop"))
    everything = Edits(steps, "shuffled", 3, heads=((0, 1), (1, 2)), mlps=(0, 2), layers=(1,))
    edited = apply_edits(model, pixels, everything)
    edited.model(edited.pixels)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(pixels, given)
    assert model.config == config
    assert torch.equal(model(pixels), before)


def test_untouched_weights_are_shared(tiny_model, pixels):
    model = tiny_model()
    edited = apply_edits(model, pixels, Edits(heads=((0, 0),))).model
    shared = [a.data_ptr() == b.data_ptr() for a, b in zip(model.parameters(), edited.parameters(), strict=True)]
    assert shared.count(False) == 1


def grid_of(pixels):
    """[gh, gw, C, ph, pw] by numpy."""
    return pixels[0].numpy().reshape(3, 4, 8, 4, 8).transpose(1, 3, 0, 2, 4)


def edited_grid(model, pixels, *steps):
    return grid_of(apply_edits(model, pixels, Edits(steps=steps)).pixels)


def test_moved_patches_change_places_with_those_in_their_way(tiny_model, pixels):
    before = grid_of(pixels)
    after = edited_grid(tiny_model(), pixels, PatchEdit("move", (0, 1), by=(0, 2)))
    np.testing.assert_array_equal(after[0], before[0][[2, 3, 0, 1]])
    after = edited_grid(tiny_model(), pixels, PatchEdit("move", (5,), by=(1, -1)))
    np.testing.assert_array_equal(after[2, 0], before[1, 1])
    np.testing.assert_array_equal(after[1, 1], before[2, 0], "they change places")
    after = edited_grid(tiny_model(), pixels, PatchEdit("move", (0, 1), by=(0, 1)))
    np.testing.assert_array_equal(after[0], before[0][[2, 0, 1, 3]], "one is displaced by two")
    after = edited_grid(tiny_model(), pixels, PatchEdit("move", (0, 5), by=(-9, 0)))
    np.testing.assert_array_equal(after, before, "the edge holds all of them")
    there = PatchEdit("move", (4, 6), by=(2, 1))
    back = PatchEdit("move", (13, 15), by=(-2, -1))
    assert sorted(map(bytes, edited_grid(tiny_model(), pixels, there).reshape(16, -1))) == sorted(
        map(bytes, before.reshape(16, -1))
    ), "none is lost"
    np.testing.assert_array_equal(edited_grid(tiny_model(), pixels, there, back), before)


def test_shuffled_patches_all_move_among_themselves(tiny_model, pixels):
    before = grid_of(pixels).reshape(16, -1)
    chosen = (2, 5, 7, 11, 12)
    orders = []
    for seed in (0, 0, 1, 2, 3):
        after = edited_grid(tiny_model(), pixels, PatchEdit("shuffle", chosen, seed=seed)).reshape(16, -1)
        came_from = [int(np.flatnonzero((before == row).all(1))[0]) for row in after]
        assert sorted(came_from) == list(range(16))
        assert all((came_from[place] != place) == (place in chosen) for place in range(16))
        orders.append(came_from)
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) > 1


def test_grey_is_the_mean_and_blur_is_a_gaussian_of_the_whole_picture(tiny_model, pixels):
    before = grid_of(pixels)
    after = edited_grid(tiny_model(), pixels, PatchEdit("grey", (6,)))
    assert not after[1, 2].any()
    after = edited_grid(tiny_model(), pixels, PatchEdit("blur", (5,)))
    changed = np.abs(after - before).reshape(16, -1).max(1) > 0
    assert changed.nonzero()[0].tolist() == [5]
    sigma = BLUR * 8
    offsets = np.arange(-12, 13)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(pixels[0].numpy(), ((0, 0), (12, 12), (12, 12)), mode="reflect")
    expected = np.einsum("i,j,cij->c", kernel, kernel, padded[:, 10 : 10 + 25, 13 : 13 + 25])
    np.testing.assert_allclose(after[1, 1][:, 2, 5], expected, atol=1e-5)


def test_steps_follow_one_another(tiny_model, pixels):
    model = tiny_model()
    drop_then_move = Edits(steps=(PatchEdit("drop", (0,)), PatchEdit("move", (0,), by=(0, 1))))
    assert 1 not in apply_edits(model, pixels, drop_then_move).kept, "the hole moved along"
    assert 0 in apply_edits(model, pixels, drop_then_move).kept


def test_rollout_leaves_out_what_is_switched_off(tiny_model, pixels):
    model = tiny_model()
    edited = apply_edits(model, pixels, Edits(heads=((0, 1), (2, 0), (2, 1), (2, 2), (2, 3)), layers=(1,)))
    trace = edited.model.trace(edited.pixels)
    mixing = edited.mixing(trace)
    attention = layer_attention(trace, 0)[[0, 2, 3]].mean(0)
    expected = (attention + torch.eye(17)) / 2
    torch.testing.assert_close(rollout(mixing), expected[0])
    torch.testing.assert_close(apply_edits(model, pixels, Edits()).mixing(trace).queries[0], trace.queries[0])
    everything = apply_edits(model, pixels, Edits(layers=(0, 1, 2)))
    with pytest.raises(ValueError, match="no token meets another"):
        everything.mixing(trace)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (Edits(steps=(PatchEdit("drop", (16,)),)), "patch must be from 0 to 15, got 16"),
        (Edits(steps=(PatchEdit("drop", (-1,)),)), "patch must be from 0 to 15, got -1"),
        (Edits(heads=((3, 0),)), "layer must be from 0 to 2, got 3"),
        (Edits(heads=((0, 4),)), "head must be from 0 to 3, got 4"),
        (Edits(mlps=(True, "1")), "layer must be from 0 to 2, got '1'"),
        (Edits(steps=(PatchEdit("drop", tuple(range(16))),)), "leave at least one"),
    ],
)
def test_wording_of_edits_that_do_not_fit(tiny_model, pixels, edits, words):
    with pytest.raises(ValueError, match=words):
        apply_edits(tiny_model(), pixels, edits)


def test_wording_of_edits_that_mean_nothing(tiny_model):
    with pytest.raises(ValueError, match="kind must be one of drop, grey, blur, shuffle, move, got 'explode'"):
        PatchEdit("explode", (1,))
    with pytest.raises(ValueError, match="each once"):
        PatchEdit("drop", (1, 1))
    with pytest.raises(ValueError, match="positions must be one of kept, zero, shuffled, got 'lost'"):
        Edits(positions="lost")
    with pytest.raises(ValueError, match=r"expected pixels \[1, 3, 32, 32\], got \[1, 3, 16, 16\]"):
        apply_edits(tiny_model(), torch.randn(1, 3, 16, 16), Edits())
