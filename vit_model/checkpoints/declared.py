"""What a config.json declares, in ViTConfig's words, and the variants that it rules out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vit_model.checkpoints import formats
from vit_model.checkpoints.conversion import few
from vit_model.checkpoints.formats import Format
from vit_model.errors import CheckpointError, quoted
from vit_model.messages import message

MAX_NUMBER = 10**40  # beyond any model; floats end not far above
MAX_LABEL = 1000  # characters of one class's name
MAX_LABELS = 8_000_000  # of all together; ImageNet-21k has some 600,000


@dataclass(frozen=True)
class Declared:
    """`fields`: ViTConfig fields that the file states, to be held against the shapes. `assumed`: fields that shapes
    cannot tell and the file only implies. `image_size`: the size that the positions are for, where it is stated;
    `likely_size`: a size that may be it. `pool`: where stated. `labels`: by class number."""

    fields: dict = field(default_factory=dict)
    assumed: dict = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    likely_size: tuple[int, int] | None = None
    pool: str | None = None
    labels: dict[int, str] = field(default_factory=dict)


def declare(format: Format, config: Mapping | None) -> Declared:
    """What `config` says; one of neither library, written to add what a file lacks, has Hugging Face's names.
    CheckpointError for values that cannot be, and for variants that this model cannot be."""
    if config is None:
        return Declared()
    return _timm(config) if format is formats.TIMM and "architecture" in config else _hugging_face(format, config)


_HF_FIELDS = {
    "hidden_size": "width",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "num_channels": "channels",
    "num_register_tokens": "registers",
}


def _hugging_face(format: Format, config: Mapping) -> Declared:
    for name, expected in (("hidden_act", "gelu"), ("pooler_act", "tanh")):
        if config.get(name, expected) != expected:
            text, value = "config.json says {name} {value}; only {expected} is supported", quoted(config[name])
            raise CheckpointError(message("config_only", text, name=name, value=value, expected=repr(expected)))
    stated: dict[str, Any] = {
        ours: _number(config, theirs) for theirs, ours in _HF_FIELDS.items() if config.get(theirs) is not None
    }
    size = _size(config, "image_size") if config.get("image_size") is not None else None
    if config.get("model_type") is not None:  # transformers' defaults for every one of these families
        stated.setdefault("heads", 12)
        size = size or (224, 224)
    if config.get("patch_size") is not None:
        stated["patch_size"] = _size(config, "patch_size")
    if config.get("qkv_bias") is not None:
        stated["qkv_bias"] = bool(config["qkv_bias"])
    if format in (formats.HF_DINOV2, formats.HF_DINOV2_REGISTERS):
        stated["mlp"] = "swiglu" if config.get("use_swiglu_ffn") else "gelu"
        if "width" in stated:
            stated["mlp_width"] = dinov2_mlp_width(stated["width"], _rate(config, "mlp_ratio", 4.0), stated["mlp"])
    dropout = _rate(config, "hidden_dropout_prob", 0.0)
    assumed = {
        "norm_eps": _rate(config, "layer_norm_eps", format.norm_eps),
        "dropout": dropout,
        "embedding_dropout": dropout,
        "attention_dropout": _rate(config, "attention_probs_dropout_prob", 0.0),
        "drop_path": _rate(config, "drop_path_rate", 0.0),
        "layer_scale": _rate(config, "layerscale_value", 1.0),
    }
    if isinstance(ours := config.get("vit_explorer"), Mapping):  # what our own saving adds for resuming a training
        assumed |= {name: _rate(ours, name, assumed[name]) for name in ("drop_path", "embedding_dropout")}
    return Declared(stated, assumed, image_size=size, labels=class_names(config))


def dinov2_mlp_width(width: int, ratio: float, mlp: str) -> int:
    """The hidden width of DINOv2's MLP: width * ratio; for SwiGLU two thirds of that, rounded up to a multiple of 8."""
    return int(width * ratio) if mlp == "gelu" else (int(int(width * ratio) * 2 / 3) + 7) // 8 * 8


def class_names(config: Mapping) -> dict[int, str]:
    """`id2label`, by class number."""
    labels = config.get("id2label") or {}
    try:
        found = {int(index): label for index, label in labels.items()}
    except (AttributeError, ValueError) as error:
        text = "config.json: 'id2label' should map class numbers to names"
        raise CheckpointError(message("labels_map", text)) from error
    if found and (min(found) < 0 or max(found) >= 1_000_000):
        least, most = quoted(min(found)), quoted(max(found))
        text = "config.json: 'id2label' has the class number {least}, {most} at most"
        raise CheckpointError(message("labels_numbers", text, least=least, most=most))
    return _labels(found, "id2label")


