"""What is wrong with a checkpoint is said in words: what came, what was expected, what to do. Nothing else escapes."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_model import CheckpointError, load_model

VIT = {"intermediate_size": 48, "image_size": 32, "patch_size": 8}


@pytest.fixture
def folder(hugging_face):
    return hugging_face("ViTForImageClassification", "ViTConfig", **VIT)[1]


@pytest.fixture
def edit(folder):
    """Change the folder's config.json and tensors: edit({"hidden_size": 192}, {"name": tensor, "other": None})."""

    def change(config: dict, tensors: dict | None = None):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
        stored = load_file(folder / "model.safetensors") | (tensors or {})
        save_file({k: v for k, v in stored.items() if v is not None}, folder / "model.safetensors")
        return folder

    return change


def refused(source, *words: str) -> None:
    """Loading raises CheckpointError, whose message has all of these words."""
    with pytest.raises(CheckpointError) as caught:
        load_model(source)
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in {str(caught.value)!r}"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hidden_size", 192, "config.json says width 192, the weights have 24"),
        ("num_hidden_layers", 12, "config.json says depth 12, the weights have 2"),
        ("intermediate_size", 96, "config.json says mlp_width 96, the weights have 48"),
        ("patch_size", 16, "config.json says patch_size 16x16, the weights have 8x8"),
        ("num_channels", 1, "config.json says channels 1, the weights have 3"),
        ("qkv_bias", False, "config.json says qkv_bias False, the weights have True"),
        ("num_attention_heads", 5, "width 24 is not divisible by 5 heads"),
        ("image_size", 64, "a grid of 8x8 = 64 positions and 1 before them; the weights have 17 positions"),
        ("hidden_act", "gelu_new", "config.json says hidden_act 'gelu_new'; only 'gelu' is supported"),
        ("hidden_size", "wide", "config.json says hidden_size 'wide'; expected a whole number from 1"),
        ("hidden_size", 10**30, "the weights have 24"),
        (
            "image_size",
            [1, 2, 3],
            "config.json says image_size '[1, 2, 3]'; expected a number from 1 to 65535 or two, [h",
        ),
        ("image_size", 10**9, "config.json says image_size '1000000000'; expected a number from 1 to 65535"),
        ("layer_norm_eps", "small", "config.json says layer_norm_eps 'small'; expected a number"),
        ("hidden_dropout_prob", 2, "dropout must be in [0, 1), got 2.0"),
        ("id2label", {"7": "seven"}, "config.json names the class 7, the weights have 5 classes"),
        ("id2label", {"a": "b"}, "'id2label' should map class numbers to names"),
        (
            "vit_explorer",
            {"interpolation": "cubist"},
            "config.json says interpolation 'cubist'; expected one of bilinear",
        ),
    ],
)
def test_config_that_contradicts_the_weights(field, value, words, edit):
    refused(edit({field: value}), words)


def test_unknown_missing_and_double_tensors_are_named(edit):
    extra = {f"vit.extra.{index}": torch.zeros(1) for index in range(6)}
    refused(edit({}, extra), "6 of 46 tensors have names that this format does not have: vit.extra.0", "and 2 more")


def test_missing_tensors_are_named_as_in_the_file(edit):
    gone = {"vit.layernorm.weight": None, "vit.encoder.layer.1.layernorm_after.bias": None}
    refused(edit({}, gone), "2 tensors are missing: ", "encoder.layer.1.layernorm_after.bias", "layernorm.weight")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("vit.embeddings.position_embeddings", "'embeddings.position_embeddings' is missing"),
        (
            "vit.embeddings.patch_embeddings.projection.weight",
            "'embeddings.patch_embeddings.projection.weight' is missing",
        ),
        ("vit.encoder.layer.0.attention.attention.key.weight", "its key is missing (blocks.0.attention.qkv.weight)"),
    ],
)
def test_missing_essentials(key, words, edit):
    refused(edit({}, {key: None}), words)


def test_missing_block(edit):
    tensors = {f"vit.encoder.layer.{index}.layernorm_before.weight": torch.ones(24) for index in (3,)}
    refused(edit({}, tensors), "block 2 is missing; there are blocks up to 3")


