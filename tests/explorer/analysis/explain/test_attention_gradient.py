"""Attention x gradient against autograd through an explicit softmax, and the sum that its rows must have."""

import pytest
import torch

from explorer import explain
from explorer.analysis.explain.gradients import class_gradients, weighted_attention
from tests.explorer.analysis.explicit import explicit

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3


@pytest.mark.parametrize("choices", [{}, {"layer": 0}, {"layer": None}, {"layer": 1, "query": 5}, {"against": 0}])
def test_parity_with_autograd_through_an_explicit_softmax(tiny_model, choices):
    model = tiny_model(registers=1)
    weights, gradients = explicit(model, PIXELS, 3, choices.get("against"))
    product = torch.stack(weights) * torch.stack(gradients)  # [L, H, N, N]
    product = product[[choices.get("layer", -1)]] if choices.get("layer", -1) is not None else product
    rows = slice(None) if "query" not in choices else slice(choices["query"], choices["query"] + 1)
    expected = product[:, :, rows].sum(2).mean((0, 1))[2:].reshape(4, 4)
    found = explain(model, PIXELS, "attention-gradient", 3, **choices)
    assert found.signed
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-6)


def test_rows_sum_to_head_outputs_times_their_gradient(tiny_model):
    """sum_j A_ij dA_ij = O_i . dO_i, since dA = dO V^T and O = A V."""
    model = tiny_model()
    trace, gradients = model.trace(PIXELS), class_gradients(model, PIXELS, 1)
    for layer in range(3):
        rows = weighted_attention(trace, gradients, layer)(slice(0, 17)).sum(-1)
        expected = (trace.head_outputs[layer] * gradients.outputs[layer])[0].sum(-1)
        torch.testing.assert_close(rows, expected, rtol=1e-4, atol=1e-6)
