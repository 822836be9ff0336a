"""LeGrad against autograd through an explicit softmax: every layer read through the final norm and the head."""

import pytest
import torch
import torch.nn.functional as F

from explorer import explain

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3


def by_autograd(model, target, against, pooling, start_layer=0):
    """relu(d s_l / d A_l), mean over heads and queries, then over layers: with attention and blocks' outputs stored by
    hooks, one backward pass of the whole graph a layer."""
    attention, states = [], []

    def stored(q, k, v, dropout_p=0.0):
        attention.append(torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1))
        return attention[-1] @ v

    hooks = [block.register_forward_hook(lambda *call: states.append(call[-1])) for block in model.blocks]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", stored)
        model(PIXELS.clone().requires_grad_())
    for hook in hooks:
        hook.remove()
    maps = []
    for weights, state in list(zip(attention, states, strict=True))[start_layer:]:
        logits = model.head(model.norm(state.mean(1))) if pooling == "mean" else model.classify(state)
        score = logits[0, target] - (0 if against is None else logits[0, against])
        gradient = torch.autograd.grad(score, weights, retain_graph=True)[0]
        maps.append(gradient.relu().mean((0, 1, 2)))
    return torch.stack(maps).mean(0)[model.config.prefix :].reshape(4, 4)


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({"registers": 2}, {}),
        ({}, {"start_layer": 1, "against": 0}),
        ({}, {"pooling": "mean"}),
        ({"pool": "mean-patches"}, {}),
        ({"pool": "mean-all", "class_token": False}, {}),
        ({"pool": "class+mean"}, {}),
        ({"pool": "class-distilled", "distillation_token": True}, {}),
        ({"layer_scale": 0.7, "mlp": "swiglu"}, {}),
    ],
)
def test_parity_with_autograd_through_an_explicit_softmax(tiny_model, fields, choices):
    model = tiny_model(**fields)
    found = explain(model, PIXELS, "legrad", 2, **choices)
    assert (found.target, found.against, found.signed) == (2, choices.get("against"), False)
    plain = {"against": None, "pooling": "head"} | choices
    torch.testing.assert_close(found.values, by_autograd(model, 2, **plain), rtol=1e-4, atol=1e-7)
    assert found.values.std() > 0


def test_blocks_of_rows_change_nothing(tiny_model, blocks_of):
    model = tiny_model(pool="mean-all")
    expected = explain(model, PIXELS, "legrad", 1).values
    blocks_of(4 * 17 * 3)
    torch.testing.assert_close(explain(model, PIXELS, "legrad", 1).values, expected)


def test_wording_of_errors(tiny_model):
    with pytest.raises(ValueError, match="pooling must be one of head, mean, got 'max'"):
        explain(tiny_model(), PIXELS, "legrad", pooling="max")
    with pytest.raises(ValueError, match="layer must be from 0 to 2"):
        explain(tiny_model(), PIXELS, "legrad", start_layer=3)
