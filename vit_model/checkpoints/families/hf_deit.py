"""Hugging Face DeiT."""

from __future__ import annotations

from dataclasses import replace

from vit_model.checkpoints.families import hugging_face as hf
from vit_model.checkpoints.format import Format, Layout, Saving
from vit_model.config import ViTConfig
from vit_model.preprocess import Preprocessing


def layout(config: ViTConfig) -> Layout:
    distilled = config.pool == "class-distilled"
    other = "classifier" if distilled else "cls_classifier"
    format = replace(HF_DEIT, outer={theirs: ours for theirs, ours in HF_DEIT.outer.items() if theirs != other})
    if not config.classes:
        return Layout(format, "deit", "DeiTModel", fields=hf.plain_fields(config))
    name = f"DeiTForImageClassification{'WithTeacher' if distilled else ''}"
    return Layout(format, "deit", name, "deit.", hf.plain_fields(config))


HF_DEIT = Format(
    "Hugging Face DeiT",
    hf.OUTER
    | {
        "embeddings.distillation_token": "distillation_token",
        "cls_classifier": "head",
        "distillation_classifier": "distillation_head",
    },
    hf.BLOCK,
    hf.VIT_BLOCK,
    hf.DROPPED,
    hf.NAMES_OF_5,
    hf.BESIDE_HEAD,
    prefixes=("deit.",),
    respelled=hf.RESPELLED,
    model_types=("deit",),
    holds=lambda has, file: has("embeddings.patch_embeddings.") and has("distillation_token"),
    norm_eps=1e-12,
    interpolation="hf",
    usual=lambda names: Preprocessing.for_imagenet(),
    saving=Saving(lambda config: config.distillation_token, hf.plain_refusals, layout),
)
