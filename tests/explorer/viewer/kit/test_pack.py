"""Packing: what the browser gets is what was computed, to 0.4% of each row's maximum."""

import gzip

import numpy as np
import pytest

from explorer.viewer.kit.pack import CHUNK_BYTES, compress, pack, unpack


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
    assert list(blob[8:]) == [255, 128, 0, 129, 64, 0, 0]  # sqrt(1/4) * 255 = 127.5 up; -127 and 63.5 as int8; as is


def test_golden_bytes_of_predicted_codes():
    base = np.linspace(0.1, 1, 10) ** 2  # codes 25.5 apart, and the same in each row
    blob = pack(np.stack([np.stack([base] * 4)]).astype(np.float32), [False])
    codes = [26, 51, 77, 102, 128, 153, 179, 204, 230, 255]
    steps = [codes[0], *np.diff(codes)]
    assert list(blob[16:]) in ([*codes, *[0] * 30, 1], [*steps, *[0] * 30, 2])


@pytest.mark.parametrize("prediction", [0, 1, 2])
@pytest.mark.parametrize("signed", [False, True])
def test_every_prediction_gives_the_codes_back(monkeypatch, prediction, signed):
    values = attention() * (np.random.default_rng(3).choice([-1, 1], (3, 50, 50)) if signed else 1)
    plain = {}
    for chosen in (0, prediction):
        monkeypatch.setattr("explorer.viewer.kit.pack._predicted", lambda *_, chosen=chosen: (chosen, 1))
        blob = pack(values, [signed] * 3)
        assert blob[-1] == chosen
        plain[chosen] = unpack(blob, 50, 50, [signed] * 3)
    np.testing.assert_array_equal(plain[0], plain[prediction])


def test_patches_that_attend_alike_take_a_quarter_fewer_bytes_and_noise_no_more():
    y, x = np.mgrid[:14, :14].reshape(2, -1)
    near = np.exp(-((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2) / 30)
    smooth = np.stack([near / near.sum(-1, keepdims=True)] * 2).astype(np.float32)
    for values, most in ((smooth, 0.75), (attention(2, 196), 1.01)):
        blob = pack(values, [False] * 2)
        maxima, codes = blob[: 4 * 2 * 196], np.rint(np.sqrt(values / values.max(-1, keepdims=True)) * 255)
        assert len(compress(blob)) <= most * len(compress(maxima + codes.astype(np.uint8).tobytes())) + 4


@pytest.mark.parametrize(("sharpness", "error"), [(0.3, 0.02), (2.0, 0.012), (4.0, 0.004)])
def test_a_large_layer_takes_a_bounded_number_of_bytes_and_is_coarser_only_as_far_as_it_must(sharpness, error):
    """Even attention is noise to a compressor: at a B/16's size it is rounded until all layers take 3.5 MB."""
    values = attention(12, 197, sharpness)
    blob = pack(values, [False] * 12)
    assert 12 * len(compress(blob)) <= 3.5e6
    back = unpack(blob, 197, 197, [False] * 12)
    most = (np.abs(back - values) / values.max(-1, keepdims=True)).max()
    assert 0.6 * error < most <= error + 1e-6
    np.testing.assert_allclose(back.max(-1), values.max(-1), rtol=1e-6)


def test_a_small_layer_and_signed_values_are_never_rounded():
    even = attention(3, 50, 0.3)
    for values, signed in ((even, [False] * 3), (attention(12, 197, 0.3), [False] * 11 + [True])):
        back = unpack(pack(values, signed), *values.shape[1:], signed)
        assert (np.abs(back - values) / values.max(-1, keepdims=True)).max() <= 0.004


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
    assert len(blob) == 12 * 197 * (197 + 4) + 1
    assert 12 * len(blob) <= 6e6  # all twelve layers of B/16 at 224 px


def test_compress_is_gzip_and_always_the_same_bytes():
    for tokens in (50, 400):  # the second in more than one chunk
        blob = pack(attention(tokens=tokens), [False] * 3)
        assert gzip.decompress(compress(blob)) == blob
        assert compress(blob) == compress(blob)
        assert len(compress(blob)) < len(blob)
    assert gzip.decompress(compress(b"")) == b""
    assert len(blob) > CHUNK_BYTES


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
    with pytest.raises(ValueError, match="expected 19 bytes for 1 panels of 2 x 5, got 17"):
        unpack(bytes(17), 2, 5, [False])
