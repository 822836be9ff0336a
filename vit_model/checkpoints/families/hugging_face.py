"""What the Hugging Face families share: key tables, and what is written of a model in their layouts."""

from __future__ import annotations

from collections.abc import Mapping

from vit_model.config import ViTConfig

ATTENTION = {
    "attention.attention.query": "attention.qkv[query]",
    "attention.attention.key": "attention.qkv[key]",
    "attention.attention.value": "attention.qkv[value]",
    "attention.output.dense": "attention.projection",
}
OUTER = {
    "embeddings.cls_token": "class_token",
    "embeddings.position_embeddings": "positions",
    "embeddings.patch_embeddings.projection": "patch_embed.projection",
    "layernorm": "norm",
    "pooler.dense": "pre_logits",
    "classifier": "head",
}
OUTER_WITHOUT_POOLER = {theirs: ours for theirs, ours in OUTER.items() if theirs != "pooler.dense"}
VIT_BLOCK = ATTENTION | {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
BLOCK = "encoder.layer."
RESPELLED = (r"^layers\.(?=\d+\.)", BLOCK)
# The names of a state_dict of transformers 5, whose save_pretrained writes the older ones.
NAMES_OF_5 = {
    "attention.q_proj": "attention.qkv[query]",
    "attention.k_proj": "attention.qkv[key]",
    "attention.v_proj": "attention.qkv[value]",
    "attention.o_proj": "attention.projection",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
    "mlp.gate_proj": "mlp.fc1[gate]",
    "mlp.up_proj": "mlp.fc1[value]",
    "mlp.down_proj": "mlp.fc2",
}
MASK_TOKEN = "stands for hidden patches in pretraining only"
DECODER = "the decoder of masked pretraining; the encoder is the model"
DROPPED = {"embeddings.mask_token": MASK_TOKEN, "decoder.": DECODER}
BESIDE_HEAD = {"pooler.": "the classifier reads the class token, not the pooler"}


def refusals(config: ViTConfig) -> list[str]:
    """Why none of these families can hold a model of this config, reason by reason."""
    reasons = {
        "patch_norms: LayerNorms around the patch projection": config.patch_norms,
        "pre_norm: a LayerNorm before the first block": config.pre_norm,
        f"pool {config.pool!r}": config.pool.startswith("mean"),
        "no class token": not config.class_token,
        "pre_logits together with a classifier": config.pre_logits and config.classes,
        f"pool {config.pool!r} without a classifier": config.pool == "class+mean" and not config.classes,
    }
    return holding(reasons)


def plain_refusals(config: ViTConfig) -> list[str]:
    """Likewise of the families without LayerScale, ViT and DeiT."""
    reasons = {
        "registers without LayerScale": config.registers,
        "SwiGLU without LayerScale": config.mlp == "swiglu",
        f"pool {config.pool!r} without LayerScale": config.pool == "class+mean",
    }
    return refusals(config) + holding(reasons)


def holding(reasons: Mapping[str, object]) -> list[str]:
    """The reasons that hold."""
    return [reason for reason, holds in reasons.items() if holds]


def config_fields(config: ViTConfig) -> dict[str, object]:
    """What config.json says of the architecture in every one of these families."""
    same = config.image_size[0] == config.image_size[1], config.patch_size[0] == config.patch_size[1]
    return {
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "hidden_act": "gelu",
        "image_size": config.image_size[0] if same[0] else list(config.image_size),
        "patch_size": config.patch_size[0] if same[1] else list(config.patch_size),
        "num_channels": config.channels,
        "qkv_bias": config.qkv_bias,
        "layer_norm_eps": config.norm_eps,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
    }


def plain_fields(config: ViTConfig) -> dict[str, object]:
    """Likewise in the families without LayerScale, ViT and DeiT."""
    fields = config_fields(config) | {"intermediate_size": config.mlp_width}
    return fields | ({"pooler_output_size": config.pre_logits, "pooler_act": "tanh"} if config.pre_logits else {})
