"""DINOv2's original files, with and without registers."""

from __future__ import annotations

from dataclasses import replace

from vit_model.checkpoints.families.dino import DINO
from vit_model.checkpoints.families.hugging_face import MASK_TOKEN
from vit_model.checkpoints.format import Has


def holds(has: Has, file: str) -> bool:
    pretrained = has("mask_token") and has("ls1.gamma")
    return has("patch_embed.proj.") and (has("mlp.w12", "dino_head.") or pretrained)


DINOV2 = replace(
    DINO,
    name="DINOv2 (original)",
    outer={**DINO.outer, "register_tokens": "registers"},
    dropped={"mask_token": MASK_TOKEN, "dino_head.": "DINO's projection head, for pretraining only"},
    aliases={"mlp.w12": "mlp.fc1", "mlp.w3": "mlp.fc2"},
    holds=holds,
)
DINOV2_REGISTERS = replace(
    DINOV2,
    name="DINOv2 with registers (original)",
    holds=lambda has, file: has("patch_embed.proj.") and has("register_tokens"),
    interpolation="dinov2-registers",
)
