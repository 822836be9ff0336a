"""Recipes: published and practical ways to train, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from training.config import LENGTHS, ConfigError, RunConfig
from vit_model.errors import quoted
from vit_model.messages import message


@dataclass(frozen=True)
class Recipe:
    """A way to train.

    - `fields`: the fields of `RunConfig` that it sets; `data` and `model` are those that it was made for, and may be
      changed.
    - `source`: where it comes from. `expected`: what was published for it, in words.
    - `published`: (data set, model) -> accuracy, 0 to 1, to stand next to the reached one; `published_at`: (data set,
      epoch) -> accuracy for recipes whose source reports marks on the way.
    - `sweep`: learning rates that are tried first on a held-out part, as (fields of the trial runs, rates); the best
      then trains on the whole training set.
    - `by_data`: fields that differ by data set, over `fields`.
    """

    name: str
    source: str
    expected: str
    fields: Mapping[str, Any]
    by_data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sweep: tuple[float, ...] = ()
    sweep_fields: Mapping[str, Any] = field(default_factory=dict)
    published: Mapping[tuple[str, str], float] = field(default_factory=dict)
    published_at: Mapping[tuple[str, int], float] = field(default_factory=dict)

    @property
    def command(self) -> str:
        verb = "sweep" if self.sweep else "run"
        return f"python -m training {verb} --recipe {self.name} --data {self.fields['data']} --out runs/{self.name}"

    def config(self, **changes: Any) -> RunConfig:
        """The run that this recipe describes, with `changes` over it."""
        data = changes.get("data") or self.fields["data"]
        values = {"recipe": self.name} | dict(self.fields) | dict(self.by_data.get(data, {}))
        if any(changes.get(name) is not None for name in LENGTHS):
            values = {name: value for name, value in values.items() if name not in LENGTHS}
        return RunConfig.from_dict(values | changes)


B16, B32, L16 = (f"google/vit-{size}-in21k" for size in ("base-patch16-224", "base-patch32-224", "large-patch16-224"))
_PAPER = {
    "data": "cifar10",
    "model": B16,
    "resolution": 384,
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "schedule": "cosine",
    "batch": 512,
    "accumulation": 8,
    "clip": 1.0,
    "crop": "resized",
    "crop_scale": 0.6,
    "precision": "bf16",
    "held_out": 0.0,
}
_PAPER_STEPS = {
    "cifar10": {"steps": 10_000, "warmup": 500},
    "cifar100": {"steps": 10_000, "warmup": 500},
    "pets": {"steps": 500, "warmup": 100},
    "flowers102": {"steps": 500, "warmup": 100},
}
_PAPER_RESULTS = {
    (data, model): accuracy / 100
    for data, accuracies in {
        "cifar10": (98.95, 98.79, 99.16),
        "cifar100": (91.67, 91.97, 93.44),
        "pets": (94.43, 93.02, 94.73),
        "flowers102": (99.38, 99.11, 99.61),
    }.items()
    for model, accuracy in zip((B16, B32, L16), accuracies, strict=True)
}
_HELD_OUT = {"cifar10": 0.02, "cifar100": 0.02, "pets": 0.1, "flowers102": 0.1}
_SCRATCH = {
    "data": "cifar10",
    "optimizer": "adam",
    "lr": 1e-4,
    "batch": 256,
    "schedule": "constant",
    "crop": "none",
    "flip": False,
    "head_init": "random",
    "held_out": 0.0,
    "precision": "bf16",
}


def _scratch(name: str, model: str, resolution: int, marks: Mapping[int, float], expected: str, **more: Any) -> Recipe:
    return Recipe(
        name,
        "Reference table of ViTs and a ResNet-18 from scratch on CIFAR-10: Adam, 1e-4, batch 256, cross-entropy",
        expected,
        _SCRATCH
        | {"model": model, "resolution": resolution, "epochs": max(marks), "test_at": tuple(sorted(marks))}
        | more,
        published_at={("cifar10", epoch): accuracy / 100 for epoch, accuracy in marks.items()},
    )


_ALL = (
    Recipe(
        "paper",
        "Dosovitskiy et al. 2021, arXiv 2010.11929, appendix B.1.1 and table 4; warm-up from the authors' code",
        "CIFAR-10 98.95 %, CIFAR-100 91.67 %, Pets 94.43 %, Flowers 99.38 % with B/16 pre-trained on ImageNet-21k",
        _PAPER | _PAPER_STEPS["cifar10"],
        by_data=_PAPER_STEPS,
        sweep=(0.001, 0.003, 0.01, 0.03),
        sweep_fields={data: {"held_out": share} for data, share in _HELD_OUT.items()},
        published=_PAPER_RESULTS,
    ),
    Recipe(
        "sweep-7",
        "A short variant of the paper's protocol: the sweep on a held-out part, then 7 epochs at 384 px",
        "close to the paper's: about 98.5 % on CIFAR-10 with B/16",
        _PAPER | {"epochs": 7, "warmup": 100},
        sweep=(0.001, 0.003, 0.01, 0.03),
        sweep_fields={data: {"held_out": share} for data, share in _HELD_OUT.items()},
        published=_PAPER_RESULTS,
    ),
    Recipe(
        "cifar-10k",
        "The settings in common use for fine-tuning B/16 on CIFAR in 10,000 steps",
        "CIFAR-10 98.86 % and CIFAR-100 91.15 % after 1,000 steps at batch 512 (google-research README, B/16)",
        _PAPER
        | {
            "resolution": 224,
            "batch": 32,
            "accumulation": 1,
            "lr": 0.03,
            "steps": 10_000,
            "warmup": 500,
            "eval_every": 100,
            "checkpoint_every": 500,
            "held_out": 0.02,
        },
        published={("cifar10", B16): 0.9886, ("cifar100", B16): 0.9115},
    ),
    Recipe(
        "adamw",
        "A modern fine-tune: AdamW with layer-wise learning rates, RandAugment, mixup, cutmix, DropPath and an EMA",
        "no published number; a robust start for pictures of your own",
        {
            "data": "shapes",
            "model": "bundled",
            "optimizer": "adamw",
            "lr": 5e-4,
            "layer_decay": 0.75,
            "weight_decay": 0.05,
            "schedule": "cosine",
            "warmup": 50,
            "epochs": 10,
            "batch": 64,
            "clip": 1.0,
            "label_smoothing": 0.1,
            "mixup": 0.1,
            "cutmix": 0.5,
            "crop": "resized",
            "crop_scale": 0.4,
            "randaugment": 2,
            "randaugment_magnitude": 9,
            "drop_path": 0.1,
            "ema": 0.99,
            "precision": "bf16",
        },
    ),
    Recipe(
        "last-blocks",
        "Partial fine-tuning: the last two blocks, the final norm and the head; the rest stays as it was",
        "no published number; a fraction of the memory and time of a full fine-tune",
        {
            "data": "shapes",
            "model": "bundled",
            "trainable": "2",
            "optimizer": "adamw",
            "lr": 5e-4,
            "weight_decay": 0.05,
            "warmup": 20,
            "epochs": 5,
            "batch": 64,
            "clip": 1.0,
            "crop": "resized",
            "crop_scale": 0.5,
            "precision": "bf16",
        },
    ),
    Recipe(
        "linear-probe",
        "A linear classifier on frozen features: what the representation already knows",
        "no published number for these settings",
        {
            "data": "shapes",
            "model": "bundled",
            "trainable": "head",
            "optimizer": "adamw",
            "lr": 3e-3,
            "epochs": 10,
            "batch": 128,
            "crop": "none",
            "precision": "bf16",
        },
    ),
    _scratch(
        "scratch-patch16",
        "new:scratch-patch16",
        224,
        {10: 67.73, 20: 71.65, 50: 72.75},
        "CIFAR-10 67.73 / 71.65 / 72.75 % after 10 / 20 / 50 epochs (184 s an epoch on one A10)",
    ),
    _scratch(
        "scratch-patch32",
        "new:scratch-patch32",
        224,
        {10: 63.95, 20: 65.52},
        "CIFAR-10 63.95 / 65.52 % after 10 / 20 epochs (45 s an epoch on one A10)",
    ),
    _scratch(
        "scratch-vit4",
        "new:scratch-vit4",
        32,
        {5: 63.04, 10: 66.97},
        "CIFAR-10 63.04 / 66.97 % after 5 / 10 epochs",
    ),
    _scratch(
        "scratch-vit2",
        "new:scratch-vit2",
        32,
        {5: 60.08, 10: 67.05},
        "CIFAR-10 60.08 / 67.05 % after 5 / 10 epochs at 5e-4; 57.23 % after 5 at 1e-4",
        lr=5e-4,
    ),
    _scratch(
        "scratch-resnet18",
        "resnet18",
        224,
        {10: 68.14, 20: 73.25, 50: 79.06},
        "CIFAR-10 68.14 / 73.25 / 79.06 % after 10 / 20 / 50 epochs (51 s an epoch on one A10)",
    ),
    Recipe(
        "scratch-tiny",
        "A few layers from scratch on drawn shapes, to watch learning happen on any computer",
        "over 95 % of the test pictures within two minutes on two CPU cores",
        {
            "data": "shapes",
            "model": "new:scratch-vit4",
            "width": 96,
            "depth": 4,
            "heads": 3,
            "resolution": 32,
            "head_init": "random",
            "optimizer": "muon",
            "lr": 6e-3,
            "momentum": 0.95,
            "weight_decay": 0.05,
            "warmup": 20,
            "steps": 250,
            "batch": 64,
            "clip": 1.0,
            "crop": "none",
            "flip": False,
            "precision": "fp32",
            "eval_every": 25,
            "log_every": 1,
        },
    ),
    Recipe(
        "bundled",
        "How the model that comes with this project was trained, from a DINOv2-small; see its model card",
        "97.20 % of Imagenette's val pictures, 68.05 % of Tiny-ImageNet's, 210 classes allowed; 217 s on one H100",
        {
            "data": "everyday",  # both data sets in one folder; the card has the commands
            "model": "facebook/dinov2-small",
            "resolution": 224,
            "optimizer": "adamw",
            "lr": 3e-4,
            "layer_decay": 0.5,  # so that attention stays close to what it was, above all in the early blocks
            "weight_decay": 0.05,
            "schedule": "cosine",
            "warmup": 200,
            "epochs": 10,
            "batch": 256,
            "clip": 1.0,
            "label_smoothing": 0.1,
            "mixup": 0.1,
            "cutmix": 0.3,
            "crop": "resized",
            "crop_scale": 0.35,
            "color_jitter": 0.3,
            "downscale": 0.9,  # Tiny-ImageNet's 200 classes come at 64 px only
            "drop_path": 0.1,
            "ema": 0.998,
            "precision": "bf16",
            "held_out": 0.0,
            "checkpoint_every": 1000,
            "log_every": 20,
        },
    ),
    Recipe(
        "bundled-small",
        "How the small model that comes with this project was trained, from scratch; see its model card",
        "82.88 % on Imagenette's val split after 125 minutes on one to two CPU cores; see its card",
        {
            "data": "imagenette128",
            "model": "new:Ti/8",
            "width": 256,
            "depth": 6,
            "heads": 4,
            "resolution": 96,
            "stages": ((48, 0.4), (64, 0.35)),
            "head_init": "random",
            "optimizer": "muon",
            "lr": 3e-3,
            "momentum": 0.95,
            "weight_decay": 0.05,
            "schedule": "cosine",
            "warmup": 200,
            "minutes": 125,
            "batch": 128,
            "clip": 1.0,
            "label_smoothing": 0.1,
            "mixup": 0.2,
            "cutmix": 0.5,
            "crop": "resized",
            "crop_scale": 0.35,
            "color_jitter": 0.3,
            "drop_path": 0.05,
            "ema": 0.998,
            "precision": "bf16",
            "held_out": 0.0,
            "log_every": 20,
        },
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def recipe_named(name: str) -> Recipe:
    if name not in RECIPES:
        text, names = "no recipe {name}; the recipes are {names}", ", ".join(RECIPES)
        raise ConfigError(message("recipe_unknown", text, name=quoted(name), names=names))
    return RECIPES[name]
