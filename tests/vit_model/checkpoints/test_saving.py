"""save_model: transformers opens the folder and computes the same; so does load_model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import transformers

from vit_model import Preprocessing, VisionTransformer, ViTConfig, load_model, save_model
from vit_model.model import Origin

TINY = ViTConfig(image_size=32, patch_size=8, width=24, depth=2, heads=3, mlp_width=48, classes=5)
DINOV2 = replace(TINY, layer_scale=0.5, pool="class+mean")

EXPRESSIBLE = {
    "ViT": (TINY, "ViTForImageClassification"),
    "ViT, other epsilon, no qkv bias": (replace(TINY, norm_eps=1e-5, qkv_bias=False), "ViTForImageClassification"),
    "ViT on a rectangle": (replace(TINY, image_size=(16, 48), patch_size=(8, 4)), "ViTForImageClassification"),
    "ViT with drop path": (replace(TINY, drop_path=0.1, dropout=0.2), "ViTForImageClassification"),
    "ViT without a head": (replace(TINY, classes=0), "ViTModel"),
    "ViT with pre-logits and no head": (replace(TINY, classes=0, pre_logits=10), "ViTModel"),
    "DeiT": (replace(TINY, distillation_token=True), "DeiTForImageClassification"),
    "DeiT distilled": (
        replace(TINY, distillation_token=True, pool="class-distilled"),
        "DeiTForImageClassificationWithTeacher",
    ),
    "DINOv2": (DINOV2, "Dinov2ForImageClassification"),
    "DINOv2 SwiGLU": (replace(DINOV2, mlp="swiglu", mlp_width=32), "Dinov2ForImageClassification"),
    "DINOv2 without a head": (replace(DINOV2, pool="class", classes=0), "Dinov2Model"),
    "DINOv2 with registers": (replace(DINOV2, registers=3), "Dinov2WithRegistersForImageClassification"),
    "DINOv2 with registers, no head": (
        replace(DINOV2, registers=3, pool="class", classes=0),
        "Dinov2WithRegistersModel",
    ),
}
OUR_OWN = {
    "patch_norms": replace(TINY, patch_norms=True),
    "pool 'mean-patches'": replace(TINY, pool="mean-patches"),
    "pool 'mean-all'": replace(TINY, pool="mean-all"),
    "no class token": replace(TINY, pool="mean-all", class_token=False, norm_after_pool=True),
    "pre_logits together with a classifier": replace(TINY, pre_logits=10),
    "pre_norm": replace(TINY, pre_norm=True),
    "registers without LayerScale": replace(TINY, registers=2),
    "SwiGLU without LayerScale": replace(TINY, mlp="swiglu"),
    "an MLP width of 50": replace(DINOV2, mlp_width=50),
    "LayerScale on a grid that is not square": replace(DINOV2, image_size=(16, 48)),
}


def _model(config, randomise) -> VisionTransformer:
    labels = [f"thing {index}" for index in range(config.classes)]
    return randomise(VisionTransformer(config, labels, Preprocessing(size=config.image_size, resize=config.image_size)))


@pytest.mark.parametrize("case", EXPRESSIBLE)
def test_transformers_opens_it_and_agrees(case, randomise, assert_close, tmp_path):
    import transformers

    config, architecture = EXPRESSIBLE[case]
    model = _model(config, randomise)
    save_model(model, tmp_path)
    theirs, report = getattr(transformers, architecture).from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"] and not report["mismatched_keys"]
    assert all("pooler" in key for key in report["missing_keys"])  # transformers' ViTModel has one even where none is
    assert config.pre_logits == 0 or not report["missing_keys"]
    theirs.eval()
    pixels = torch.randn(2, 3, *config.image_size)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels)
    if config.classes:
        assert_close(model(pixels), expected.logits)
    elif config.pre_logits or config.layer_scale:
        assert_close(model(pixels), expected.pooler_output)
    else:
        assert_close(model(pixels), expected.last_hidden_state[:, 0])


@pytest.mark.parametrize("case", ["ViT", "DeiT", "DINOv2", "DINOv2 with registers"])
def test_auto_classes_open_it(case, randomise, assert_close, tmp_path):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = _model(EXPRESSIBLE[case][0], randomise)
    save_model(model, tmp_path)
    theirs = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert_close(model(pixels), theirs(pixel_values=pixels).logits)
    assert theirs.config.id2label[2] == "thing 2"
    assert AutoImageProcessor.from_pretrained(tmp_path) is not None


@pytest.mark.parametrize("case", EXPRESSIBLE)
def test_we_open_it_again_unchanged(case, randomise, tmp_path):
    model = _model(EXPRESSIBLE[case][0], randomise)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    pixels = torch.randn(2, 3, *model.config.image_size)
    assert torch.equal(again(pixels), model(pixels))
    assert again.config == model.config
    assert again.labels == model.labels
    assert again.preprocessing.size == model.preprocessing.size


@pytest.mark.parametrize("reason", OUR_OWN)
def test_what_transformers_cannot_express_says_why(reason, randomise, tmp_path):
    model = _model(OUR_OWN[reason], randomise)
    save_model(model, tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "vit_explorer"
    assert reason in written["why_not_transformers"]
    again = load_model(tmp_path)
    pixels = torch.randn(2, 3, *model.config.image_size)
    assert torch.equal(again(pixels), model(pixels))
    assert (again.config, again.labels, again.origin.format) == (model.config, model.labels, "ViT Explorer")


@pytest.mark.parametrize("config", [TINY, replace(TINY, pool="mean-patches")], ids=["transformers", "own"])
@pytest.mark.parametrize("scheme", ["bilinear", "timm", "jax"])
def test_position_scheme_is_remembered(config, scheme, randomise, tmp_path):
    model = _model(config, randomise)
    model.origin = Origin(interpolation=scheme)
    save_model(model, tmp_path)
    assert load_model(tmp_path).origin.interpolation == scheme


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_stored_in_half_loaded_as_fp32(dtype, randomise, tmp_path):
    model = _model(TINY, randomise)
    save_model(model, tmp_path / "full")
    save_model(model, tmp_path / "half", dtype=dtype)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.62 * sizes[0]  # the names take their share of so small a file
    half = load_model(tmp_path / "half")
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float32}
    assert torch.equal(half.positions, model.positions.to(dtype).float())


def test_large_weights_are_saved_in_shards_that_everybody_opens(randomise, tmp_path):
    model = _model(TINY, randomise)
    save_model(model, tmp_path / "whole")
    whole = (tmp_path / "whole/model.safetensors").stat().st_size
    most = whole // 3
    folder = save_model(model, tmp_path / "cut", shard_bytes=most)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert shards == [f"model-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    assert len(shards) >= 3 and all((folder / name).stat().st_size <= most for name in shards)
    x = torch.randn(2, 3, *TINY.image_size)
    assert torch.equal(load_model(folder)(x), model(x))
    theirs, info = transformers.AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(theirs.eval()(x).logits, model(x), rtol=1e-4, atol=1e-5)


def test_shards_take_the_place_of_the_one_file_that_was_there(randomise, tmp_path):
    """Readers prefer model.safetensors: one left over from an earlier save would be read in place of the shards."""
    save_model(_model(TINY, randomise), tmp_path)
    later = _model(TINY, randomise)
    torch.nn.init.constant_(later.head.bias, 0.5)
    save_model(later, tmp_path, shard_bytes=20_000)
    assert not (tmp_path / "model.safetensors").exists()
    assert bool((load_model(tmp_path).head.bias == 0.5).all())


def test_a_tensor_larger_than_a_shard_is_told(randomise, tmp_path):
    with pytest.raises(ValueError, match=r"takes [\d,]+ bytes in a file, more than shard_bytes = 1,000"):
        save_model(_model(TINY, randomise), tmp_path / "cut", shard_bytes=1000)
    assert not (tmp_path / "cut").exists()


def test_weights_beyond_half_precision_are_refused(randomise, tmp_path):
    model = _model(TINY, randomise)
    model.head.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"head.bias holds NaN or infinite weights \(or values beyond torch.float16\)"):
        save_model(model, tmp_path / "half", dtype=torch.float16)
    assert not (tmp_path / "half").exists()
    with pytest.raises(
        ValueError, match=r"dtype must be torch.float32, torch.float16 or torch.bfloat16, got torch.int8"
    ):
        save_model(model, tmp_path / "half", dtype=torch.int8)


def test_a_failed_save_leaves_the_old_one_whole(randomise, tmp_path, monkeypatch):
    import vit_model.checkpoints.saving

    model = _model(TINY, randomise)
    save_model(model, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half of a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(vit_model.checkpoints.saving, "save_file", fail)
    model.head.weight.add_(1)
    with pytest.raises(OSError, match="No space left"):
        save_model(model, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_a_loaded_model_does_not_depend_on_its_file(randomise, tmp_path):
    """Weights are copied: a training may replace or cut the file while the page still shows the model."""
    save_model(_model(TINY, randomise), tmp_path)
    model = load_model(tmp_path)
    pixels = torch.randn(1, 3, 32, 32)
    before = model(pixels)
    with open(tmp_path / "model.safetensors", "r+b") as file:
        file.write(bytes(file.seek(0, 2)))
        file.seek(0)
        file.write(bytes(50_000))
    assert torch.equal(model(pixels), before)
