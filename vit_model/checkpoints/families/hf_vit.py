"""Hugging Face ViT, in which Google's ViTs and DINO are published."""

from __future__ import annotations

from vit_model.checkpoints.families import hugging_face as hf
from vit_model.checkpoints.format import Format, Layout, Saving
from vit_model.config import ViTConfig


def layout(config: ViTConfig) -> Layout:
    if not config.classes:
        return Layout(HF_VIT, "vit", "ViTModel", fields=hf.plain_fields(config))
    return Layout(HF_VIT, "vit", "ViTForImageClassification", "vit.", hf.plain_fields(config))


HF_VIT = Format(
    "Hugging Face ViT",
    hf.OUTER,
    hf.BLOCK,
    hf.VIT_BLOCK,
    hf.DROPPED,
    hf.NAMES_OF_5,
    hf.BESIDE_HEAD,
    prefixes=("vit.",),
    respelled=hf.RESPELLED,
    model_types=("vit",),
    holds=lambda has, file: has("embeddings.patch_embeddings."),
    listed="Hugging Face ViT, DINO",
    norm_eps=1e-12,
    interpolation="hf",
    saving=Saving(lambda config: True, hf.plain_refusals, layout),
)
