"""Our own names, for what no layout of transformers can express."""

from __future__ import annotations

from vit_model.checkpoints.format import Format

_OUTER = (
    *("class_token", "distillation_token", "registers", "positions", "pre_norm", "norm", "pre_logits", "head"),
    *("patch_embed.projection", "patch_embed.norm_before", "patch_embed.norm_after", "distillation_head"),
)
_BLOCK = ("norm1", "attention.qkv", "attention.projection", "norm2", "mlp.fc1", "mlp.fc2", "scale1", "scale2")
OWN = Format(
    "ViT Explorer",
    {name: name for name in _OUTER},
    "blocks.",
    {name: name for name in _BLOCK},
    respelled=(r"^blocks\.\d+\.(?=\d+\.)", "blocks."),
    model_types=("vit_explorer",),
    holds=lambda has, file: has("patch_embed.projection."),
    whole_config=True,
)
