"""Generic relevance against autograd through an explicit softmax, and the identities of its chain."""

import pytest
import torch

from explorer import explain
from explorer.analysis.explain.gradients import class_gradients
from explorer.analysis.explain.relevance import read_tokens, relevance_row
from tests.explorer.analysis.explicit import explicit

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3


def whole(model, target, against=None, start_layer=0):
    """R [N, N] as the paper accumulates it: R <- R + A_bar R, from the first layer up."""
    result = torch.eye(model.config.tokens)
    for weights, gradient in list(zip(*explicit(model, PIXELS, target, against), strict=True))[start_layer:]:
        result = result + (weights * gradient).relu().mean(0) @ result
    return result


@pytest.mark.parametrize(("target", "against"), [(0, None), (3, None), (3, 0)])
def test_parity_with_autograd_through_an_explicit_softmax(tiny_model, target, against):
    model = tiny_model(registers=2)
    found = explain(model, PIXELS, "relevance", target, against=against)
    assert (found.target, found.against, found.signed) == (target, against, False)
    expected = whole(model, target, against)[0, 3:].reshape(4, 4)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-6)


def test_any_row_from_any_layer_is_one_of_the_product_of_identity_and_a_bar(tiny_model):
    """R accumulated as in the paper is the product of (I + A_bar): FACTS, section 3."""
    model = tiny_model()
    product = torch.eye(17)
    for weights, gradient in list(zip(*explicit(model, PIXELS, 2), strict=True))[1:]:
        product = (torch.eye(17) + (weights * gradient).relu().mean(0)) @ product
    torch.testing.assert_close(product, whole(model, 2, start_layer=1))
    trace, gradients = model.trace(PIXELS), class_gradients(model, PIXELS, 2)
    for query in (0, 7, 16):
        start = torch.nn.functional.one_hot(torch.tensor(query), 17)
        torch.testing.assert_close(relevance_row(trace, gradients, start, 1), product[query], rtol=1e-4, atol=1e-6)
    found = explain(model, PIXELS, "relevance", 2, query=7, start_layer=1).values
    torch.testing.assert_close(found.flatten(), product[7, 1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "share"),
    [
        ({}, [1, *[0] * 16]),
        ({"distillation_token": True, "pool": "class-distilled", "registers": 1}, [0.5, 0.5, 0, *[0] * 16]),
        ({"pool": "mean-patches"}, [0, *[1 / 16] * 16]),
        ({"pool": "mean-all"}, [1 / 17] * 17),
        ({"pool": "mean-patches", "class_token": False}, [1 / 16] * 16),
        ({"pool": "class+mean"}, [0.5, *[1 / 32] * 16]),
    ],
)
def test_the_default_row_is_that_of_what_the_head_reads(tiny_model, fields, share):
    model, share = tiny_model(**fields), torch.tensor(share, dtype=torch.float32)
    torch.testing.assert_close(read_tokens(model.config), share)
    expected = (share @ whole(model, 1))[model.config.prefix :].reshape(4, 4)
    torch.testing.assert_close(explain(model, PIXELS, "relevance", 1).values, expected, rtol=1e-4, atol=1e-6)


def test_blocks_of_rows_change_nothing(tiny_model, blocks_of):
    model = tiny_model(pool="mean-all")
    expected = explain(model, PIXELS, "relevance", 1).values
    blocks_of(4 * 17 * 3)
    torch.testing.assert_close(explain(model, PIXELS, "relevance", 1).values, expected)
