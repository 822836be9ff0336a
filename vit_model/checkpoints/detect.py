"""Which format a checkpoint has, and what else it is where it is none that is supported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from vit_model.checkpoints import formats
from vit_model.checkpoints.format import Format
from vit_model.errors import CheckpointError
from vit_model.messages import message

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
    keys, config = list(keys), config or {}
    model_type = config.get("model_type")
    by_type = next((format for format in formats.FORMATS if model_type in format.model_types), None)
    if isinstance(model_type, str) and by_type is not None:
        refuse_foreign(keys, lora_only=True)
        return by_type
    by_config = next((format for format in formats.FORMATS if format.config_key and format.config_key in config), None)
    if model_type is not None and by_config is None:
        stem = str(model_type).removesuffix("_vision_model").removesuffix("v2")
        what = _FOREIGN_TYPES.get(stem, "not one of the models this program knows")
        said = repr(str(model_type)[:80])
        text = "config.json says model_type {type}: {kind}; supported are Vision Transformers: {formats}"
        raise CheckpointError(message("foreign_type", text, type=said, kind=what, formats=supported_formats()))
    found = by_config or _by_keys(keys, name.lower())
    refuse_foreign([key for key in keys if found is None or not found.knows(key)])
    if found is None:
        text = (
            "no Vision Transformer that is known here has tensors called {names}; supported are Vision Transformers: "
            "{formats}"
        )
        names = ", ".join(key[:80] for key in sorted(keys)[:4])
        raise CheckpointError(message("unknown_tensors", text, names=names, formats=supported_formats()))
    return found


def refuse_foreign(keys: list[str], lora_only: bool = False) -> None:
    """Raise CheckpointError where a tensor's name belongs to something else than a ViT that is supported."""
    for pattern, what in list(_FOREIGN_KEYS.items())[: 1 if lora_only else None]:
        key = next((key for key in keys if re.search(pattern, key)), None)
        if key is not None:
            text = "this is {kind}: it holds {key}; supported are Vision Transformers: {formats}"
            details = {"kind": what, "key": repr(key[:120]), "formats": supported_formats()}
            raise CheckpointError(message("foreign_tensors", text, **details))


def supported_formats() -> str:
    """The formats that can be read, listed."""
    return ", ".join(sorted((format.listed or format.name for format in formats.FORMATS), key=str.lower))


def _by_keys(keys: list[str], name: str) -> Format | None:
    def has(*pieces: str) -> bool:
        return any(piece in key for piece in pieces for key in keys)

    return next((format for format in formats.FORMATS if format.holds(has, name)), None)
