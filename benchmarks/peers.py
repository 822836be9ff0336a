"""The same Vision Transformer, by us and as three other libraries build it, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn

from vit_model import VisionTransformer, ViTConfig

Forward = Callable[[Tensor], Tensor]


def random_model(config: ViTConfig) -> VisionTransformer:
    """Ours, its head random too: a zero one has no gradients, and methods skip what is not read."""
    torch.manual_seed(0)
    model = VisionTransformer(config).eval().requires_grad_(False)
    nn.init.normal_(model.head.weight, std=0.02)
    return model


def peers(config: ViTConfig, device: torch.device | str = "cpu") -> dict[str, Forward]:
    """pixels -> logits by timm, transformers (sdpa) and torchvision, each as fast as it comes, in eval mode."""
    huggingface = _quiet(hugging_face(config, "sdpa")).to(device)
    return {
        "timm": _quiet(timm_model(config)).to(device),
        "transformers": lambda pixels: huggingface(pixels).logits,
        "torchvision": _quiet(_torchvision(config)).to(device),
    }


def hugging_face(config: ViTConfig, attention: str) -> transformers.ViTForImageClassification:
    """`attention`: "sdpa" (fused) or "eager", which alone can return attentions."""
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=list(config.image_size),
            patch_size=list(config.patch_size),
            hidden_size=config.width,
            num_hidden_layers=config.depth,
            num_attention_heads=config.heads,
            intermediate_size=config.mlp_width,
            num_labels=config.classes,
            attn_implementation=attention,
        )
    )


def vit_explain_rollout(attentions: Sequence[Tensor], discard_ratio: float = 0.9) -> Tensor:
    """What vit-explain does with L attentions [1, H, N, N], mean fusion, by default its own default of 0.9: the weakest
    entries of each matrix sorted out by `topk`, and a matrix product a layer. The class token's row."""
    tokens = attentions[0].shape[-1]
    product = identity = torch.eye(tokens, device=attentions[0].device)
    for attention in attentions:
        fused = attention.mean(dim=1)[0]
        weakest = fused.flatten().topk(int(tokens * tokens * discard_ratio), largest=False).indices
        fused.view(-1)[weakest[weakest != 0]] = 0
        halved = (fused + identity) / 2
        product = (halved / halved.sum(dim=-1)) @ product
    return product[0, 1:]


def timm_model(config: ViTConfig) -> nn.Module:
    return timm.models.VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=config.mlp_width / config.width,
        num_classes=config.classes,
    )


def _torchvision(config: ViTConfig) -> nn.Module:
    return torchvision.models.VisionTransformer(
        image_size=config.image_size[0],
        patch_size=config.patch_size[0],
        num_layers=config.depth,
        num_heads=config.heads,
        hidden_dim=config.width,
        mlp_dim=config.mlp_width,
        num_classes=config.classes,
    )


def _quiet(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)
