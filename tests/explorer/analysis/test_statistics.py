"""Attention distance and entropy: golden values, blocks, agreement with plain loops."""

import math

import pytest
import torch

from explorer.analysis.statistics import attention_distance, attention_entropy


def uniform(given_trace, grid, prefix=1):
    tokens = prefix + grid[0] * grid[1]
    return given_trace(torch.full((1, 1, tokens, tokens), 1 / tokens), grid, prefix)


@pytest.mark.parametrize(
    ("grid", "patch_size", "renormalise", "expected"),
    [
        ((14, 14), 16, True, 116.4922),
        ((14, 14), 16, False, 115.9009),
        ((24, 24), 16, True, 200.0480),
        ((7, 7), 32, True, 115.5029),
    ],
)
def test_golden_distance_of_uniform_attention(given_trace, grid, patch_size, renormalise, expected):
    found = attention_distance(uniform(given_trace, grid), patch_size, renormalise)
    torch.testing.assert_close(found, torch.tensor([[expected]]), rtol=0, atol=1e-4)


def test_golden_distance_with_rectangular_patches(given_trace):
    # Two patches one above the other, 3 pixels apart; the class token takes half of every row.
    rows = [[0.5, 0.25, 0.25], [0.5, 0.125, 0.375], [0.5, 0.25, 0.25]]
    down, across = given_trace([[rows]], grid=(2, 1)), given_trace([[rows]], grid=(1, 2))
    # renormalised: (3 * .75 + 3 * .5) / 2; as it is: (3 * .375 + 3 * .25) / 2
    torch.testing.assert_close(attention_distance(down, (3, 7)), torch.tensor([[1.875]]))
    torch.testing.assert_close(attention_distance(across, (7, 3)), torch.tensor([[1.875]]))
    torch.testing.assert_close(attention_distance(down, (3, 7), renormalise=False), torch.tensor([[0.9375]]))


def test_golden_entropy(given_trace):
    torch.testing.assert_close(
        attention_entropy(uniform(given_trace, (14, 14))), torch.tensor([[5.2832]]), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        attention_entropy(uniform(given_trace, (14, 14), prefix=0)), torch.tensor([[5.2781]]), rtol=0, atol=1e-4
    )
    rows = [[0.5, 0.5], [0.25, 0.75]]  # ln 2 and .25 ln 4 + .75 ln(4/3)
    expected = (math.log(2) + 0.25 * math.log(4) + 0.75 * math.log(4 / 3)) / 2
    torch.testing.assert_close(attention_entropy(given_trace([[rows]], (1, 1))), torch.tensor([[expected]]))


def test_a_token_that_is_certain_has_no_entropy(given_trace):
    certain = (torch.eye(4) + 1e-30).expand(1, 1, 4, 4)
    assert 0 <= attention_entropy(given_trace(certain, (1, 3))).item() < 1e-25


@pytest.mark.parametrize("block_values", [1, 300, 2**21])
def test_blocks_do_not_change_the_numbers(tiny_model, blocks_of, block_values):
    model = tiny_model(image_size=(24, 64), patch_size=(8, 16), registers=2)
    trace = model.trace(torch.randn(1, 3, 24, 64))
    places = [(row * 8, column * 16) for row in range(3) for column in range(4)]
    distances = torch.tensor([[math.dist(a, b) for b in places] for a in places])
    whole = torch.stack([trace.attention(layer)[0] for layer in range(3)])  # [L, H, N, N]
    among = whole[:, :, 3:, 3:] / whole[:, :, 3:, 3:].sum(-1, keepdim=True)
    blocks_of(block_values)
    torch.testing.assert_close(attention_distance(trace, (8, 16)), (among * distances).sum(-1).mean(-1))
    torch.testing.assert_close(attention_entropy(trace), -(whole * whole.log()).sum(-1).mean(-1))


def test_a_batch_is_refused(tiny_model):
    trace = tiny_model().trace(torch.randn(2, 3, 32, 32))
    for function in (lambda: attention_distance(trace, 8), lambda: attention_entropy(trace)):
        with pytest.raises(ValueError, match="expected the trace of one picture, got a batch of 2"):
            function()
