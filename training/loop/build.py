"""The model of a run: a checkpoint with a new head, a ViT with random weights, or torchvision's ResNet-18."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from training.config import ConfigError, RunConfig
from training.randomness import seed_torch
from vit_model import SIZES, Preprocessing, VisionTransformer, ViTConfig, load_model, resample_positions
from vit_model.errors import quoted
from vit_model.messages import message
from vit_model.preprocess import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from torchvision.models import ResNet  # slow to import

    class TrainedResNet(ResNet):
        """torchvision's ResNet-18 with the attributes that every model has here."""

        preprocessing: Preprocessing
        labels: tuple[str, ...]

    TrainedModel = VisionTransformer | TrainedResNet

NEW, RESNET = "new:", "resnet18"


def build_model(
    config: RunConfig,
    classes: Sequence[str],
    progress: Callable[[int, int, str], None] | None = None,
    local_paths: bool = True,
    guest: bool = False,
) -> TrainedModel:
    """Build the model that the run starts from, at its final resolution, with everything but `trainable` frozen.

    Every model has `preprocessing` and `labels`. `guest`: of the Hub only what everybody may have. ConfigError or
    CheckpointError say what cannot be.
    """
    seed_torch(config.seed, "initialise")
    if config.model.split(":")[0] == RESNET:
        model = _resnet(config, classes)
    elif config.model.startswith(NEW):
        model = _new(config, classes)
    else:
        model = _pretrained(config, classes, progress, local_paths, False if guest else None)
    _freeze(model, config)
    return model


def at_resolution(model: TrainedModel, side: int) -> None:
    """Change the input size of a model in training, in place; positions are interpolated bilinearly, as in the paper.
    The optimiser must be told: the positions are a new parameter."""
    size = (side, side)
    if isinstance(model, VisionTransformer):
        config = replace(model.config, image_size=size)
        if config.grid != model.config.grid:
            trainable = model.positions.requires_grad
            moved = resample_positions(
                model.positions.detach(), model.config.grid, config.grid, model.config.positioned_prefix
            )
            model.positions = nn.Parameter(moved, requires_grad=trainable)
        model.config = config
    model.preprocessing = model.preprocessing.at_size(size)


def new_config(config: RunConfig) -> ViTConfig:
    """Return the config of a model that "new:SIZE" and the fields over it describe."""
    name = config.model.removeprefix(NEW)
    if name not in SIZES:
        text, names = "no named size {name}; the sizes are {names}", ", ".join(SIZES)
        raise ConfigError(message("size_unknown", text, name=quoted(name), names=names))
    base = SIZES[name]
    width, patch = config.width or base.width, config.patch_size or base.patch_size[0]
    return replace(
        base,
        image_size=(config.resolution or base.image_size[0],) * 2,
        patch_size=(patch, patch),
        width=width,
        depth=config.depth or base.depth,
        heads=config.heads or base.heads,
        mlp_width=4 * width,
        norm_after_pool=None,
        **_rates(config),
        **_pool(config, base),
    )


def _new(config: RunConfig, classes: Sequence[str]) -> VisionTransformer:
    shape = replace(new_config(config), classes=len(classes))
    model = VisionTransformer(shape, classes, Preprocessing(size=shape.image_size))
    return _with_head(model, config)


