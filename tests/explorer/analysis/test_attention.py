"""Attention rows, columns and layers: golden values, blocks, wording of errors."""

import pytest
import torch

from explorer.analysis import attention
from explorer.analysis.attention import attention_columns, attention_rows, layer_attention

TWO_HEADS = [
    [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.35, 0.4]],
    [[0.9, 0.05, 0.05], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]],
]


def test_golden_row_and_column(given_trace):
    trace = given_trace([TWO_HEADS], grid=(1, 2))
    torch.testing.assert_close(attention_rows(trace, 0, 1), torch.tensor([[0.1, 0.6, 0.3], [0.2, 0.2, 0.6]]))
    torch.testing.assert_close(attention_columns(trace, 0, 2), torch.tensor([[0.2, 0.3, 0.4], [0.05, 0.6, 0.4]]))


@pytest.mark.parametrize("block_values", [1, 200, 2**21])
def test_rows_and_columns_are_those_of_the_whole_layer(tiny_model, blocks_of, block_values):
    blocks_of(block_values)
    trace = tiny_model().trace(torch.randn(1, 3, 32, 32))
    for layer in (0, -1):
        whole = layer_attention(trace, layer)
        torch.testing.assert_close(attention_rows(trace, layer, 3), whole[:, 3])
        torch.testing.assert_close(attention_columns(trace, layer, 3), whole[:, :, 3])


def test_columns_of_a_long_sequence_are_made_in_blocks(given_trace, blocks_of):
    blocks_of(64)
    trace = given_trace(torch.full((1, 2, 16, 16), 1 / 16), grid=(3, 5))
    sizes = [rows.numel() for _, rows in attention.attention_blocks(trace, 0)]
    assert max(sizes) == 64
    assert sum(sizes) == 2 * 16 * 16


def test_wording_of_errors(tiny_model):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"layer must be from 0 to 2, or negative to count from the last; got 3"):
        attention_rows(trace, 3, 0)
    with pytest.raises(ValueError, match=r"token must be from 0 to 16 \(1 before the patches, then 4x4 .*\), got 17"):
        attention_columns(trace, 0, 17)
    with pytest.raises(ValueError, match=r"token must be from 0 to 16 .*, got 'a'"):
        attention_rows(trace, 0, "a")
    with pytest.raises(ValueError, match="expected the trace of one picture, got a batch of 2"):
        layer_attention(model.trace(torch.randn(2, 3, 32, 32)), 0)
