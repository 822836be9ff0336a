"""Gradient rollout against autograd through an explicit softmax, and vit-explain's faults by name."""

import numpy as np
import pytest
import torch

from explorer import explain
from explorer.analysis.explain.gradient_rollout import (
    gradient_rollout_matrices,
    gradient_rollout_row,
    gradient_rollout_rows,
)
from explorer.analysis.explain.gradients import class_gradients
from tests.explorer.analysis import vit_explain_oracle as oracle
from tests.explorer.analysis.explicit import explicit

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3


def gradient_rollout(model, pixels, target, query=0, **choices):
    return gradient_rollout_row(model.trace(pixels), class_gradients(model, pixels, target), query, **choices)


@pytest.mark.parametrize("target", [0, 3])
def test_parity_with_autograd_through_an_explicit_softmax(tiny_model, target):
    model = tiny_model()
    product = torch.eye(17)
    for weights, gradient in zip(*explicit(model, PIXELS, target), strict=True):
        a_hat = (weights * gradient).mean(0).relu() + torch.eye(17)
        product = a_hat / a_hat.sum(-1, keepdim=True) @ product
    torch.testing.assert_close(gradient_rollout(model, PIXELS, target), product[0], rtol=1e-4, atol=1e-6)
    found = explain(model, PIXELS, "gradient-rollout", target)
    assert found.target == target
    torch.testing.assert_close(found.values, product[0, 1:].reshape(4, 4), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
def test_compat_reproduces_vit_explain(tiny_model, ratio):
    model = tiny_model()
    weights, gradients = explicit(model, PIXELS, 2)
    expected = oracle.gradient_rollout([w.numpy() for w in weights], [g.numpy() for g in gradients[::-1]], ratio)
    found = explain(model, PIXELS, "gradient-rollout", 2, discard_ratio=ratio, compat="vit-explain")
    np.testing.assert_allclose(found.values.numpy(), expected, rtol=2e-4, atol=1e-5)


def test_vit_explain_issue_6_each_layer_meets_its_own_gradient(tiny_model):
    """That tool pairs the first layer's attention with the last layer's gradient, which gives another map."""
    model = tiny_model()
    proper = explain(model, PIXELS, "gradient-rollout", 1).values
    faulty = explain(model, PIXELS, "gradient-rollout", 1, compat="vit-explain").values
    assert (proper / proper.max() - faulty).abs().max() > 0.02


def test_classes_differ_and_the_default_is_the_predicted_one(tiny_model):
    model = tiny_model()
    maps = [explain(model, PIXELS, "gradient-rollout", target).values for target in range(5)]
    assert not torch.allclose(maps[0], maps[1])
    predicted = int(model(PIXELS).argmax())
    default = explain(model, PIXELS, "gradient-rollout")
    assert default.target == predicted
    torch.testing.assert_close(default.values, maps[predicted])


def test_leaves_the_model_as_it_was(tiny_model):
    model = tiny_model().requires_grad_(True)
    gradient_rollout(model, PIXELS, 0)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_works_where_the_caller_has_switched_gradients_off(tiny_model):
    model = tiny_model()
    with torch.no_grad():
        found = gradient_rollout(model, PIXELS, 0)
    assert torch.equal(found, gradient_rollout(model, PIXELS, 0))


def test_sums_to_1_for_any_query_and_start(tiny_model):
    model = tiny_model()
    for choices in ({"query": 5}, {"start_layer": 2}, {"discard_ratio": 0.7, "discard": "row"}):
        row = gradient_rollout(model, PIXELS, 0, **choices)
        torch.testing.assert_close(row.sum(), torch.tensor(1.0))


def test_wording_of_errors(tiny_model):
    with pytest.raises(ValueError, match="target must be a class from 0 to 4, got 5"):
        gradient_rollout(tiny_model(), PIXELS, 5)
    with pytest.raises(ValueError, match="this model has no head, so it has no class to explain"):
        gradient_rollout(tiny_model(classes=0), PIXELS, 0)
    with pytest.raises(ValueError, match="this model has no head, so it has no class to explain"):
        explain(tiny_model(classes=0), PIXELS, "gradient-rollout")
    with pytest.raises(ValueError, match=r"discard_ratio must be at least 0 and below 1, got -0\.1"):
        explain(tiny_model(), PIXELS, "gradient-rollout", discard_ratio=-0.1)


@pytest.mark.parametrize("choices", [{}, {"discard_ratio": 0.6, "start_layer": 1}, {"compat": "vit-explain"}])
def test_rows_and_matrices_after_each_layer_end_in_the_rollout(tiny_model, choices):
    model = tiny_model()
    ingredients = model.trace(PIXELS), class_gradients(model, PIXELS, 1)
    matrices = gradient_rollout_matrices(*ingredients, **choices)
    rows = gradient_rollout_rows(*ingredients, query=5, **choices)
    torch.testing.assert_close(matrices[:, 5], rows, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rows[-1], gradient_rollout(model, PIXELS, 1, query=5, **choices), rtol=1e-4, atol=1e-6)
    if choices.get("start_layer"):
        torch.testing.assert_close(matrices[0], torch.eye(17))


def test_gradients_that_are_kept_hold_no_graph(tiny_model):
    model = tiny_model()
    gradients = class_gradients(model, PIXELS, 1)
    assert [list(layer.shape) for layer in gradients.outputs] == [[1, 4, 17, 8]] * 3
    assert not any(each.requires_grad or each.grad_fn for each in (*gradients.outputs, gradients.pixels))
