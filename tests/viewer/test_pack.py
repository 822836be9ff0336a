"""Packing: what the browser gets is what was computed, to 0.4% of each row's maximum."""

import gzip

import numpy as np
import pytest

from explorer.viewer.pack import compress, pack, unpack


def attention(panels=3, tokens=50, sharpness=2.0, seed=0):
    logits = np.random.default_rng(seed).normal(0, sharpness, (panels, tokens, tokens))
    exponents = np.exp(logits)
    return (exponents / exponents.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 4.0, 12.0])
def test_attention_round_trip_is_within_0_4_percent_of_each_rows_maximum(sharpness):
    values = attention(sharpness=sharpness)
    back = unpack(pack(values, [False] * 3), 50, 50, [False] * 3)
    error = np.abs(back - values) / values.max(-1, keepdims=True)
    assert error.max() <= 0.004
    np.testing.assert_allclose(back.max(-1), values.max(-1), rtol=1e-6)  # the maximum itself is exact


def test_small_values_keep_more_than_linear_codes_would():
    row = np.array([[[1.0, 2e-5, 0.0]]], np.float32)
    back = unpack(pack(row, [False]), 1, 3, [False])
    assert 1e-5 < back[0, 0, 1] < 4e-5
    assert back[0, 0, 2] == 0


def test_signed_and_unsigned_panels_side_by_side():
    rng = np.random.default_rng(1)
    values = np.stack([attention(1)[0], rng.normal(0, 3, (50, 50)).astype(np.float32)])
    back = unpack(pack(values, [False, True]), 50, 50, [False, True])
    assert (np.abs(back - values) / np.abs(values).max(-1, keepdims=True)).max() <= 0.004
    clear = np.abs(values[1]) > 0.01 * np.abs(values[1]).max(-1, keepdims=True)
    assert (np.sign(back[1]) == np.sign(values[1]))[clear].all()


def test_golden_bytes_by_hand():
    blob = pack(np.array([[[0.5, 0.125, 0.0]], [[-2.0, 1.0, 0.0]]], np.float32), [False, True])
    assert blob[:8] == np.array([0.5, 2.0], "<f4").tobytes()
    assert list(blob[8:]) == [255, 128, 0, 129, 64, 0]  # sqrt(1/4) * 255 = 127.5 up; -127 and 63.5 as int8


def test_rows_of_zeros_and_of_denormals_stay_finite():
    values = np.zeros((1, 2, 4), np.float32)
    values[0, 1] = 1e-42
    back = unpack(pack(values, [False]), 2, 4, [False])
    assert np.isfinite(back).all()
    assert np.abs(back).max() <= 1e-41


def test_a_single_row_a_panel_packs_like_a_layer():
    values = attention()[:, 7:8]
    back = unpack(pack(values, [False] * 3), 1, 50, [False] * 3)
    assert np.abs(back - values).max() <= 0.004 * values.max()


def test_b16_layer_sizes():
    values = attention(12, 197)
    blob = pack(values, [False] * 12)
    assert len(blob) == 12 * 197 * (197 + 4)
    assert 12 * len(blob) <= 6e6  # all twelve layers of B/16 at 224 px


def test_compress_is_gzip_and_always_the_same_bytes():
    blob = pack(attention(), [False] * 3)
    assert gzip.decompress(compress(blob)) == blob
    assert compress(blob) == compress(blob)
    assert len(compress(blob)) < len(blob)


@pytest.mark.parametrize(
    ("values", "signed", "message"),
    [
        (np.full((1, 2, 2), np.nan), [False], "panel 0 holds NaN or infinite values"),
        (np.array([[[1.0, np.inf]]]), [True], "panel 0 holds NaN or infinite values"),
        (np.array([[[1.0, -0.5]]]), [False], "panel 0 holds -0.5 but is not signed"),
        (np.ones((2, 3, 3)), [False], r"expected \[1 panels, rows, tokens\], got \[2, 3, 3\]"),
    ],
)
def test_errors_say_what_came(values, signed, message):
    with pytest.raises(ValueError, match=message):
        pack(values, signed)


def test_unpack_names_both_lengths():
    with pytest.raises(ValueError, match="expected 18 bytes for 1 panels of 2 x 5, got 17"):
        unpack(bytes(17), 2, 5, [False])
