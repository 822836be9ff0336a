"""MAE's original files: the encoder of masked pretraining, in timm's names."""

from __future__ import annotations

import re
from dataclasses import replace

from vit_model.checkpoints.declared import declare_hugging_face
from vit_model.checkpoints.families.hugging_face import DECODER, MASK_TOKEN
from vit_model.checkpoints.families.timm import TIMM
from vit_model.checkpoints.format import Has
from vit_model.preprocess import Preprocessing


def holds(has: Has, file: str) -> bool:
    named = re.search(r"(^|[^a-z])mae([^a-z]|$)", file)
    return has("patch_embed.proj.") and (has("decoder_pos_embed", "decoder_embed") or named is not None)


MAE = replace(
    TIMM,
    name="MAE (original, encoder)",
    dropped={"mask_token": MASK_TOKEN, "decoder_": DECODER},
    aliases={},
    config_key="",
    holds=holds,
    listed="",
    declare=declare_hugging_face,
    usual=lambda names: Preprocessing.for_imagenet(),
)
