"""load_model: sizes, sources, labels and where a model came from."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_model import CheckpointError, load_model, resample_positions

VIT = {"intermediate_size": 48, "image_size": 32, "patch_size": 8}


def test_image_size_resamples_by_the_origins_scheme(hugging_face):
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    model, larger = load_model(folder), load_model(folder, image_size=(48, 64))
    assert larger.config.grid == (6, 8)
    expected = resample_positions(model.positions, (4, 4), (6, 8), prefix=1, method="hf")
    assert torch.equal(larger.positions, expected)
    assert larger(torch.randn(1, 3, 48, 64)).shape == (1, 5)
    other = load_model(folder, image_size=(48, 64), interpolation="bilinear")
    assert not torch.equal(other.positions, larger.positions)


def test_image_size_agrees_with_transformers_interpolation(hugging_face, assert_close):
    theirs, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    pixels = torch.randn(1, 3, 56, 56)
    expected = theirs(pixel_values=pixels, interpolate_pos_encoding=True).logits
    assert_close(load_model(folder, image_size=56)(pixels), expected)


@pytest.mark.parametrize("family", ["Dinov2", "Dinov2WithRegisters"])
def test_dinov2_opens_at_the_size_that_its_preprocessing_makes(family, hugging_face, assert_close):
    """The config says 518 px, the preprocessing makes 224; here 70 and 42."""
    from transformers import BitImageProcessor

    theirs, folder = hugging_face(
        f"{family}ForImageClassification", f"{family}Config", mlp_ratio=2, image_size=70, patch_size=14
    )
    BitImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 42, "width": 42}).save_pretrained(folder)
    model = load_model(folder)
    assert model.config.image_size == (42, 42)
    pixels = torch.randn(1, 3, 42, 42)
    assert_close(model(pixels), theirs(pixel_values=pixels).logits)


def test_wrong_sizes_and_schemes(hugging_face):
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    with pytest.raises(
        ValueError, match="image size 30x30 is not a multiple of the patch size 8x8; the nearest that fit"
    ):
        load_model(folder, image_size=30)
    with pytest.raises(ValueError, match=r"interpolation must be one of bilinear, jax, .*, got 'nearest'"):
        load_model(folder, interpolation="nearest")


def test_heads_of_named_widths_are_inferred_and_others_asked_for(timm_folder, tmp_path):
    _, folder = timm_folder(embed_dim=192, num_heads=3)
    save_file(load_file(folder / "model.safetensors"), tmp_path / "ti.safetensors")
    assert load_model(tmp_path / "ti.safetensors").config.heads == 3
    _, folder = timm_folder()
    save_file(load_file(folder / "model.safetensors"), tmp_path / "odd.safetensors")
    with pytest.raises(
        CheckpointError,
        match=r'does not tell its number of attention heads, and width 24 .*"num_attention_heads".*pass heads=',
    ):
        load_model(tmp_path / "odd.safetensors")
    assert load_model(tmp_path / "odd.safetensors", heads=4).config.heads == 4
    with pytest.raises(CheckpointError, match="width 24 is not divisible by 5 heads"):
        load_model(tmp_path / "odd.safetensors", heads=5)
    with pytest.raises(CheckpointError, match="heads=4 was asked for, but the checkpoint has 3"):
        load_model(folder, heads=4)


@pytest.mark.parametrize("family", ["timm", "torchvision"])
def test_a_config_with_the_number_of_heads_is_all_that_a_bare_file_needs(family, timm_folder, tmp_path):
    """What the error of the test above advises. A timm file with such a config ended in a KeyError, a torchvision file
    was taken for one of 224 px."""
    if family == "timm":
        state = load_file(timm_folder()[1] / "model.safetensors")
    else:
        from torchvision.models import VisionTransformer

        state = VisionTransformer(32, 8, 1, num_heads=4, hidden_dim=24, mlp_dim=48, num_classes=3).state_dict()
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="does not tell its number of attention heads"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not tell its number of attention heads"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"num_attention_heads": 4}')
    model = load_model(tmp_path)
    pixels = torch.randn(1, 3, *model.config.image_size)
    assert model.config.heads == 4
    (tmp_path / "config.json").unlink()
    torch.testing.assert_close(model(pixels), load_model(tmp_path, heads=4)(pixels), rtol=0, atol=0)


def test_origin_says_where_a_model_came_from(hugging_face):
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    origin = load_model(str(folder)).origin
    assert origin.source == str(folder)
    assert origin.format == "Hugging Face ViT"
    assert origin.checksum == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert origin.interpolation == "hf"
    assert origin.dropped == ()


def test_a_thousand_classes_without_names_are_imagenets(timm_folder):
    _, folder = timm_folder(num_classes=1000)
    model = load_model(folder)
    assert (model.labels[0], model.labels[207], model.labels[999]) == ("tench", "golden retriever", "toilet tissue")
    assert any("taken for ImageNet's" in note for note in model.origin.notes)


def test_timm_labels(timm_folder):
    import json

    _, folder = timm_folder(num_classes=2)
    config = json.loads((folder / "config.json").read_text())
    config |= {"label_names": ["n01", "n02"], "label_descriptions": {"n01": "a fish"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_model(folder).labels == ("a fish", "n02")


def test_a_file_of_a_standard_name_brings_its_config_along(hugging_face):
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    assert load_model(folder / "model.safetensors").config == load_model(folder).config


def test_preprocessing_that_comes_along_is_used(timm_folder, hugging_face):
    from transformers import ViTImageProcessor

    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(folder)
    assert load_model(folder).preprocessing.mean == (0.1, 0.2, 0.3)
    _, folder = timm_folder("deit_tiny_patch16_224")
    assert load_model(folder).preprocessing.mean == (0.485, 0.456, 0.406)


def test_bundled():
    model = load_model("bundled")
    assert model.origin.source == "bundled"
    assert model.preprocessing.size == model.config.image_size
    assert len(model.labels) == model.config.classes > 0
