"""Hugging Face DINOv2, with and without registers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vit_model.checkpoints.declared import Declared, declare_hugging_face, read_rate
from vit_model.checkpoints.families import hugging_face as hf
from vit_model.checkpoints.format import Format, Layout, Saving
from vit_model.config import ViTConfig
from vit_model.preprocess import Preprocessing

SWIGLU = {"mlp.weights_in": "mlp.fc1", "mlp.weights_out": "mlp.fc2"}


def declare(config: Mapping, norm_eps: float) -> Declared:
    """Its config.json has the MLP's width as a ratio."""
    declared = declare_hugging_face(config, norm_eps)
    mlp = "swiglu" if config.get("use_swiglu_ffn") else "gelu"
    stated: dict[str, Any] = {**declared.fields, "mlp": mlp}
    if "width" in stated:
        stated["mlp_width"] = mlp_width(stated["width"], read_rate(config, "mlp_ratio", 4.0), mlp)
    return replace(declared, fields=stated)


def mlp_width(width: int, ratio: float, mlp: str) -> int:
    """The hidden width of its MLP: width * ratio; for SwiGLU two thirds of that, rounded up to a multiple of 8."""
    return int(width * ratio) if mlp == "gelu" else (int(int(width * ratio) * 2 / 3) + 7) // 8 * 8


def refusals(config: ViTConfig) -> list[str]:
    reasons = {
        "pre_logits with LayerScale": config.pre_logits,
        "LayerScale with a distillation token": config.distillation_token,
        f"pool {config.pool!r} with a classifier and LayerScale": config.classes and config.pool == "class",
        "LayerScale on a grid that is not square": config.grid[0] != config.grid[1],
        f"an MLP width of {config.mlp_width} for a width of {config.width}": _mlp_ratio(config) is None,
    }
    return hf.refusals(config) + hf.holding(reasons)


def layout(config: ViTConfig) -> Layout:
    registers = config.registers > 0
    format = HF_DINOV2_REGISTERS if registers else HF_DINOV2
    if config.mlp == "swiglu":
        inner = {theirs: ours for theirs, ours in format.inner.items() if not ours.startswith("mlp.")} | SWIGLU
        format = replace(format, inner=inner)
    family, model_type = ("Dinov2WithRegisters", "dinov2_with_registers") if registers else ("Dinov2", "dinov2")
    fields = hf.config_fields(config) | {
        "mlp_ratio": _mlp_ratio(config),
        "use_swiglu_ffn": config.mlp == "swiglu",
        "layerscale_value": config.layer_scale,
        "drop_path_rate": config.drop_path,
    }
    fields |= {"num_register_tokens": config.registers} if registers else {}
    name, prefix = (f"{family}ForImageClassification", f"{model_type}.") if config.classes else (f"{family}Model", "")
    mask_token = {f"{prefix}embeddings.mask_token": (1, config.width)}
    return Layout(format, model_type, name, prefix, fields, mask_token)


def _mlp_ratio(config: ViTConfig) -> int | None:
    """The whole mlp_ratio from which transformers computes this MLP's width, None if there is none."""
    fits = (r for r in range(1, 65) if mlp_width(config.width, r, config.mlp) == config.mlp_width)
    return next(fits, None)


HF_DINOV2 = Format(
    "Hugging Face DINOv2",
    hf.OUTER_WITHOUT_POOLER,
    hf.BLOCK,
    hf.ATTENTION
    | {
        "norm1": "norm1",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "layer_scale1.lambda1": "scale1",
        "layer_scale2.lambda1": "scale2",
    },
    hf.DROPPED,
    SWIGLU | hf.NAMES_OF_5,
    hf.BESIDE_HEAD,
    prefixes=("dinov2.",),
    respelled=hf.RESPELLED,
    model_types=("dinov2",),
    holds=lambda has, file: has("embeddings.patch_embeddings.") and has("layer_scale1."),
    declare=declare,
    interpolation="dinov2",
    usual=lambda names: Preprocessing.for_imagenet(),
    saving=Saving(lambda config: config.layer_scale is not None, refusals, layout),
)
HF_DINOV2_REGISTERS = replace(
    HF_DINOV2,
    name="Hugging Face DINOv2 with registers",
    outer={**HF_DINOV2.outer, "embeddings.register_tokens": "registers"},
    prefixes=("dinov2_with_registers.",),
    model_types=("dinov2_with_registers",),
    holds=lambda has, file: has("embeddings.patch_embeddings.") and has("register_tokens"),
    interpolation="dinov2-registers",
    saving=None,  # HF_DINOV2 saves both
)
