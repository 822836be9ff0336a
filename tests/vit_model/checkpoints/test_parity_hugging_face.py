"""Models that transformers made and saved: ours gives the same logits and the same attention in every layer."""

from __future__ import annotations

import json

import pytest
import torch

from vit_model import load_model

VIT = {"intermediate_size": 48, "image_size": 32, "patch_size": 8}
DINOV2 = {"mlp_ratio": 2, "image_size": 42, "patch_size": 14}

CLASSIFIERS = {
    "ViT": ("ViTForImageClassification", "ViTConfig", VIT),
    "ViT without qkv bias, 1e-6": (
        "ViTForImageClassification",
        "ViTConfig",
        VIT | {"qkv_bias": False, "layer_norm_eps": 1e-6},
    ),
    "ViT on a rectangle": ("ViTForImageClassification", "ViTConfig", VIT | {"image_size": [16, 48]}),
    "ViT with rectangular patches": ("ViTForImageClassification", "ViTConfig", VIT | {"patch_size": [8, 4]}),
    "ViT of one channel": ("ViTForImageClassification", "ViTConfig", VIT | {"num_channels": 1}),
    "DeiT": ("DeiTForImageClassification", "DeiTConfig", VIT),
    "DeiT distilled": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", VIT),
    "DINOv2": ("Dinov2ForImageClassification", "Dinov2Config", DINOV2),
    "DINOv2 SwiGLU": ("Dinov2ForImageClassification", "Dinov2Config", DINOV2 | {"use_swiglu_ffn": True}),
    "DINOv2 with registers": ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", DINOV2),
    "DINOv2 with registers SwiGLU": (
        "Dinov2WithRegistersForImageClassification",
        "Dinov2WithRegistersConfig",
        DINOV2 | {"use_swiglu_ffn": True, "num_register_tokens": 2},
    ),
}
BACKBONES = {
    "ViT with pooler": ("ViTModel", "ViTConfig", VIT, "pooler_output"),
    "ViT with a narrow pooler": ("ViTModel", "ViTConfig", VIT | {"pooler_output_size": 10}, "pooler_output"),
    "DeiT with pooler": ("DeiTModel", "DeiTConfig", VIT, "pooler_output"),
    "DINOv2": ("Dinov2Model", "Dinov2Config", DINOV2, "pooler_output"),
    "DINOv2 SwiGLU": ("Dinov2Model", "Dinov2Config", DINOV2 | {"use_swiglu_ffn": True}, "pooler_output"),
    "DINOv2 with registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", DINOV2, "pooler_output"),
    "ViT-MAE encoder": ("ViTMAEModel", "ViTMAEConfig", VIT | {"mask_ratio": 0.0}, "last_hidden_state"),
}


def _pixels(model) -> torch.Tensor:
    return torch.randn(2, model.config.channels, *model.config.image_size)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_classifier(case, hugging_face, assert_close):
    name, config, fields = CLASSIFIERS[case]
    theirs, folder = hugging_face(name, config, **fields)
    model = load_model(folder)
    pixels = _pixels(model)
    expected = theirs(pixel_values=pixels, output_attentions=True)
    trace = model.trace(pixels)
    assert_close(trace.logits, expected.logits)
    for layer in range(2):
        assert_close(trace.attention(layer), expected.attentions[layer])
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("case", BACKBONES)
def test_without_a_head(case, hugging_face, assert_close):
    name, config, fields, output = BACKBONES[case]
    theirs, folder = hugging_face(name, config, **fields)
    model = load_model(folder)
    assert model.config.classes == 0
    pixels = _pixels(model)
    arguments = {"noise": torch.arange(16.0).expand(2, 16)} if name == "ViTMAEModel" else {}  # no patch is moved
    expected = theirs(pixel_values=pixels, output_attentions=True, **arguments)
    trace = model.trace(pixels)
    wanted = expected[output]
    assert_close(trace.logits, wanted if wanted.dim() == 2 else wanted[:, 0])
    for layer in range(2):
        assert_close(trace.attention(layer), expected.attentions[layer])


