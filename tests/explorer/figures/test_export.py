"""NPZ and PNG files with a manifest: written, read back, and without pickle."""

import json
import platform
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import explain
from explorer.figures.export import load_npz, manifest_for, png_with, save_npz


def test_what_is_written_is_read_back(tiny_model, tmp_path):
    model = tiny_model()
    values = explain(model, torch.randn(1, 3, 32, 32)).values
    manifest = manifest_for(model, "ab" * 32, method="rollout", head_fusion="max", grid=[4, 4])
    save_npz(tmp_path / "map.npz", {"values": values, "layers": np.arange(3)}, manifest)
    arrays, read = load_npz(tmp_path / "map.npz")
    assert read == manifest
    assert sorted(arrays) == ["layers", "values"]
    np.testing.assert_array_equal(arrays["values"], values)


def test_plain_numpy_reads_it_without_pickle(tiny_model, tmp_path):
    save_npz(tmp_path / "map.npz", {"values": np.eye(2)}, {"模型": "ViT-B/16"})
    with np.load(tmp_path / "map.npz", allow_pickle=False) as file:
        assert json.loads(file["manifest"].item()) == {"模型": "ViT-B/16"}
        assert file["values"].tolist() == [[1, 0], [0, 1]]


def test_a_manifest_says_where_numbers_come_from(tiny_model):
    model = tiny_model()
    manifest = manifest_for(model, None, view="positions", kind="dot")
    assert manifest["model"] == model.origin.source
    assert manifest["format"] == model.origin.format
    assert manifest["checksum_sha256"] == model.origin.checksum
    assert manifest["config"] == model.config.to_dict()
    assert manifest["picture_sha256"] is None
    assert manifest["choices"] == {"view": "positions", "kind": "dot"}
    assert manifest["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert manifest["versions"]["python"] == platform.python_version()
    written = datetime.fromisoformat(manifest["date"])
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60


def test_nothing_is_written_that_cannot_be_read_back(tmp_path):
    path = tmp_path / "map.npz"
    with pytest.raises(ValueError, match="an array cannot be called 'manifest'"):
        save_npz(path, {"manifest": np.eye(2)}, {})
    with pytest.raises(ValueError, match="arrays of objects cannot be saved without pickle: names"):
        save_npz(path, {"names": np.array([{}, None])}, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_npz(path, {"values": np.eye(2)}, {"picture": object()})
    assert not path.exists()


def test_a_png_carries_its_manifest_and_the_same_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    (tmp_path / "figure.png").write_bytes(png_with(Image.fromarray(pixels), {"模型": "ViT-B/16", "choices": {"a": 1}}))
    picture = Image.open(tmp_path / "figure.png")
    assert json.loads(picture.text["vit-explorer"]) == {"模型": "ViT-B/16", "choices": {"a": 1}}
    np.testing.assert_array_equal(np.asarray(picture), pixels)