def _labels(named: Mapping[int, object], field: str) -> dict[int, str]:
    """Names of classes as texts of a length that a list can show."""
    total = 0
    for index, label in named.items():
        if not isinstance(label, str | int | float):
            text = "config.json: {field} should name class {index} by a text, got {label}"
            raise CheckpointError(message("label_no_text", text, field=repr(field), index=index, label=quoted(label)))
        total += len(str(label))
        if len(str(label)) > MAX_LABEL:
            raise CheckpointError(
                message(
                    "label_long",
                    "config.json: {field} gives class {index} a name of {length} characters, {label}; expected at most "
                    "{most}: shorten it",
                    field=repr(field),
                    index=index,
                    length=f"{len(str(label)):,}",
                    label=quoted(label),
                    most=f"{MAX_LABEL:,}",
                )
            )
    if total > MAX_LABELS:
        text = (
            "config.json: the names of {field} have {total} characters together; expected at most {most}: shorten them"
        )
        raise CheckpointError(
            message("labels_long", text, field=repr(field), total=f"{total:,}", most=f"{MAX_LABELS:,}")
        )
    return {index: str(label) for index, label in named.items()}


_TIMM_FIELDS = {
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
_TIMM_IGNORED = re.compile(
    r"(.*drop.*|init_values|img_size|patch_size|global_pool|fc_norm|no_embed_class|final_norm|weight_init|fix_init|"
    r"proj_bias|mlp_ratio|class_token|strict_img_size|dynamic_img_pad|pool_include_prefix|pretrained.*|cache_dir)"
)
_TIMM_ONLY = {"act_layer": ("gelu",), "norm_layer": ("layernorm",), "pos_embed": ("learn",), "qk_norm": (False,)}
_TIMM_NAMES = re.compile(r"(test_)?(vit|deit|deit3|flexivit|eva_large_patch14)(\d|_|$)")
# Architectures of these names compute otherwise, though their tensors may look the same.
_TIMM_REFUSED = {
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
_TIMM_HEADS = {"vit_base_patch16_gap_224": 16, "test_vit": 2, "test_vit2": 2}  # the others follow from their width


def _timm(config: Mapping) -> Declared:
    name = str(config["architecture"])[:80].split(".")[0]
    if not _TIMM_NAMES.match(name):
        text = "config.json says timm architecture {name}; supported are timm's vit_* and deit*"
        raise CheckpointError(message("timm_unknown", text, name=repr(name)))
    refused = next((what for piece, what in _TIMM_REFUSED.items() if piece in name), None)
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
        if value not in _TIMM_ONLY.get(key, ()) and key not in _TIMM_FIELDS and not _TIMM_IGNORED.fullmatch(key)
        if value not in (None, False, "")
    ]
    if strange:
        text = "timm's {name} was made with {arguments}, which is not supported"
        raise CheckpointError(message("timm_arguments", text, name=name, arguments=few(strange)))
    stated: dict[str, Any] = {
        ours: bool(args[key]) if isinstance(args[key], bool) else _number(args, key, least=0)
        for key, ours in _TIMM_FIELDS.items()
        if args.get(key) is not None
    }
    if config.get("num_classes") is not None:
        stated["classes"] = _number(config, "num_classes", least=0)
    if name in _TIMM_HEADS:
        stated.setdefault("heads", _TIMM_HEADS[name])
    if args.get("patch_size") is not None:
        stated["patch_size"] = _size(args, "patch_size")
    pool = args.get("global_pool", config.get("global_pool"))
    if pool not in (None, "token", "avg"):
        text = "config.json says global_pool {pool}; supported are 'token' and 'avg'"
        raise CheckpointError(message("pool_unknown", text, pool=quoted(pool)))
    if pool is not None:
        pool = "class" if pool == "token" else "mean-all" if args.get("pool_include_prefix") else "mean-patches"
    shape = cfg.get("input_size")
    return Declared(
        stated,
        {"norm_eps": 1e-5 if "clip" in name else 1e-6},
        image_size=_size(args, "img_size") if args.get("img_size") is not None else None,
        likely_size=_size({"input_size": shape[1:]}, "input_size") if isinstance(shape, list) else None,
        pool=pool,
        labels=_timm_labels(config, cfg),
    )


def _timm_labels(config: Mapping, cfg: Mapping) -> dict[int, str]:
    names = config.get("label_names") or cfg.get("label_names")
    if not isinstance(names, list):
        return {}
    words = config.get("label_descriptions") or cfg.get("label_descriptions") or {}
    words = words if isinstance(words, Mapping) else {}
    shown = [words.get(name, name) if isinstance(name, str) else name for name in names]
    return _labels(dict(enumerate(shown)), "label_names")


def _number(config: Mapping, name: str, least: int = 1) -> int:
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < MAX_NUMBER:
        text = "config.json says {name} {value}; expected a whole number from {least}"
        raise CheckpointError(message("config_integer", text, name=name, value=quoted(value), least=least))
    return value


def _rate(config: Mapping, name: str, default: float) -> float:
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e6:
        text = "config.json says {name} {value}; expected a number from 0, below a million"
        raise CheckpointError(message("config_number", text, name=name, value=quoted(value)))
    return float(value)


def _size(config: Mapping, name: str) -> tuple[int, int]:
    value = config[name]
    pair = [value, value] if isinstance(value, int) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(type(s) is int and 0 < s < 2**16 for s in pair):
        got = value if isinstance(value, str) else quoted(value)
        text = "config.json says {name} {value}; expected a number from 1 to 65535 or two, [height, width]"
        raise CheckpointError(message("config_size", text, name=name, value=quoted(got)))
    return pair[0], pair[1]