def test_wrong_shapes_are_named(edit):
    refused(
        edit({}, {"vit.encoder.layer.1.output.dense.weight": torch.zeros(24, 40)}),
        "'encoder.layer.1.output.dense.weight' should have the shape [24, 48], got [24, 40]",
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_weights_are_named(bad, edit):
    weight = torch.ones(24)
    weight[[3, 5]] = bad
    refused(edit({}, {"vit.layernorm.weight": weight}), "vit.layernorm.weight: 2 of 24 weights are NaN or infinite")


def test_quantised_weights(edit):
    refused(edit({}, {"classifier.bias": torch.zeros(5, dtype=torch.int8)}), "'classifier.bias' holds int8 numbers")


@pytest.mark.parametrize(
    ("model_type", "words"),
    [
        ("swin", "a Swin Transformer"),
        ("swinv2", "a Swin Transformer"),
        ("beit", "a BEiT"),
        ("clip", "a CLIP model"),
        ("clip_vision_model", "a CLIP model"),
        ("siglip", "a SigLIP model"),
        ("convnextv2", "a ConvNeXt"),
        ("bert", "not one of the models this program knows"),
    ],
)
def test_other_model_types(model_type, words, edit):
    refused(edit({"model_type": model_type}), f"model_type '{model_type}'", words, "supported are Vision Transformers")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("base_model.model.vit.encoder.layer.0.attention.attention.query.lora_A.weight", "a LoRA or other adapter"),
        ("layers.0.blocks.0.attn.relative_position_bias_table", "a Swin Transformer"),
        ("blocks.0.attn.relative_position_bias_table", "a BEiT"),
        ("text_model.embeddings.token_embedding.weight", "a CLIP model"),
        ("visual.transformer.resblocks.0.attn.in_proj_weight", "a CLIP model"),
        ("model.embed_tokens.weight", "a language model"),
        ("bert.embeddings.word_embeddings.weight", "a language model"),
        ("stages.0.blocks.0.conv_dw.weight", "a ConvNeXt"),
        ("layer1.0.bn1.running_mean", "a convolutional network"),
        ("attn_pool.latent", "attention pooling"),
        ("blocks.0.attn.q_norm.weight", "qk-norm"),
        ("to_patch_embedding.1.weight", "lucidrains"),
        ("something.else", "no Vision Transformer that is known here has tensors called something.else"),
    ],
)
def test_other_models_by_their_tensors(key, words, tmp_path):
    save_file({key: torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", words, "supported are Vision Transformers")


def test_lora_folder(tmp_path):
    save_file({"a.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text("{}")
    refused(tmp_path, "LoRA or other adapter", "merge_and_unload")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architecture": "swin_tiny_patch4_window7_224"}, "timm architecture 'swin_tiny_patch4_window7_224'"),
        ({"architecture": "vit_base_patch16_siglip_224"}, "SigLIP"),
        ({"architecture": "vit_base_patch16_clip_quickgelu_224"}, "QuickGELU"),
        ({"global_pool": "map", "model_args": {}}, "global_pool 'map'"),
        ({"model_args": {"qk_norm": True}}, "was made with qk_norm=True, which is not supported"),
        ({"model_args": {"act_layer": "gelu_tanh"}}, "was made with act_layer='gelu_tanh'"),
        ({"model_args": {"embed_dim": 192}}, "config.json says width 192, the weights have 24"),
        ({"num_classes": 10, "model_args": {}}, "config.json says classes 10, the weights have 5"),
        ({"model_args": ["depth"]}, "'model_args' and 'pretrained_cfg' should be objects"),
    ],
)
def test_timm_variants(config, words, timm_folder):
    _, folder = timm_folder()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    refused(folder, words)


def test_rms_norm_is_refused(timm_folder, tmp_path):
    _, folder = timm_folder()
    tensors = load_file(folder / "model.safetensors")
    tensors = {key: value for key, value in tensors.items() if not re.search(r"norm\d?\.bias", key)}
    save_file(tensors, tmp_path / "vit.safetensors")
    with pytest.raises(CheckpointError, match=r"5 tensors are missing: .*RMSNorm"):
        load_model(tmp_path / "vit.safetensors", heads=3)


class Payload:
    """A pickle that would run code."""

    def __reduce__(self):
        return print, ("the pickle was executed",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")  # torch's, on any pickle but its own
@pytest.mark.parametrize("suffix", [".pth", ".bin"])
@pytest.mark.parametrize("how", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_pickles_that_run_code_are_not_run(suffix, how, tmp_path, capfd):
    path = tmp_path / f"evil{suffix}"
    how({"cls_token": Payload()}, path)
    refused(path, "not plain weights", "run code", "save model.state_dict()")
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth", ".bin"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x00" * 5000, b"PK\x03\x04 half a zip"])
def test_files_that_hold_something_else(suffix, content, tmp_path):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    refused(path, path.name, "is empty (0 bytes)" if not content else "")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["safetensors", "npz", "pth", "legacy.pth"])
def test_truncated_files(share, kind, tmp_path):
    path = tmp_path / f"vit.{kind}"
    tensors = {f"blocks.{index}.norm1.weight": torch.randn(500) for index in range(20)}
    if kind == "safetensors":
        save_file(tensors, path)
    elif kind == "npz":
        np.savez(path, **{key: value.numpy() for key, value in tensors.items()})
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "pth")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, path.name)


