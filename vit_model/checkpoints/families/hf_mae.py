"""Hugging Face ViT-MAE: the encoder of masked pretraining."""

from __future__ import annotations

from vit_model.checkpoints.families import hugging_face as hf
from vit_model.checkpoints.format import Format
from vit_model.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

HF_MAE = Format(
    "Hugging Face ViT-MAE (encoder)",
    hf.OUTER_WITHOUT_POOLER,
    hf.BLOCK,
    hf.VIT_BLOCK,
    hf.DROPPED,
    hf.NAMES_OF_5,
    hf.BESIDE_HEAD,
    prefixes=("vit.",),
    respelled=hf.RESPELLED,
    model_types=("vit_mae",),
    holds=lambda has, file: has("embeddings.patch_embeddings.") and has("decoder.decoder_"),
    norm_eps=1e-12,
    interpolation="hf",
    usual=lambda names: Preprocessing(resize=(224, 224), mean=IMAGENET_MEAN, std=IMAGENET_STD),
)
