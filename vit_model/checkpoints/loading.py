"""load_model: a checkpoint of any supported format -> VisionTransformer.

find -> read -> detect -> convert -> configure -> check -> assign -> resample, each step in a file of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vit_model.checkpoints import zoo
from vit_model.checkpoints.architecture import architecture, check_shapes
from vit_model.checkpoints.conversion import Converted, convert, missing_error
from vit_model.checkpoints.declared import Declared, class_names
from vit_model.checkpoints.detect import detect
from vit_model.checkpoints.format import Format
from vit_model.checkpoints.weights import Checkpoint, read_checkpoint
from vit_model.config import ViTConfig
from vit_model.errors import CheckpointError, quoted
from vit_model.messages import message, message_of
from vit_model.model import Origin, VisionTransformer
from vit_model.positions import METHODS
from vit_model.preprocess import Preprocessing

Bound = Callable[[ViTConfig], int]


@dataclass(frozen=True)
class Inspection:
    """A loaded model and what became of every tensor: their key -> our parameter, or "dropped: reason"."""

    model: VisionTransformer
    keys: dict[str, str]


def load_model(
    source: str | Path,
    *,
    image_size: int | Sequence[int] | None = None,
    interpolation: str | None = None,
    heads: int | None = None,
    progress: zoo.Progress | None = None,
    local_paths: bool = True,
    bound: Bound | None = None,
    token: str | bool | None = None,
) -> VisionTransformer:
    """A trained ViT, in eval mode with gradients off.

    - `source`: "bundled", a Hub id, a folder, or a .safetensors, .npz, .pth or .bin file; see `zoo.fetch`, which also
      takes `progress`, `local_paths` and `token`.
    - `image_size`: an int or (height, width); None for the size that the checkpoint's preprocessing makes. Positions
      are resampled by `interpolation`, None for the scheme of the library that the checkpoint comes from. For a file
      that does not tell the shape of its grid, it is also the size that its positions are for.
    - `heads`: for files without a config; inferred for the widths of the named sizes.
    - `bound`: most patches that the caller allows a model of that shape. A checkpoint whose own size makes more is
      opened at the largest size of its aspect that does not, and its `origin` says so.

    CheckpointError (a ValueError) says in words what is wrong with a checkpoint; ValueError what is wrong with a size
    or a scheme.
    """
    return inspect_model(
        source,
        image_size=image_size,
        interpolation=interpolation,
        heads=heads,
        progress=progress,
        local_paths=local_paths,
        bound=bound,
        token=token,
    ).model


def inspect_model(
    source: str | Path,
    *,
    image_size: int | Sequence[int] | None = None,
    interpolation: str | None = None,
    heads: int | None = None,
    progress: zoo.Progress | None = None,
    local_paths: bool = True,
    bound: Bound | None = None,
    token: str | bool | None = None,
) -> Inspection:
    """What `load_model` does, with an account of every tensor."""
    size: tuple[int, int] | None = None
    if image_size or image_size == 0:  # of another length: `at_size` refuses it in words
        pair = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        size = pair  # pyright: ignore[reportAssignmentType]
    if interpolation is not None and interpolation not in METHODS:
        raise ValueError(f"interpolation must be one of {', '.join(METHODS)}, got {quoted(interpolation)}")
    path = zoo.fetch(source, progress, local_paths, token)
    checkpoint = read_checkpoint(path)
    format = detect(checkpoint.tensors, checkpoint.config, checkpoint.files[0].name)
    converted = convert(format, checkpoint.tensors)
    own = checkpoint.config if format.whole_config else None
    if own or checkpoint.config is None:
        declared = Declared(labels=class_names(own or {}))
    else:
        declared = format.declare(checkpoint.config, format.norm_eps)
    state, notes = converted.state, checkpoint.notes
    if own:
        config = _own_config(own, state)
    else:
        config, state, more = architecture(format, converted, declared, heads, size)
        notes += more
    labels, more = _labels(declared.labels, config.classes)
    notes += more
    preprocessing, more = _preprocessing(format, checkpoint, converted, config)
    notes += more
    wanted, own_size = size or preprocessing.size, None
    if size is None and bound is not None and (largest := size_within(wanted, config.patch_size, bound(config))):
        wanted, own_size = largest, wanted
        made, asked = ("x".join(map(str, pair)) for pair in (wanted, own_size))
        notes += (f"its own size, {asked}, makes more patches than are allowed here: opened at {made}",)
    remembered = (checkpoint.config or {}).get("vit_explorer") or {}
    origin = Origin(
        source=str(source),
        format=format.name,
        checksum=checkpoint.checksum(),
        interpolation=_scheme(remembered, format),
        dropped=tuple(f"{key}: {reason}" for key, reason in converted.dropped.items()),
        notes=notes,
        own_size=own_size,
    )
    with torch.device("meta"):  # shapes only: the checkpoint's tensors become the parameters
        model = VisionTransformer(config, labels, preprocessing, origin)
    missing = check_shapes(format, model.state_dict(), state)
    if missing:
        raise missing_error(format, missing)
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)
    if wanted != config.image_size:
        model = model.at_size(wanted, interpolation)
    return Inspection(model, {key: f"dropped: {why}" for key, why in converted.dropped.items()} | converted.used)


def size_within(size: tuple[int, int], patch: tuple[int, int], most: int) -> tuple[int, int] | None:
    """The largest size of about the same aspect that makes at most so many patches; None where `size` does."""
    down, across = size[0] // patch[0], size[1] // patch[1]
    if down * across <= most:
        return None
    shrink = math.sqrt(max(most, 1) / (down * across))
    rows = max(min(math.floor(down * shrink), most), 1)
    columns = max(min(math.floor(across * shrink), most // rows), 1)
    return rows * patch[0], columns * patch[1]


def _own_config(config: Mapping, state: dict[str, Tensor]) -> ViTConfig:
    """The config that our own saving wrote. Blocks are made before their shapes are compared, so that there must not be
    more of them than the weights have."""
    try:
        found = ViTConfig.from_dict(config["vit_config"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason: str = message_of(error) if isinstance(error, ValueError) else quoted(error)
        text = "config.json says model_type 'vit_explorer', but its 'vit_config' is odd: {reason}"
        raise CheckpointError(message("own_config_odd", text, reason=reason)) from error
    if found.depth > len(state):
        text, depth = "config.json says depth {depth}, the weights have {count} tensors", quoted(found.depth)
        raise CheckpointError(message("depth_misfit", text, depth=depth, count=len(state)))
    return found


def _scheme(remembered: dict, format: Format) -> str:
    """The position scheme: the one that our own saving wrote down, else the format's."""
    scheme = remembered.get("interpolation", format.interpolation) if isinstance(remembered, dict) else None
    if scheme not in METHODS:
        text, names = "config.json says interpolation {value}; expected one of {names}", ", ".join(METHODS)
        raise CheckpointError(message("interpolation_unknown", text, value=quoted(scheme), names=names))
    return scheme


