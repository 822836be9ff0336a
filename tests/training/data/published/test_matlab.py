"""MATLAB 5 files, against those that scipy writes."""

import contextlib
import io

import numpy as np
import pytest
from scipy.io import savemat

from training.data.published.matlab import read_matrices


def saved(matrices, **choices):
    file = io.BytesIO()
    savemat(file, matrices, **choices)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8"])
def test_what_scipy_writes(compressed, kind):
    matrices = {
        "labels": np.arange(1, 103, dtype=kind)[None, :],
        "a_very_long_name_of_a_matrix": np.arange(6, dtype=kind).reshape(2, 3),
        "tiny": np.array([[7]], dtype=kind),
    }
    read = read_matrices(saved(matrices, do_compression=compressed))
    assert read.keys() == matrices.keys()
    for name, matrix in matrices.items():
        assert np.array_equal(read[name], matrix)


@pytest.mark.parametrize("data", [b"", b"x" * 200, saved({"a": np.arange(500)})[:300]])
def test_something_else(data):
    with pytest.raises(ValueError, match="MATLAB 5 file"):
        read_matrices(data)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_is_told(compressed):
    data = bytearray(saved({"a": np.arange(500)}, do_compression=compressed))
    for at in range(128, 200, 4):
        broken = bytearray(data)
        broken[at] ^= 255
        with contextlib.suppress(ValueError):  # any other error fails the test
            read_matrices(bytes(broken))
