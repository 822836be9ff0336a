"""DINO's original files. They have timm's names, and some only their file's name tells apart."""

from __future__ import annotations

import re
from dataclasses import replace

from vit_model.checkpoints.declared import declare_hugging_face
from vit_model.checkpoints.families.timm import TIMM
from vit_model.checkpoints.format import Has
from vit_model.preprocess import Preprocessing


def holds(has: Has, file: str) -> bool:
    named = re.search(r"(^|[^a-z])dino([^a-z]|$)", file)
    return has("patch_embed.proj.") and (has("head.mlp.", "head.last_layer") or named is not None)


DINO = replace(
    TIMM,
    name="DINO (original)",
    dropped={"head.mlp.": "DINO's projection head, for pretraining only", "head.last_layer": "DINO's projection head"},
    aliases={},
    config_key="",
    holds=holds,
    listed="",
    declare=declare_hugging_face,
    interpolation="dino",
    usual=lambda names: Preprocessing.for_imagenet(),
)
