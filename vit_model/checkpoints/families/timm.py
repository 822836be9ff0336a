"""timm's vit_* and deit*, whose names the original DeiT files have too, and other original files with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vit_model.checkpoints.declared import Declared, class_labels, declare_hugging_face, read_number, read_size
from vit_model.checkpoints.format import Format
from vit_model.errors import CheckpointError, few, quoted
from vit_model.messages import message
from vit_model.preprocess import CLIP_MEAN, CLIP_STD, HALF, Preprocessing

_FIELDS = {
    "embed_dim": "width",
    "depth": "depth",
    "num_heads": "heads",
    "in_chans": "channels",
    "num_classes": "classes",
    "reg_tokens": "registers",
    "class_token": "class_token",
    "qkv_bias": "qkv_bias",
    "pre_norm": "pre_norm",
}
# Arguments that shapes and names tell, that act in training only, or whose one supported value is given.
_IGNORED = re.compile(
    r"(.*drop.*|init_values|img_size|patch_size|global_pool|fc_norm|no_embed_class|final_norm|weight_init|fix_init|"
    r"proj_bias|mlp_ratio|class_token|strict_img_size|dynamic_img_pad|pool_include_prefix|pretrained.*|cache_dir)"
)
_ONLY = {"act_layer": ("gelu",), "norm_layer": ("layernorm",), "pos_embed": ("learn",), "qk_norm": (False,)}
_NAMES = re.compile(r"(test_)?(vit|deit|deit3|flexivit|eva_large_patch14)(\d|_|$)")
# Architectures of these names compute otherwise, though their tensors may look the same.
_REFUSED = {
    "quickgelu": "QuickGELU in its MLPs",
    "siglip": "SigLIP's pooling or its tanh GELU",
    "_map_": "attention pooling",
    "rope": "rotary positions",
    "rpn": "LayerNorms after its residual branches",
    "relpos": "relative positions",
    "sam": "windowed attention",
    "_r26_": "a convolutional stem",
    "_r50_": "a convolutional stem",
    "hybrid": "a convolutional stem",
    "resnet": "a convolutional stem",
    "_xp_": "parallel blocks",
    "pwee": "parallel blocks",
    "x2_": "parallel blocks",
    "radio": "a preprocessing inside of the model",
}
_HEADS = {"vit_base_patch16_gap_224": 16, "test_vit": 2, "test_vit2": 2}  # the others follow from their width
_HEADS_BY_WIDTH = {256: 4, 320: 5, 512: 8, 640: 10, 832: 13, 896: 14, 1152: 16, 1408: 16, 1664: 16}


def declare(config: Mapping, norm_eps: float) -> Declared:
    """What timm's config.json says; one of another library is read as Hugging Face's."""
    if "architecture" not in config:
        return declare_hugging_face(config, norm_eps)
    name = str(config["architecture"])[:80].split(".")[0]
    if not _NAMES.match(name):
        text = "config.json says timm architecture {name}; supported are timm's vit_* and deit*"
        raise CheckpointError(message("timm_unknown", text, name=repr(name)))
    refused = next((what for piece, what in _REFUSED.items() if piece in name), None)
    if refused:
        text = "timm's {name} has {kind}, which is not supported"
        raise CheckpointError(message("timm_refused", text, name=name, kind=refused))
    args, cfg = ({} if config.get(key) is None else config[key] for key in ("model_args", "pretrained_cfg"))
    if not isinstance(args, Mapping) or not isinstance(cfg, Mapping):
        text = "config.json: 'model_args' and 'pretrained_cfg' should be objects"
        raise CheckpointError(message("timm_objects", text))
    strange = [
        f"{key}={quoted(value)}"
        for key, value in args.items()
        if value not in _ONLY.get(key, ()) and key not in _FIELDS and not _IGNORED.fullmatch(key)
        if value not in (None, False, "")
    ]
    if strange:
        text = "timm's {name} was made with {arguments}, which is not supported"
        raise CheckpointError(message("timm_arguments", text, name=name, arguments=few(strange)))
    stated: dict[str, Any] = {
        ours: bool(args[key]) if isinstance(args[key], bool) else read_number(args, key, least=0)
        for key, ours in _FIELDS.items()
        if args.get(key) is not None
    }
    if config.get("num_classes") is not None:
        stated["classes"] = read_number(config, "num_classes", least=0)
    if name in _HEADS:
        stated.setdefault("heads", _HEADS[name])
    if args.get("patch_size") is not None:
        stated["patch_size"] = read_size(args, "patch_size")
    pool = args.get("global_pool", config.get("global_pool"))
    if pool not in (None, "token", "avg"):
        text = "config.json says global_pool {pool}; supported are 'token' and 'avg'"
        raise CheckpointError(message("pool_unknown", text, pool=quoted(pool)))
    if pool is not None:
        pool = "class" if pool == "token" else "mean-all" if args.get("pool_include_prefix") else "mean-patches"
    shape = cfg.get("input_size")
    likely_size = read_size({"input_size": shape[1:]}, "input_size") if isinstance(shape, list) else None
    return Declared(
        stated,
        {"norm_eps": 1e-5 if "clip" in name else 1e-6},
        image_size=read_size(args, "img_size") if args.get("img_size") is not None else None,
        likely_size=likely_size,
        heads_by_width=_HEADS_BY_WIDTH if likely_size else {},
        pool=pool,
        labels=_labels(config, cfg),
    )


def _labels(config: Mapping, cfg: Mapping) -> dict[int, str]:
    names = config.get("label_names") or cfg.get("label_names")
    if not isinstance(names, list):
        return {}
    words = config.get("label_descriptions") or cfg.get("label_descriptions") or {}
    words = words if isinstance(words, Mapping) else {}
    shown = [words.get(name, name) if isinstance(name, str) else name for name in names]
    return class_labels(dict(enumerate(shown)), "label_names")


def usual(names: frozenset[str]) -> Preprocessing:
    if "dist_token" in names:
        return Preprocessing.for_imagenet()
    mean, std = (CLIP_MEAN, CLIP_STD) if "norm_pre.weight" in names else (HALF, HALF)
    return Preprocessing.from_timm({"crop_pct": 0.9, "mean": mean, "std": std})


OUTER = {
    "cls_token": "class_token",
    "dist_token": "distillation_token",
    "reg_token": "registers",
    "pos_embed": "positions",
    "patch_embed.proj": "patch_embed.projection",
    "norm_pre": "pre_norm",
    "norm": "norm",
    "fc_norm": "norm",
    "pre_logits.fc": "pre_logits",
    "head": "head",
    "head_dist": "distillation_head",
}
INNER = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "ls1.gamma": "scale1",
    "ls2.gamma": "scale2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
BLOCK = "blocks."
RESPELLED = (
    r"^blocks\.\d+\.(?=\d+\.)",
    BLOCK,
)  # DINOv2 in training nests its blocks in chunks: blocks.<chunk>.<block>.
WRAPPINGS = ("module.", "_orig_mod.", "backbone.", "model.")

TIMM = Format(
    "timm",
    OUTER,
    BLOCK,
    INNER,
    aliases={"mlp.fc1_g": "mlp.fc1[gate]", "mlp.fc1_x": "mlp.fc1[value]"},
    prefixes=WRAPPINGS,
    respelled=RESPELLED,
    config_key="architecture",
    holds=lambda has, file: has("patch_embed.proj."),
    listed="timm (vit_*, deit*), DeiT (original)",
    declare=declare,
    interpolation="timm",
    loose_positions=True,
    pooled_norm="fc_norm.",
    usual=usual,
)
