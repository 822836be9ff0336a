"""Rollout: golden values worked by hand, vit-explain's faults by name, parity with explicit products."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer import explain
from explorer.analysis import attention
from explorer.analysis.rollout import rollout, rollout_matrices, rollout_rows
from tests.explorer.analysis import vit_explain_oracle as oracle

FIRST, SECOND = [[0.5, 0.5], [0.25, 0.75]], [[0.2, 0.8], [0.6, 0.4]]


def test_golden_product_of_two_layers(given_trace):
    # A_hat_1 = [[.75, .25], [.125, .875]], A_hat_2 = [[.6, .4], [.3, .7]], R = A_hat_2 A_hat_1
    trace = given_trace([[FIRST], [SECOND]], grid=(1, 1))
    torch.testing.assert_close(rollout(trace, 0), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(rollout(trace, 1), torch.tensor([0.3125, 0.6875]))
    torch.testing.assert_close(rollout(trace, 0, start_layer=1), torch.tensor([0.6, 0.4]))


@pytest.mark.parametrize(
    ("head_fusion", "expected"),
    [
        ("mean", [[0.85, 0.15], [0.1875, 0.8125]]),  # F = [[.7, .3], [.375, .625]]
        ("max", [[1.9 / 2.4, 0.5 / 2.4], [0.5 / 2.25, 1.75 / 2.25]]),  # F = [[.9, .5], [.5, .75]]
        ("min", [[1.5 / 1.6, 0.1 / 1.6], [0.25 / 1.75, 1.5 / 1.75]]),  # F = [[.5, .1], [.25, .5]]
    ],
)
def test_golden_head_fusions(given_trace, head_fusion, expected):
    trace = given_trace([[FIRST, [[0.9, 0.1], [0.5, 0.5]]]], grid=(1, 1))
    torch.testing.assert_close(rollout_matrices(trace, head_fusion)[0], torch.tensor(expected))


def test_golden_discards(given_trace):
    fused = [[0.2, 0.3, 0.5], [0.1, 0.15, 0.75], [0.3, 0.3, 0.4]]
    trace = given_trace([[fused]], grid=(1, 2))
    # int(9 * .34) = 3 smallest of the matrix: .1, .15 and .2, but .2 is the first token's to itself
    matrix = torch.tensor([[1.2, 0.3, 0.5], [0.0, 1.0, 0.75], [0.3, 0.3, 1.4]])
    found = rollout_matrices(trace, discard_ratio=0.34, discard="matrix")[0]
    torch.testing.assert_close(found, matrix / matrix.sum(-1, keepdim=True))
    # int(3 * .34) = 1 smallest of each row: .2, .1, and of two equal ones neither
    row = torch.tensor([[1.0, 0.3, 0.5], [0.0, 1.15, 0.75], [0.3, 0.3, 1.4]])
    found = rollout_matrices(trace, discard_ratio=0.34, discard="row")[0]
    torch.testing.assert_close(found, row / row.sum(-1, keepdim=True))


def test_uniform_attention_stays_uniform_whatever_is_discarded(given_trace):
    trace = given_trace(torch.full((2, 2, 5, 5), 0.2), grid=(2, 2))
    for discard in ("row", "matrix"):
        for query in range(5):
            row = rollout(trace, query, "max", discard_ratio=0.9, discard=discard)
            others = row[torch.arange(5) != query]
            torch.testing.assert_close(others, others[:1].expand(4))


@pytest.mark.parametrize("block_values", [1, 2**21])
@pytest.mark.parametrize("head_fusion", ["mean", "max", "min"])
@pytest.mark.parametrize(("ratio", "discard"), [(0.0, "row"), (0.6, "row"), (0.6, "matrix")])
def test_rows_are_those_of_the_matrices_and_sum_to_1(
    given_trace, random_attention, blocks_of, head_fusion, ratio, discard, block_values
):
    blocks_of(block_values)
    trace = given_trace(random_attention(4, 3, 7), grid=(2, 3))
    choices = {"head_fusion": head_fusion, "discard_ratio": ratio, "discard": discard, "start_layer": 1}
    matrices = rollout_matrices(trace, **choices)
    assert matrices.shape == (4, 7, 7)
    torch.testing.assert_close(matrices[0], torch.eye(7))
    torch.testing.assert_close(matrices.sum(-1), torch.ones(4, 7))
    for query in range(7):
        torch.testing.assert_close(rollout_rows(trace, query, **choices), matrices[:, query])
        torch.testing.assert_close(rollout(trace, query, **choices), matrices[-1, query])


def test_parity_with_the_explicit_product(tiny_model):
    """The formula of Chefer's rollout, of probing-vits and, with mean fusion and nothing discarded, of vit-explain."""
    model = tiny_model(image_size=(32, 48), patch_size=(8, 16), depth=4, distillation_token=True)
    trace = model.trace(torch.randn(1, 3, 32, 48))
    product = torch.eye(trace.tokens, dtype=torch.float64)
    for layer in range(trace.layers):
        a_hat = 0.5 * trace.attention(layer)[0].double().mean(0) + 0.5 * torch.eye(trace.tokens)
        product = a_hat / a_hat.sum(-1, keepdim=True) @ product
    torch.testing.assert_close(rollout_matrices(trace)[-1], product.float())
    values = explain(model, torch.zeros(1, 3, 32, 48), trace=trace).values
    torch.testing.assert_close(values, product[0, 2:].reshape(4, 3).float())