def test_npz_of_objects(tmp_path):
    np.savez(tmp_path / "objects.npz", cls=np.array([{"a": 1}], dtype=object))
    refused(tmp_path / "objects.npz", "the array 'cls' holds Python objects, which are never loaded")


def test_npz_bomb(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("cls.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"shape": (50_000_000,), "fortran_order": False, "descr": "<f4"})
        for _ in range(200):
            member.write(bytes(1_000_000))
    refused(path, "bomb.npz has", "and would unpack to 200,000,128: not a model's weights")


@pytest.mark.parametrize("shape", [(10**15,), (10**9, 10**9, 10**9), (2**62, 4)])
def test_npz_that_promises_more_than_it_holds(shape, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": shape, "fortran_order": False, "descr": "<f4"})
    with zipfile.ZipFile(tmp_path / "absurd.npz", "w") as archive:
        archive.writestr("cls.npy", header.getvalue() + bytes(64))
    refused(tmp_path / "absurd.npz", "the array 'cls' says its shape is", "but has 64 bytes")


def test_pth_that_promises_more_than_it_holds(tmp_path):
    """A tensor of stride 0: four bytes that claim to be 4 TB."""
    torch.save({"cls_token": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "absurd.pth")
    refused(tmp_path / "absurd.pth", "holds 1,000,000,000,000 numbers; at most 3,000,000,000 are loaded")
    torch.save({"cls_token": torch.zeros(1).expand(10**4, 10**4)}, tmp_path / "absurd.pth")
    refused(tmp_path / "absurd.pth", "the tensor 'cls_token' of shape [10000, 10000] is not stored in full")


@pytest.mark.parametrize("value", [[1, 2], {"a": {"b": 1}}, torch.zeros(3), {"model": {"x": "text"}}, {}])
def test_pth_of_other_things(value, tmp_path):
    torch.save(value, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", "other.pth")


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "sub/a.safetensors", "..\\a.safetensors", "a.txt"]
)
def test_shards_stay_in_their_folder(name, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
    refused(tmp_path, "names the shard", "expected a .safetensors file in the same folder")


def test_missing_shard(tmp_path):
    names = {"x": "model-00001-of-00002.safetensors", "y": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    refused(tmp_path, "names the shard model-00001-of-00002.safetensors, which is not there; 2 are needed")


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"text"', "\ufeff{}", "[" * 100_000])
def test_config_that_is_no_json_object(text, folder):
    (folder / "config.json").write_text(text, encoding="utf-8")
    refused(folder, "config.json")


@pytest.mark.parametrize(
    "config", [{"hidden_size": None}, {"image_size": 0}, {"model_type": ["vit"]}, {"model_type": {}}]
)
def test_odd_values_raise_nothing_else(config, edit):
    try:
        load_model(edit(config))
    except CheckpointError:
        assert config != {"hidden_size": None}  # as good as not stated


@pytest.mark.parametrize(
    "values",
    [
        {"size": "wide"},
        {"size": {"height": -1}},
        {"image_mean": 3},
        {"resample": "soft"},
        {"image_processor_type": "SamImageProcessor"},
    ],
)
def test_odd_preprocessing(values, folder):
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    refused(folder, "the preprocessing that comes with the checkpoint cannot be used")


def test_odd_preprocessing_is_said_without_the_words_of_python(folder):
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_std": [0, 0, 0]}))
    refused(folder, "cannot be used: image_std must be 1 or 3 numbers from 1e-06 to 1e+06, got [0, 0, 0]")


@pytest.mark.parametrize("side", [10**40, 80_000])
def test_preprocessing_of_absurd_size(side, folder):
    """Once a raw TypeError from torch, or gigabytes of positions."""
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": side, "width": side}}))
    refused(folder, "the preprocessing makes", "expected 1 to 4096 a side")


def test_own_folder_with_an_odd_config(edit):
    refused(edit({"model_type": "vit_explorer"}), "tensors have names that this format does not have")


def test_folder_without_weights(tmp_path):
    refused(tmp_path, "holds no weights; expected model.safetensors", "got an empty folder")
    for step in ("step-00000100", "step-00000250"):
        (tmp_path / "checkpoints" / step).mkdir(parents=True)
        (tmp_path / "checkpoints" / step / "model.safetensors").touch()
    refused(tmp_path, "holds no weights", "step-00000250 holds some: name that folder")
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "got notes.txt")


def test_folder_with_two_files(tmp_path):
    for name in ("a", "b"):
        save_file({"x": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    refused(tmp_path, "holds 2 .safetensors files (a.safetensors, b.safetensors); name the one to load")


def test_other_files(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"abc")
    refused(tmp_path / "picture.png", "picture.png is not a weights file; expected one that ends in .safetensors, .npz")
