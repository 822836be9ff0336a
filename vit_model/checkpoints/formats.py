"""The checkpoint formats as data: key tables (theirs -> ours).

A table maps the names of modules or parameters. Where a module is named, its weight and bias are meant. "[query]" and
the like say which part of one of our fused tensors theirs is. The same tables are read backwards for saving.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

PARTS = {"qkv": ("query", "key", "value"), "fc1": ("gate", "value")}  # the rows of a fused tensor, in order


@dataclass(frozen=True)
class Format:
    """One layout of names. `outer` holds what lies outside of the blocks; a block's names are `block` + number +
    `separator` + a name in `inner`. `aliases` are other spellings inside a block, read but never written. `dropped`
    maps the start of a name to the reason why it is left out."""

    name: str
    outer: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    dropped: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()  # wrappers that may stand before every name
    interpolation: str = "bilinear"
    norm_eps: float = 1e-6
    separator: str = "."
    suffixes: Mapping[str, str] = field(default_factory=lambda: {"weight": "weight", "bias": "bias"})
    reshape: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor  # their layout of axes -> ours

    def target(self, key: str) -> str | None:
        """Our parameter (with "[part]" where theirs is a part of it) for one of their names; None if unknown."""
        if not key.startswith(self.block):
            return self._look_up(self.outer, key)
        number, _, rest = key.removeprefix(self.block).partition(self.separator)
        inner = self._look_up({**self.inner, **self.aliases}, rest)
        return f"blocks.{int(number)}.{inner}" if inner and number.isdecimal() and len(number) < 5 else None

    def reason(self, key: str) -> str | None:
        """Why a name is left out on purpose, None if it is not."""
        return next((why for start, why in self.dropped.items() if key.startswith(start)), None)

    def source(self, parameter: str) -> Iterator[tuple[str, str | None]]:
        """Their name for one of ours, or their names for its parts, as (name, part)."""
        table, prefix = self.outer, ""
        if match := re.match(r"blocks\.(\d+)\.(.*)", parameter):
            table, prefix, parameter = self.inner, self.block + match[1] + self.separator, match[2]
        module, _, kind = parameter.rpartition(".")
        suffixes = {ours: theirs for theirs, ours in reversed(list(self.suffixes.items()))}
        for theirs, ours in table.items():
            name, _, part = ours.partition("[")
            if name == parameter:
                yield prefix + theirs, part.rstrip("]") or None
            elif name == module and kind in suffixes:
                yield f"{prefix}{theirs}{self.separator}{suffixes[kind]}", part.rstrip("]") or None

    def _look_up(self, table: Mapping[str, str], key: str) -> str | None:
        if key in table:
            return table[key]
        module, _, kind = key.rpartition(self.separator)
        if module not in table or kind not in self.suffixes:
            return None
        name, bracket, part = table[module].partition("[")
        return f"{name}.{self.suffixes[kind]}{bracket}{part}"


_ATTENTION = {
    "attention.attention.query": "attention.qkv[query]",
    "attention.attention.key": "attention.qkv[key]",
    "attention.attention.value": "attention.qkv[value]",
    "attention.output.dense": "attention.projection",
}
_HF_OUTER = {
    "embeddings.cls_token": "class_token",
    "embeddings.position_embeddings": "positions",
    "embeddings.patch_embeddings.projection": "patch_embed.projection",
    "layernorm": "norm",
    "pooler.dense": "pre_logits",
    "classifier": "head",
}
_HF_VIT_BLOCK = _ATTENTION | {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
_HF_DINOV2_BLOCK = _ATTENTION | {
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "layer_scale1.lambda1": "scale1",
    "layer_scale2.lambda1": "scale2",
}
HF_SWIGLU = {"mlp.weights_in": "mlp.fc1", "mlp.weights_out": "mlp.fc2"}
# The names of a state_dict of transformers 5, whose save_pretrained writes the older ones.
_HF_5 = {
    "attention.q_proj": "attention.qkv[query]",
    "attention.k_proj": "attention.qkv[key]",
    "attention.v_proj": "attention.qkv[value]",
    "attention.o_proj": "attention.projection",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "mlp.gate_proj": "mlp.fc1[gate]",
    "mlp.up_proj": "mlp.fc1[value]",
    "mlp.down_proj": "mlp.fc2",
}
_MASK_TOKEN = "stands for hidden patches in pretraining only"
_DECODER = "the decoder of masked pretraining; the encoder is the model"
_HF_DROPPED = {"embeddings.mask_token": _MASK_TOKEN, "decoder.": _DECODER}

HF_VIT = Format(
    "Hugging Face ViT",
    _HF_OUTER,
    "encoder.layer.",
    _HF_VIT_BLOCK,
    _HF_DROPPED,
    _HF_5,
    prefixes=("vit.",),
    interpolation="hf",
    norm_eps=1e-12,
)
HF_DEIT = Format(
    "Hugging Face DeiT",
    _HF_OUTER
    | {
        "embeddings.distillation_token": "distillation_token",
        "cls_classifier": "head",
        "distillation_classifier": "distillation_head",
    },
    "encoder.layer.",
    _HF_VIT_BLOCK,
    _HF_DROPPED,
    _HF_5,
    prefixes=("deit.",),
    interpolation="hf",
    norm_eps=1e-12,
)
HF_MAE = Format(
    "Hugging Face ViT-MAE (encoder)",
    {key: value for key, value in _HF_OUTER.items() if key != "pooler.dense"},
    "encoder.layer.",
    _HF_VIT_BLOCK,
    _HF_DROPPED,
    _HF_5,
    prefixes=("vit.",),
    interpolation="hf",
    norm_eps=1e-12,
)
HF_DINOV2 = Format(
    "Hugging Face DINOv2",
    {key: value for key, value in _HF_OUTER.items() if key != "pooler.dense"},
    "encoder.layer.",
    _HF_DINOV2_BLOCK,
    _HF_DROPPED,
    HF_SWIGLU | _HF_5,
    prefixes=("dinov2.",),
    interpolation="dinov2",
)
HF_DINOV2_REGISTERS = Format(
    "Hugging Face DINOv2 with registers",
    {**HF_DINOV2.outer, "embeddings.register_tokens": "registers"},
    "encoder.layer.",
    _HF_DINOV2_BLOCK,
    _HF_DROPPED,
    HF_SWIGLU | _HF_5,
    prefixes=("dinov2_with_registers.",),
    interpolation="dinov2-registers",
)

_TIMM_OUTER = {
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
_TIMM_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "ls1.gamma": "scale1",
    "ls2.gamma": "scale2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_TIMM_SWIGLU = {"mlp.fc1_g": "mlp.fc1[gate]", "mlp.fc1_x": "mlp.fc1[value]"}
_WRAPPINGS = ("module.", "_orig_mod.", "backbone.", "model.")

TIMM = Format("timm", _TIMM_OUTER, "blocks.", _TIMM_BLOCK, {}, _TIMM_SWIGLU, prefixes=_WRAPPINGS, interpolation="timm")
DINO = Format(
    "DINO (original)",
    _TIMM_OUTER,
    "blocks.",
    _TIMM_BLOCK,
    {"head.mlp.": "DINO's projection head, for pretraining only", "head.last_layer": "DINO's projection head"},
    prefixes=_WRAPPINGS,
    interpolation="dino",
)
DINOV2 = Format(
    "DINOv2 (original)",
    _TIMM_OUTER | {"register_tokens": "registers"},
    "blocks.",
    _TIMM_BLOCK,
    {"mask_token": _MASK_TOKEN, "dino_head.": "DINO's projection head, for pretraining only"},
    {"mlp.w12": "mlp.fc1", "mlp.w3": "mlp.fc2"},
    prefixes=_WRAPPINGS,
    interpolation="dino",
)
DINOV2_REGISTERS = replace(DINOV2, name="DINOv2 with registers (original)", interpolation="dinov2-registers")
MAE = Format(
    "MAE (original, encoder)",
    _TIMM_OUTER,
    "blocks.",
    _TIMM_BLOCK,
    {"mask_token": _MASK_TOKEN, "decoder_": _DECODER},
    prefixes=_WRAPPINGS,
    interpolation="timm",
)
TORCHVISION = Format(
    "torchvision",
    {
        "class_token": "class_token",
        "conv_proj": "patch_embed.projection",
        "encoder.pos_embedding": "positions",
        "encoder.ln": "norm",
        "heads.pre_logits": "pre_logits",
        "heads.head": "head",
    },
    "encoder.layers.encoder_layer_",
    {
        "ln_1": "norm1",
        "ln_2": "norm2",
        "self_attention.in_proj_weight": "attention.qkv.weight",
        "self_attention.in_proj_bias": "attention.qkv.bias",
        "self_attention.out_proj": "attention.projection",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
    },
    aliases={"mlp.linear_1": "mlp.fc1", "mlp.linear_2": "mlp.fc2"},
    prefixes=("module.", "_orig_mod."),
    interpolation="torchvision",
)


def _from_flax(name: str, array: Tensor) -> Tensor:
    """Flax's axes -> torch's: kernels [in..., out...] -> [out, in], patch kernels HWIO -> OIHW, biases flat."""
    if not name.endswith("kernel"):
        return array.flatten() if name.endswith("bias") else array
    if array.dim() == 4:
        return array.permute(3, 2, 0, 1)
    if array.dim() == 3:  # [D, H, d] of query, key, value; [H, d, D] of out
        array = array.flatten(0, 1) if "/out/" in name else array.flatten(1)
    return array.T


_MHA = "MultiHeadDotProductAttention_1/"
NPZ = Format(
    "Google npz",
    {
        "cls": "class_token",
        "embedding": "patch_embed.projection",
        "Transformer/posembed_input/pos_embedding": "positions",
        "Transformer/encoder_norm": "norm",
        "pre_logits": "pre_logits",
        "head": "head",
    },
    "Transformer/encoderblock_",
    {
        "LayerNorm_0": "norm1",
        "LayerNorm_2": "norm2",
        f"{_MHA}query": "attention.qkv[query]",
        f"{_MHA}key": "attention.qkv[key]",
        f"{_MHA}value": "attention.qkv[value]",
        f"{_MHA}out": "attention.projection",
        "MlpBlock_3/Dense_0": "mlp.fc1",
        "MlpBlock_3/Dense_1": "mlp.fc2",
    },
    prefixes=("opt/target/", "params/"),
    interpolation="jax",
    separator="/",
    suffixes={"kernel": "weight", "scale": "weight", "bias": "bias"},
    reshape=_from_flax,
)
_OWN_OUTER = (
    *("class_token", "distillation_token", "registers", "positions", "pre_norm", "norm", "pre_logits", "head"),
    *("patch_embed.projection", "patch_embed.norm_before", "patch_embed.norm_after", "distillation_head"),
)
_OWN_BLOCK = ("norm1", "attention.qkv", "attention.projection", "norm2", "mlp.fc1", "mlp.fc2", "scale1", "scale2")
OWN = Format("ViT Explorer", {name: name for name in _OWN_OUTER}, "blocks.", {name: name for name in _OWN_BLOCK})


def plain_names(format: Format, keys: Iterable[str]) -> dict[str, str]:
    """Their key -> the same without wrappers (`module.`, `vit.`) and in the one spelling that the tables have."""
    return {key: _plain(format, key) for key in keys}


def _plain(format: Format, key: str) -> str:
    stripped = True
    while stripped:
        prefix = next((prefix for prefix in format.prefixes if key.startswith(prefix)), None)
        if stripped := prefix is not None:
            key = key.removeprefix(prefix)
    if format.block == "encoder.layer.":
        return re.sub(r"^layers\.(?=\d+\.)", "encoder.layer.", key)
    if format.block == "blocks.":  # DINOv2 in training nests its blocks in chunks: blocks.<chunk>.<block>.
        return re.sub(r"^blocks\.\d+\.(?=\d+\.)", "blocks.", key)
    return key
