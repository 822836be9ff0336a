"""Which format a checkpoint has, and what else it is where it is none that is supported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vit_model.checkpoints import formats
from vit_model.checkpoints.formats import Format
from vit_model.errors import CheckpointError

MODEL_TYPES = {
    "vit": formats.HF_VIT,
    "deit": formats.HF_DEIT,
    "vit_mae": formats.HF_MAE,
    "dinov2": formats.HF_DINOV2,
    "dinov2_with_registers": formats.HF_DINOV2_REGISTERS,
    "vit_explorer": formats.OWN,
}

SUPPORTED = (
    "supported are Vision Transformers: Hugging Face ViT, DeiT, DINO, DINOv2 (with or without registers) and "
    "ViT-MAE, timm's vit_* and deit*, torchvision's vit_*, the original DINO, DINOv2, MAE and DeiT files, Google's .npz"
)

# What other things are called in words, by config.json's model_type ...
_FOREIGN_TYPES = {
    "swin": "a Swin Transformer (attention in shifted windows)",
    "beit": "a BEiT (relative position biases)",
    "data2vec-vision": "a data2vec vision model (built as a BEiT)",
    "clip": "a CLIP model (an image and a text encoder)",
    "siglip": "a SigLIP model (an image and a text encoder, attention pooling)",
    "convnext": "a ConvNeXt (a convolutional network)",
    "resnet": "a ResNet (a convolutional network)",
    "dinov3_vit": "a DINOv3 (rotary positions)",
    "ijepa": "an I-JEPA encoder (no class token, fixed positions)",
}
# ... or by a piece of a tensor's name; the first that is found decides.
_FOREIGN_KEYS = {
    r"\blora_[AB]\b|\blora_(up|down)\b|^base_model\.model\.": "a LoRA or other adapter, a change to a "
    "model and no model of its own; merge it into its base model first (with peft: model.merge_and_unload())",
    r"\b(text_model|text_projection|logit_scale|token_embedding|visual\.)": _FOREIGN_TYPES["clip"],
    r"layers\.\d+\.blocks\.\d+\..*relative_position|\bswin": _FOREIGN_TYPES["swin"],
    r"relative_position_bias|attn\.q_bias|\bbeit\.": _FOREIGN_TYPES["beit"],
    r"word_embeddings|embed_tokens|lm_head|\bwte\b|tok_embeddings": "a language model",
    r"\bstages\.\d+\.(blocks|layers)|\bdwconv\b|conv_dw": _FOREIGN_TYPES["convnext"],
    r"running_mean|\bconv1\.weight": "a convolutional network",
    r"to_patch_embedding\.|transformer\.layers\.\d+\.\d+\.": "a ViT of lucidrains' vit-pytorch (its heads "
    "need not fill the width, and its pooling is not in the file)",
    r"attn_pool\.|MAPHead": "a ViT with attention pooling (timm's 'map', SigLIP)",
    r"attn\.[qk]_norm\.": "a ViT with normalised queries and keys (qk-norm)",
    r"encoderblock/": "a big_vision file with all blocks stacked in one tensor",
}


def detect(keys: Iterable[str], config: Mapping | None, name: str = "") -> Format:
    """The format of a checkpoint, by its config.json where there is one, else by its tensors' names (and, for original
    DINO and MAE files that hold the same names as timm's, by the file's name). CheckpointError says what else it is.
    """
    keys = list(keys)
    model_type = (config or {}).get("model_type")
    if isinstance(model_type, str) and model_type in MODEL_TYPES:
        refuse_foreign(keys, lora_only=True)
        return MODEL_TYPES[model_type]
    if config and model_type is not None and "architecture" not in config:
        stem = str(model_type).removesuffix("_vision_model").removesuffix("v2")
        what = _FOREIGN_TYPES.get(stem, "not one of the models this program knows")
        said = repr(str(model_type)[:80])
        text = f"config.json says model_type {said}: {what}; {SUPPORTED}"
        raise CheckpointError(text, "foreign_type", type=said, kind=what)
    refuse_foreign(keys)
    if config and "architecture" in config:
        return formats.TIMM
    found = _by_keys(keys, name.lower())
    if found is None:
        few = ", ".join(key[:80] for key in sorted(keys)[:4])
        text = f"no Vision Transformer that is known here has tensors called {few}; {SUPPORTED}"
        raise CheckpointError(text, "unknown_tensors", names=few)
    return found


def refuse_foreign(keys: list[str], lora_only: bool = False) -> None:
    """Raise CheckpointError where a tensor's name belongs to something else than a ViT that is supported."""
    for pattern, what in list(_FOREIGN_KEYS.items())[: 1 if lora_only else None]:
        key = next((key for key in keys if re.search(pattern, key)), None)
        if key is not None:
            text = f"this is {what}: it holds {key[:120]!r}; {SUPPORTED}"
            raise CheckpointError(text, "foreign_tensors", kind=what, key=repr(key[:120]))


def _by_keys(keys: list[str], name: str) -> Format | None:
    def any_with(*pieces: str) -> bool:
        return any(piece in key for piece in pieces for key in keys)

    if any_with("self_attention.in_proj_weight"):
        return formats.TORCHVISION
    if any_with("Transformer/posembed_input/"):
        return formats.NPZ
    if any_with("embeddings.patch_embeddings."):
        if any_with("register_tokens"):
            return formats.HF_DINOV2_REGISTERS
        if any_with("layer_scale1."):
            return formats.HF_DINOV2
        if any_with("distillation_token"):
            return formats.HF_DEIT
        return formats.HF_MAE if any_with("decoder.decoder_") else formats.HF_VIT
    if any_with("patch_embed.projection."):
        return formats.OWN
    if not any_with("patch_embed.proj."):
        return None
    if any_with("register_tokens"):
        return formats.DINOV2_REGISTERS
    if any_with("mlp.w12", "dino_head.") or (any_with("mask_token") and any_with("ls1.gamma")):
        return formats.DINOV2
    if any_with("decoder_pos_embed", "decoder_embed") or re.search(r"(^|[^a-z])mae([^a-z]|$)", name):
        return formats.MAE
    if any_with("head.mlp.", "head.last_layer") or re.search(r"(^|[^a-z])dino([^a-z]|$)", name):
        return formats.DINO
    return formats.TIMM
