"""The models that the page offers by name: those that come with this package, and well-known ones of the Hub."""

from __future__ import annotations

from dataclasses import dataclass

BUNDLED = "bundled"
SHIPPED = {BUNDLED: "bundled", "bundled-objects": "bundled_objects"}
"""Models in this package: name -> folder of vit_model."""


@dataclass(frozen=True)
class KnownModel:
    """One line of the page's model picker. `key` is what `fetch` and `load_model` take."""

    key: str
    family: str
    name: str
    note: str


KNOWN = (
    KnownModel(BUNDLED, "Bundled", "Small ViT, ten classes", "comes with the program; 96 px, patch 8, Imagenette"),
    KnownModel(
        "google/vit-base-patch16-224", "ViT", "ViT-B/16, 224 px", "ImageNet-21k, fine-tuned on ImageNet (1,000 classes)"
    ),
    KnownModel(
        "google/vit-base-patch16-384", "ViT", "ViT-B/16, 384 px", "the same at 384 px: a finer grid of 24x24 patches"
    ),
    KnownModel("google/vit-base-patch32-384", "ViT", "ViT-B/32, 384 px", "large patches: a 12x12 grid; 1,000 classes"),
    KnownModel(
        "google/vit-large-patch16-224", "ViT", "ViT-L/16, 224 px", "24 layers of 16 heads; 1,000 classes; 1.2 GB"
    ),
    KnownModel(
        "google/vit-large-patch16-384", "ViT", "ViT-L/16, 384 px", "24 layers, 24x24 patches; 1,000 classes; 1.2 GB"
    ),
    KnownModel(
        "google/vit-base-patch16-224-in21k", "ViT", "ViT-B/16, ImageNet-21k", "before fine-tuning, without a classifier"
    ),
    KnownModel(
        "google/vit-base-patch32-224-in21k", "ViT", "ViT-B/32, ImageNet-21k", "before fine-tuning, without a classifier"
    ),
    KnownModel(
        "google/vit-large-patch16-224-in21k",
        "ViT",
        "ViT-L/16, ImageNet-21k",
        "before fine-tuning, without a classifier; 1.2 GB",
    ),
    KnownModel("facebook/deit-tiny-patch16-224", "DeiT", "DeiT-Ti/16", "trained on ImageNet alone; 3 heads; 23 MB"),
    KnownModel("facebook/deit-small-patch16-224", "DeiT", "DeiT-S/16", "trained on ImageNet alone; 6 heads"),
    KnownModel("facebook/deit-base-patch16-224", "DeiT", "DeiT-B/16", "trained on ImageNet alone; 12 heads"),
    KnownModel(
        "facebook/deit-base-distilled-patch16-224",
        "DeiT",
        "DeiT-B/16 distilled",
        "a second token that learned from a convolutional teacher",
    ),
    KnownModel("facebook/dino-vits8", "DINO", "DINO S/8", "self-supervised, no classifier; a fine 28x28 grid"),
    KnownModel("facebook/dino-vitb16", "DINO", "DINO B/16", "self-supervised, no classifier"),
    KnownModel("facebook/dinov2-small", "DINOv2", "DINOv2 S/14", "self-supervised, no classifier"),
    KnownModel("facebook/dinov2-base", "DINOv2", "DINOv2 B/14", "self-supervised, no classifier"),
    KnownModel(
        "facebook/dinov2-small-imagenet1k-1-layer",
        "DINOv2",
        "DINOv2 S/14 with classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-base-imagenet1k-1-layer",
        "DINOv2",
        "DINOv2 B/14 with classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-small",
        "DINOv2 with registers",
        "DINOv2 S/14 with registers",
        "four register tokens: cleaner attention maps; no classifier",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-base",
        "DINOv2 with registers",
        "DINOv2 B/14 with registers",
        "four register tokens: cleaner attention maps; no classifier",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-small-imagenet1k-1-layer",
        "DINOv2 with registers",
        "DINOv2 S/14 with registers and classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-base-imagenet1k-1-layer",
        "DINOv2 with registers",
        "DINOv2 B/14 with registers and classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/vit-mae-base", "ViT-MAE", "ViT-MAE B/16", "learned by filling in hidden patches; encoder only"
    ),
)