@pytest.mark.parametrize("head_fusion", ["mean", "max", "min"])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
def test_compat_reproduces_vit_explain(tiny_model, head_fusion, ratio):
    model, pixels = tiny_model(depth=4), torch.randn(1, 3, 32, 32)
    trace = model.trace(pixels)
    expected = oracle.rollout([trace.attention(layer)[0].numpy() for layer in range(4)], ratio, head_fusion)
    found = explain(
        model, pixels, "rollout", head_fusion=head_fusion, discard_ratio=ratio, compat="vit-explain", trace=trace
    )
    np.testing.assert_allclose(found.values.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_vit_explain_issue_16_rows_are_normalised_here(tiny_model):
    """The missing keepdim: with max fusion and a discard ratio of 0.9, that tool's map differs from the proper one;
    with the mean and no discards the fault does not show."""
    model, pixels = tiny_model(), torch.randn(1, 3, 32, 32)
    faulty = explain(model, pixels, head_fusion="max", discard_ratio=0.9, compat="vit-explain").values
    proper = explain(model, pixels, head_fusion="max", discard_ratio=0.9, discard="matrix").values
    assert (faulty - proper / proper.max()).abs().max() > 0.02
    plain, compat = explain(model, pixels).values, explain(model, pixels, compat="vit-explain").values
    torch.testing.assert_close(plain / plain.max(), compat)


def test_vit_explain_issues_23_and_27_fused_attention_is_seen(tiny_model):
    """Its hooks saw nothing under fused attention; a trace keeps what is needed, and leaves no hooks behind."""
    model = tiny_model()
    first = explain(model, torch.randn(1, 3, 32, 32)).values
    second = explain(model, torch.randn(1, 3, 32, 32)).values
    assert first.std() > 1e-4
    assert not torch.allclose(first, second)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_vit_explain_prunes_only_the_first_of_a_batch_so_batches_are_refused(tiny_model):
    trace = tiny_model().trace(torch.randn(2, 3, 32, 32))
    for function in (rollout, rollout_rows, rollout_matrices):
        with pytest.raises(ValueError, match="expected the trace of one picture, got a batch of 2"):
            function(trace, discard_ratio=0.5)


@pytest.mark.parametrize("values", [1, 40, 2**19])
@pytest.mark.parametrize("head_fusion", ["mean", "max", "min"])
def test_heads_are_fused_in_runs_also_where_a_layer_has_fewer(
    given_trace, random_attention, blocks_of, head_fusion, values
):
    """The Laboratory leaves out those that are switched off."""
    whole = random_attention(3, 4, 7)
    trace = given_trace(whole, grid=(2, 3))
    kept = ([0, 1, 2, 3], [0, 2, 3], [1])
    fewer = replace(
        trace,
        **{
            name: tuple(part[:, heads] for part, heads in zip(getattr(trace, name), kept, strict=True))
            for name in ("queries", "keys", "values", "head_outputs")
        },
    )
    blocks_of(values)
    expected = torch.eye(7)
    for layer, heads in zip(whole, kept, strict=True):
        over = layer[heads]
        fused = over.mean(0) if head_fusion == "mean" else getattr(over, f"a{head_fusion}")(0)
        expected = (fused + torch.eye(7)) / (fused.sum(-1, keepdim=True) + 1) @ expected
    torch.testing.assert_close(rollout(fewer, 3, head_fusion), expected[3])


def test_one_row_makes_no_matrix_and_one_row_of_the_last_layer(given_trace, random_attention, blocks_of, monkeypatch):
    blocks_of(60)
    trace = given_trace(random_attention(3, 2, 10), grid=(3, 3))
    asked: dict[int, list[int]] = {}

    def counted(trace, layer):
        def rows(tokens, heads):
            asked.setdefault(layer, []).append(tokens.stop - tokens.start)
            return attention.rows_of_layer(trace, layer)(tokens, heads)

        return rows

    monkeypatch.setattr("explorer.analysis.rollout.rows_of_layer", counted)
    rollout(trace, 4)
    assert asked == {2: [1], 1: [6, 6, 4, 4], 0: [6, 6, 4, 4]}  # head by head


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"head_fusion": "median"}, r"head_fusion must be one of mean, max, min, got 'median'"),
        ({"discard_ratio": 1.0}, r"discard_ratio must be at least 0 and below 1, got 1.0"),
        ({"discard_ratio": "0.5"}, r"discard_ratio must be at least 0 and below 1, got '0.5'"),
        ({"discard": "column"}, r"discard must be one of matrix, row, got 'column'"),
        ({"start_layer": 3}, r"start_layer must be from 0 to 2, got 3"),
        ({"query": -1}, r"token must be from 0 to 16 .*, got -1"),
        ({"compat": "timm"}, r"compat must be 'vit-explain' or left out, got 'timm'"),
        ({"compat": "vit-explain", "discard": "row"}, r"vit-explain discards over the whole matrix"),
    ],
)
def test_wording_of_errors(tiny_model, choices, message):
    with pytest.raises(ValueError, match=message):
        explain(tiny_model(), torch.zeros(1, 3, 32, 32), "rollout", **choices)
