"""Google's .npz files, of google-research/vision_transformer."""

from __future__ import annotations

from torch import Tensor

from vit_model.checkpoints.format import Format


def _from_flax(name: str, array: Tensor) -> Tensor:
    """Flax's axes -> torch's: kernels [in..., out...] -> [out, in], patch kernels HWIO -> OIHW, biases flat."""
    if not name.endswith("kernel"):
        return array.flatten() if name.endswith("bias") else array
    if array.dim() == 4:
        return array.permute(3, 2, 0, 1)
    if array.dim() == 3:  # [D, H, d] of query, key, value; [H, d, D] of out
        array = array.flatten(0, 1) if "/out/" in name else array.flatten(1)
    return array.T


def _heads(name: str, tensor: Tensor) -> int | None:
    return tensor.shape[1] if name.endswith("query/kernel") and tensor.dim() == 3 else None  # [D, H, d]


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
    separator="/",
    suffixes={"kernel": "weight", "scale": "weight", "bias": "bias"},
    reshape=_from_flax,
    holds=lambda has, file: has("Transformer/posembed_input/"),
    interpolation="jax",
    heads_in=_heads,
)
