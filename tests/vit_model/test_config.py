"""ViTConfig: derived numbers, errors, and the parameter count of every named size."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import timm
import torch

from vit_model.config import SIZES, ViTConfig
from vit_model.model import VisionTransformer

PARAMETERS = {
    "Ti/8": 5_719_720,
    "Ti/14": 5_694_376,
    "Ti/16": 5_717_416,
    "Ti/32": 6_131_560,
    "S/8": 22_055_272,
    "S/14": 22_004_584,
    "S/16": 22_050_664,
    "S/32": 22_878_952,
    "B/8": 86_576_872,
    "B/14": 86_475_496,
    "B/16": 86_567_656,
    "B/32": 88_224_232,
    "L/8": 304_338_920,
    "L/14": 304_203_752,
    "L/16": 304_326_632,
    "L/32": 306_535_400,
    "H/8": 632_214_760,
    "H/14": 632_045_800,
    "H/16": 632_199_400,
    "H/32": 634_960_360,
    "scratch-patch16": 21_669_514,
    "scratch-patch32": 22_497_802,
    "scratch-vit4": 5_362_762,
    "scratch-vit2": 1_369_258,
}
TIMM_SHAPES = {"tiny": "Ti", "small": "S", "base": "B", "large": "L", "huge": "H"}
TIMM_NAMES = [
    f"vit_{size}_patch{patch}_224"
    for size in TIMM_SHAPES
    for patch in (8, 14, 16, 32)
    if timm.is_model(f"vit_{size}_patch{patch}_224")
]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_named_size_is_pinned():
    assert set(PARAMETERS) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_parameter_count(name):
    with torch.device("meta"):
        assert parameters(VisionTransformer(SIZES[name])) == PARAMETERS[name]


@pytest.mark.parametrize("name", TIMM_NAMES)
def test_parameter_count_is_timms(name):
    _, size, patch, _ = name.split("_")
    with torch.device("meta"):
        theirs = parameters(timm.create_model(name, num_classes=1000))
    assert theirs == PARAMETERS[f"{TIMM_SHAPES[size]}/{patch.removeprefix('patch')}"]


def test_timm_was_asked_for_each_shape():
    assert {name.split("_")[1] for name in TIMM_NAMES} == set(TIMM_SHAPES)


def test_derived_numbers():
    config = ViTConfig(image_size=(224, 448), patch_size=(16, 32), distillation_token=True, registers=4)
    assert (config.grid, config.prefix, config.positioned_prefix, config.tokens) == ((14, 14), 6, 2, 202)
    assert ViTConfig(image_size=384).tokens == 577
    assert ViTConfig(image_size=384, patch_size=16).grid == (24, 24)
    assert SIZES["H/14"].head_width == 80
    assert ViTConfig(pool="class+mean").feature_width == 1536
    assert ViTConfig(pool="class+mean", pre_logits=64).feature_width == 64
    assert ViTConfig(pool="mean-patches", class_token=False).prefix == 0


def test_the_final_norm_follows_the_pool_only_in_timms_mean():
    assert [ViTConfig(pool=pool).norm_after_pool for pool in ("class", "mean-patches", "mean-all")] == [0, 1, 0]
    assert ViTConfig(pool="mean-all", norm_after_pool=True).norm_after_pool


def test_round_trip_through_json():
    config = ViTConfig(image_size=(64, 96), patch_size=8, mlp="swiglu", layer_scale=1e-5, pool="mean-all")
    assert ViTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="unknown ViTConfig fields: embed_dim, qk_norm"):
        ViTConfig.from_dict({"qk_norm": True, "embed_dim": 3, "width": 768})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 7}, "width 768 is not divisible by 7 heads"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"classes": -1}, "classes must not be negative, got -1"),
        ({"registers": -2}, "registers must not be negative, got -2"),
        ({"drop_path": 1.0}, r"drop_path must be in \[0, 1\), got 1.0"),
        ({"pool": "max"}, "pool must be one of class, mean-patches, .*, got 'max'"),
        ({"mlp": "relu"}, "mlp must be one of gelu, swiglu, got 'relu'"),
        ({"class_token": False}, "pool 'class' needs the class token; use 'mean-patches' or 'mean-all'"),
        ({"pool": "class-distilled"}, "needs distillation_token=True"),
        ({"norm_after_pool": True}, "norm_after_pool goes with a mean pool, got pool 'class'"),
        ({"image_size": (1, 2, 3)}, r"image_size is one int or \(height, width\), got \(1, 2, 3\)"),
        ({"patch_size": 0}, "sizes must be at least 1 pixel"),
        (
            {"image_size": (230, 448)},
            "image size 230x448 is not a multiple of the patch size 16x16; the nearest that fit are 224x448 and 240x",
        ),
        ({"image_size": 10}, "image size 10x10 is smaller than one patch, 16x16; the nearest that fits is 16x16$"),
    ],
)
def test_contradictions_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(ViTConfig(), **changes)