def _labels(declared: dict[int, str], classes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(labels, notes): by class number, gaps and empty names filled, as nobody could see or choose those; the ImageNet
    names for 1,000 classes that come without."""
    if not classes or (not declared and classes != 1000):
        return (), ()
    if not declared:
        from torchvision.models._meta import _IMAGENET_CATEGORIES  # here, as torchvision.models is slow to import

        return tuple(_IMAGENET_CATEGORIES), ("the checkpoint names no classes: 1,000 are taken for ImageNet's",)
    if max(declared) >= classes:
        text = "config.json names the class {number}, the weights have {count} classes, from 0"
        raise CheckpointError(message("class_beyond", text, number=max(declared), count=classes))
    named = {index: label for index, label in declared.items() if label.strip()}
    return tuple(named.get(index, f"class {index}") for index in range(classes)), ()


MAX_SIDE = 4096  # pixels that a checkpoint may ask for by itself; `image_size` may ask for more


def _preprocessing(
    format: Format, checkpoint: Checkpoint, converted: Converted, config: ViTConfig
) -> tuple[Preprocessing, tuple[str, ...]]:
    """(preprocessing, notes). Its size is that of the pictures it makes, which may differ from `config.image_size`."""
    native, declared = config.image_size, checkpoint.config or {}
    try:
        if checkpoint.preprocessor is not None:
            found = Preprocessing.from_hugging_face(checkpoint.preprocessor)
        elif isinstance(declared.get("pretrained_cfg"), dict):
            found = Preprocessing.from_timm(declared["pretrained_cfg"])
        else:
            found = None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:  # a file can say anything
        reason = str(error) if type(error) is ValueError else repr(error)  # the others' texts say little
        file = "config.json's pretrained_cfg" if checkpoint.preprocessor is None else "preprocessor_config.json"
        text = (
            "the preprocessing that comes with the checkpoint cannot be used: {reason}. Correct it in {file}, or leave "
            "it out for the usual one of its format"
        )
        raise CheckpointError(message("preprocessing_odd", text, reason=reason, file=file)) from error
    if found is None:
        found = format.usual(converted.plain)
        size = (224, 224) if native == (518, 518) else native  # DINOv2: trained at 518 px, used at 224
        if config.channels != len(found.mean):
            found = replace(found, mean=(0.5,) * config.channels, std=(0.5,) * config.channels)
        note = "no preprocessing comes with the checkpoint: the usual one of its format is taken"
        return found.at_size(size), (note,)
    if not all(1 <= side <= MAX_SIDE for side in found.size):
        text = "the preprocessing makes {size} pixels; expected 1 to {most} a side"
        raise CheckpointError(message("preprocessing_size", text, size=quoted(found.size), most=MAX_SIDE))
    if len(found.mean) not in (1, config.channels):
        text = "the preprocessing makes {made} channels, the model takes {taken}"
        raise CheckpointError(message("preprocessing_channels", text, made=len(found.mean), taken=config.channels))
    if any(size % patch for size, patch in zip(found.size, config.patch_size, strict=True)):
        made, wants = (f"{size[0]}x{size[1]}" for size in (found.size, native))
        return found.at_size(native), (
            f"its preprocessing makes {made}, which the patch does not divide: {wants} taken",
        )
    return found, ()