def test_mae_in_pretraining_drops_its_decoder_by_name(hugging_face, assert_close):
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
    theirs, folder = hugging_face(
        "ViTMAEForPreTraining", "ViTMAEConfig", **VIT, **decoder, decoder_intermediate_size=16, mask_ratio=0.0
    )
    model = load_model(folder)
    assert model.origin.format == "Hugging Face ViT-MAE (encoder)"
    decoder = [key for key in _saved_keys(folder) if key.startswith("decoder.")]
    assert sorted(line.split(": ")[0] for line in model.origin.dropped) == sorted(decoder)
    assert all("the encoder is the model" in line for line in model.origin.dropped)
    pixels = _pixels(model)
    expected = theirs.vit(pixel_values=pixels, noise=torch.arange(16.0).expand(2, 16)).last_hidden_state
    assert_close(model(pixels), expected[:, 0])


def test_masked_image_model_drops_mask_token_and_decoder(hugging_face, assert_close):
    theirs, folder = hugging_face("ViTForMaskedImageModeling", "ViTConfig", **VIT, encoder_stride=8)
    model = load_model(folder)
    assert sorted(line.split(": ")[0] for line in model.origin.dropped) == [
        "decoder.0.bias",
        "decoder.0.weight",
        "vit.embeddings.mask_token",
    ]
    pixels = _pixels(model)
    assert_close(model(pixels), theirs.vit(pixel_values=pixels).last_hidden_state[:, 0])


@pytest.mark.parametrize("case", ["ViT", "DeiT distilled", "DINOv2 SwiGLU", "DINOv2 with registers"])
def test_state_dict_of_transformers_5_without_config(case, hugging_face, assert_close, tmp_path):
    """save_pretrained writes the names of transformers 4; torch.save(model.state_dict()) the new ones."""
    name, config, fields = CLASSIFIERS[case]
    theirs, _ = hugging_face(name, config, **fields)
    torch.save(theirs.state_dict(), tmp_path / "weights.bin")
    model = load_model(tmp_path / "weights.bin", heads=3)
    pixels = _pixels(model)
    assert_close(model(pixels), theirs(pixel_values=pixels).logits)


def test_pooler_beside_a_classifier_is_dropped_with_a_reason(hugging_face, assert_close):
    from safetensors.torch import load_file, save_file

    theirs, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    tensors = load_file(folder / "model.safetensors")
    tensors |= {"vit.pooler.dense.weight": torch.randn(24, 24), "vit.pooler.dense.bias": torch.randn(24)}
    save_file(tensors, folder / "model.safetensors")
    model = load_model(folder)
    assert len(model.origin.dropped) == 2
    assert "the classifier reads the class token, not the pooler" in model.origin.dropped[0]
    pixels = _pixels(model)
    assert_close(model(pixels), theirs(pixel_values=pixels).logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_fp32(dtype, hugging_face):
    from safetensors.torch import load_file, save_file

    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    tensors = load_file(folder / "model.safetensors")
    save_file({key: tensor.to(dtype) for key, tensor in tensors.items()}, folder / "model.safetensors")
    model = load_model(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.head.weight, tensors["classifier.weight"].to(dtype).float())


def test_shards(hugging_face, assert_close, tmp_path):
    theirs, _ = hugging_face("ViTForImageClassification", "ViTConfig", **VIT)
    theirs.save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    model = load_model(tmp_path)
    pixels = _pixels(model)
    assert_close(model(pixels), theirs(pixel_values=pixels).logits)


def test_labels_are_sorted_by_number_and_gaps_filled(hugging_face):
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT | {"num_labels": 12})
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"10": "ten", "2": "two", "0": "zero"}
    (folder / "config.json").write_text(json.dumps(config))
    labels = load_model(folder).labels
    assert labels[0] == "zero" and labels[2] == "two" and labels[10] == "ten"
    assert labels[1] == "class 1" and len(labels) == 12


def test_an_empty_label_is_called_by_its_number(hugging_face):
    """It was shown as nothing at all, where the Inside tab names classes."""
    _, folder = hugging_face("ViTForImageClassification", "ViTConfig", **VIT | {"num_labels": 3})
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "", "1": " \t", "2": " two"}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_model(folder).labels == ("class 0", "class 1", " two")


def test_full_b16(hugging_face, assert_close):
    size = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "image_size": 224,
    }
    theirs, folder = hugging_face("ViTForImageClassification", "ViTConfig", **size, patch_size=16, num_labels=10)
    model = load_model(folder)
    pixels = torch.randn(1, 3, 224, 224)
    expected = theirs(pixel_values=pixels, output_attentions=True)
    trace = model.trace(pixels)
    assert_close(trace.logits, expected.logits)
    for layer in range(12):
        assert_close(trace.attention(layer), expected.attentions[layer])


def _saved_keys(folder) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        return list(file.keys())
