"""torchvision's vit_*."""

from __future__ import annotations

from vit_model.checkpoints.format import Format
from vit_model.preprocess import Preprocessing

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
    holds=lambda has, file: has("self_attention.in_proj_weight"),
    listed="torchvision (vit_*)",
    usual=lambda names: Preprocessing.for_torchvision(),
)