def _pretrained(
    config: RunConfig, classes: Sequence[str], progress, local_paths: bool, token: bool | None
) -> VisionTransformer:
    odd = [n for n in ("width", "depth", "heads", "patch_size") if getattr(config, n) is not None]
    if odd:
        text = "{fields} are for a model with random weights ('new:SIZE'), not for {model}"
        raise ConfigError(message("fields_of_new_models", text, fields=", ".join(odd), model=config.model))
    size = config.resolution
    loaded = load_model(config.model, image_size=size, progress=progress, local_paths=local_paths, token=token)
    if config.head_init == "keep" and loaded.config.classes != len(classes):
        text = "head_init 'keep' needs a model with the data's {wanted} classes, this one has {found}; choose 'zero'"
        raise ConfigError(message("head_misfit", text, wanted=len(classes), found=loaded.config.classes))
    shape, more = loaded.config, _pool(config, loaded.config)
    if not shape.classes and shape.layer_scale is not None and shape.pool == "class":
        more = {"pool": "class+mean"} | more  # DINOv2's own classifier
    shape = replace(
        shape,
        classes=len(classes),
        pre_logits=shape.pre_logits if config.head_init == "keep" else 0,
        norm_after_pool=None if "pool" in more else shape.norm_after_pool,
        **_rates(config),
        **more,
    )
    model = VisionTransformer(shape, classes, loaded.preprocessing, loaded.origin)
    keep = config.head_init == "keep"
    heads = ("head.", "distillation_head.", "pre_logits.")
    state = {name: t for name, t in loaded.state_dict().items() if keep or not name.startswith(heads)}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith(heads) for name in missing), (missing, unexpected)
    return model if keep else _with_head(model, config)


def _rates(config: RunConfig) -> dict[str, float]:
    return {"dropout": config.dropout, "embedding_dropout": config.dropout, "drop_path": config.drop_path}


def _pool(config: RunConfig, shape: ViTConfig) -> dict[str, str]:
    return {} if config.pool is None or config.pool == shape.pool else {"pool": config.pool}


def _with_head(model: VisionTransformer, config: RunConfig) -> VisionTransformer:
    for head in (model.head, model.distillation_head):
        if head is not None:  # VisionTransformer begins with zeros, as the paper fine-tunes
            if config.head_init == "random":
                nn.init.trunc_normal_(head.weight, std=0.02)
            if config.head_init == "zero-no-bias":
                head.bias.requires_grad_(False)
    return model


def _resnet(config: RunConfig, classes: Sequence[str]) -> TrainedResNet:
    from torchvision.models import resnet18  # here, as torchvision.models is slow to import

    model, file = cast("TrainedResNet", resnet18()), config.model.partition(":")[2]
    if file:
        state = _resnet_state(Path(file))
        missing, unexpected = model.load_state_dict(
            {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}, strict=False
        )
        if unexpected or any(not name.startswith("fc.") and "num_batches" not in name for name in missing):
            text, names = "{file} does not hold torchvision's resnet18: {names}", (*missing, *unexpected)[:4]
            raise ConfigError(message("resnet_misfit", text, file=Path(file).name, names=names))
    model.fc = nn.Linear(512, len(classes), bias=config.head_init != "zero-no-bias")
    if config.head_init in ("zero", "zero-no-bias"):
        nn.init.zeros_(model.fc.weight)
        if model.fc.bias is not None:
            nn.init.zeros_(model.fc.bias)
    size = (config.resolution or 224, config.resolution or 224)
    pretrained = Preprocessing(size=size, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    model.preprocessing = pretrained if file else Preprocessing(size=size)
    model.labels = tuple(classes)
    return model


def _resnet_state(file: Path) -> dict:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has errors of its own
        text = "{file} cannot be read as weights of a ResNet-18: {reason}"
        raise ConfigError(message("resnet_unread", text, file=file.name, reason=error)) from error


def _freeze(model: nn.Module, config: RunConfig) -> None:
    for name, parameter in model.named_parameters():
        wanted = config.head_init != "zero-no-bias" or not name.endswith("head.bias")
        parameter.requires_grad_(wanted and _trains(model, name, config))


def _trains(model: nn.Module, name: str, config: RunConfig) -> bool:
    first = name.split(".")[0]
    if config.trainable == "all":
        return True
    if first in ("head", "distillation_head", "fc"):
        return True
    if config.trainable == "head":
        return False
    if not isinstance(model, VisionTransformer):
        text = "trainable: a number of blocks is for a ViT; a ResNet trains 'all' or 'head'"
        raise ConfigError(message("resnet_trainable", text))
    depth, last = model.config.depth, int(config.trainable)
    if last > depth:
        text = "trainable: the model has {depth} blocks, not {asked}"
        raise ConfigError(message("trainable_depth", text, depth=depth, asked=last))
    return first in ("norm", "pre_logits") or (first == "blocks" and int(name.split(".")[1]) >= depth - last)
