"""Scenes, which are pictures traced by models, in caches shared by all visitors and keyed by content.

Nothing is remembered per visitor: a scene is derived from (model, size, picture file) at each request, and only found
faster the second time. So a restarted server loses nothing, and no visitor can reach what another brought.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.analysis.explain.gradients import Gradients, class_gradients
from explorer.device import ZERO_GPU, best_device, on_gpu, resting_device
from explorer.session.batches import BATCHES
from explorer.session.cache import ByteCache
from explorer.session.turns import TURNS
from vit_model import CropBox, Trace, VisionTransformer, ViTConfig, load_model
from vit_model.checkpoints.architecture import SQUARE_ASSUMED
from vit_model.checkpoints.zoo import check_access
from vit_model.errors import CodedError
from vit_model.files.regular import open_regular
from vit_model.messages import message
from vit_model.picture import MAX_BYTES, picture_hash, read_picture

GIB = 1024**3
KEPT = 8
"""How many pictures' traces are kept unless the host sets a bound in bytes: enough for a few visitors at a time, while
memory stays flat however many come. Making one again takes a forward pass."""

MAX_PATCHES = int(os.environ.get("VIT_EXPLORER_MAX_PATCHES", 4096))
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ModelChoice:
    """A model as a visitor chose it: `source` is whatever `load_model` takes, `name` what the page calls it, and
    `size` (height, width) in pixels or None for the model's own. `token`: with whose rights it comes from the Hub, as
    in `hub.download`; only what the host chose has None, the host's own."""

    source: str = "bundled"
    name: str = "bundled"
    size: tuple[int, int] | None = None
    token: str | bool | None = field(default=False, repr=False, compare=False)


@dataclass(frozen=True)
class Scene:
    """One picture seen by one model: the original (RGB, upright), its hash, the pixels [1, C, h, w] made from it, the
    box of the original that they show, and the trace of one forward pass. `resizing`: (size, interpolation) where
    `model` is the chosen one at another size. `again` makes the same scene from the visitor's file, and holds nothing
    of this one; None for a picture that is no file."""

    model: VisionTransformer
    choice: ModelChoice
    picture: Image.Image
    picture_hash: str
    pixels: Tensor
    box: CropBox
    trace: Trace
    resizing: tuple[tuple[int, int], str | None] | None = None
    again: Callable[[], Scene] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The model's name on the page; of a path only its end, since downloaded files hold it too."""
        name = self.choice.name
        return Path(name).name if name == self.choice.source and os.path.exists(os.path.expanduser(name)) else name

    @property
    def model_key(self) -> str:
        """A key that changes with the model and its size."""
        size = "x".join(map(str, self.model.config.image_size))
        method = f"-{self.resizing[1]}" if self.resizing else ""
        return f"{_identity(self.model)}-{size}{method}"

    @property
    def key(self) -> str:
        """A key that changes with the model, its size and the picture."""
        return f"{self.model_key}-{self.picture_hash[:16]}"

    @property
    def nbytes(self) -> int:
        return self.trace.nbytes + self.pixels.nbytes + 4 * self.picture.width * self.picture.height  # Pillow pads RGB

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the most probable labels with their softmax probabilities; empty for a model without a head."""
        if not self.model.config.classes:
            return []
        probabilities = self.trace.logits[0].float().softmax(-1)
        values, indices = probabilities.topk(min(count, len(probabilities)))
        return [(self.model.labels[i], v) for i, v in zip(indices.tolist(), values.tolist(), strict=True)]


_MODELS: ByteCache[VisionTransformer] = ByteCache(
    int(os.environ.get("VIT_EXPLORER_MODEL_BYTES", 4 * GIB)), 6 * 3600, lambda model: _model_bytes(model)
)


def _of_pictures(setting: str, max_bytes: int) -> ByteCache[Any]:
    """Make a cache for the results of forward passes: of as many bytes as the host has set, else of `KEPT` pictures
    within `max_bytes`."""
    given = os.environ.get(setting)
    return ByteCache(int(given or max_bytes), 3600, lambda value: value.nbytes, most=None if given else KEPT)


_SCENES: ByteCache[Scene] = _of_pictures("VIT_EXPLORER_TRACE_BYTES", int(1.5 * GIB))
_GRADIENTS: ByteCache[Gradients] = _of_pictures("VIT_EXPLORER_GRADIENT_BYTES", GIB // 2)


def get_model(choice: ModelChoice, progress: Progress | None = None) -> VisionTransformer:
    """Return the chosen model, loaded once for all visitors. A file that has changed since is read again. Raises
    HubError for a visitor whom the Hub does not show the model, also if it is in the cache."""
    path = os.path.expanduser(choice.source)
    if os.path.isabs(path) and not os.path.exists(path):
        if choice.source == choice.name:  # a path as the visitor typed it
            text = "there is no file or folder {name} on this host; check its spelling"
            raise CodedError(message("no_such_path", text, name=choice.name))
        text = (
            "the files of {name} are no longer on this host; upload or open them again, or, if they are a run's, "
            "choose its newest checkpoint"
        )
        raise CodedError(message("files_gone", text, name=choice.name))
    native = _MODELS.get(
        (choice.source, _fingerprint(choice.source)),
        lambda: load_model(choice.source, progress=progress, bound=most_patches, token=choice.token),
    ).to(resting_device())
    check_access(choice.source, choice.token)  # it may have come with another's rights
    if choice.size is None:
        return native
    # The size says which grid the positions are on, or they were resampled already
    if could_be_other_than_square(native) or native.origin.own_size:
        _check_patches(native, choice.size)
        key = (choice.source, _fingerprint(choice.source), choice.size)
        return _MODELS.get(key, lambda: load_model(choice.source, image_size=choice.size, token=choice.token)).to(
            resting_device()
        )
    return resized(native, choice.size)


def could_be_other_than_square(model: VisionTransformer) -> bool:
    """Return whether the grid of the model's positions was assumed to be square, since its files do not say."""
    return any(SQUARE_ASSUMED in note for note in model.origin.notes)


def resized(model: VisionTransformer, size: tuple[int, int], interpolation: str | None = None) -> VisionTransformer:
    """`model.at_size` within what this host allows."""
    if size == model.config.image_size:
        return model
    _check_patches(model, size)
    return model.at_size(size, interpolation)


def most_patches(config: ViTConfig) -> int:
    """Return how many patches this host allows a model: at most MAX_PATCHES, and no more than a trace may have that the
    cache can keep. A larger trace would be made anew at every request."""
    return max(min(MAX_PATCHES, _SCENES.max_bytes // token_bytes(config) - config.prefix), 1)


def token_bytes(config: ViTConfig) -> int:
    """Count the bytes of a trace for each token: the residual stream before each block and after the last, and queries,
    keys, values and head outputs of each, in float32."""
    return 4 * config.width * (5 * config.depth + 1)


def _check_patches(model: VisionTransformer, size: tuple[int, int]) -> None:
    patches = (size[0] // model.config.patch_size[0]) * (size[1] // model.config.patch_size[1])
    most = most_patches(model.config)
    if patches > most:
        text = "{height}x{width} pixels would make {patches} patches; this host allows {most}{why}"
        why: str = ""
        if most < MAX_PATCHES:
            because = " for a model of this depth and width, as {count} would need more memory than it gives"
            why = message("patches_of_model", because, count=MAX_PATCHES)
        details = {"height": size[0], "width": size[1], "patches": patches, "most": most, "why": why}
        raise CodedError(message("too_many_patches", text, **details))


def scene_of(choice: ModelChoice, picture_file: str | Path, progress: Progress | None = None) -> Scene:
    """Read the picture, run the model over it once, and keep the scene."""
    model = get_model(choice, progress)
    with open_regular(picture_file, MAX_BYTES) as file:
        digest = hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()
        key = (choice.name, _identity(model), model.config.image_size, digest)

        def make() -> Scene:
            file.seek(0)
            picture = read_picture(file)
            return _seen(model, choice, picture, picture_hash(picture), again=lambda: scene_of(choice, picture_file))

        return _SCENES.get(key, make)


def scene_at_size(scene: Scene, size: tuple[int, int], interpolation: str | None = None) -> Scene:
    """Return the scene of the same picture by the same model at another size, its positions resampled by
    `interpolation` (None: by the scheme of the checkpoint's origin); run once, as in `scene_of`."""
    model = resized(scene.model, size, interpolation)
    if model is scene.model:
        return scene
    resizing = (size, interpolation or model.origin.interpolation)
    key = (scene.name, scene.key, *resizing)
    again = scene.again and _again(scene.again, lambda seen: scene_at_size(seen, size, interpolation))
    return _SCENES.get(key, lambda: _seen(model, scene.choice, scene.picture, scene.picture_hash, resizing, again))


def with_model(scene: Scene, choice: ModelChoice) -> Scene:
    """Return the scene of the same picture by another model, run once, as in `scene_of`."""
    model = get_model(choice)
    key = (choice.name, _identity(model), model.config.image_size, scene.picture_hash)
    again = scene.again and _again(scene.again, lambda seen: with_model(seen, choice))
    return _SCENES.get(key, lambda: _seen(model, choice, scene.picture, scene.picture_hash, again=again))


def with_picture(scene: Scene, picture: Image.Image) -> Scene:
    """Return the scene of another picture, RGB and upright, by the same model, run once, as in `scene_of`."""
    hashed = picture_hash(picture)
    key = (scene.name, scene.model_key, hashed)
    return _SCENES.get(key, lambda: _seen(scene.model, scene.choice, picture, hashed, scene.resizing))


def _again(before: Callable[[], Scene], then: Callable[[Scene], Scene]) -> Callable[[], Scene]:
    """Return how to make a scene again that was made from another. A function of its own, so that it holds neither."""
    return lambda: then(before())


def gradients_of(scene: Scene, target: int, against: int | None = None) -> Gradients:
    """Return `class_gradients` of the scene, made once: one forward and one backward pass for all methods and choices
    that need no more. Only these detached tensors are kept, never the differentiable trace that they come from."""

    def make() -> Gradients:
        if ZERO_GPU:
            arrays = _gradients_on_zero_gpu(scene.choice, scene.pixels.numpy(), (target, against), scene.resizing)
            outputs, of_pixels = _map_tensors(torch.from_numpy, arrays)
            return Gradients(outputs, of_pixels, target, against)
        with TURNS.slow():
            return class_gradients(scene.model, scene.pixels.to(scene.trace.logits.device), target, against)

    return _GRADIENTS.get((scene.key, target, against), make)


def _seen(
    model: VisionTransformer,
    choice: ModelChoice,
    picture: Image.Image,
    hashed: str,
    resizing: tuple | None = None,
    again: Callable[[], Scene] | None = None,
) -> Scene:
    """Make the picture's scene by one forward pass."""
    pixels, box = model.preprocess(picture)
    if ZERO_GPU:
        parts = _trace_on_zero_gpu(choice, pixels.numpy(), resizing)
        trace = Trace(**{name: _map_tensors(torch.from_numpy, value) for name, value in parts.items()})
    else:
        trace = BATCHES.trace(model, pixels.to(resting_device()))
    return Scene(model, choice, picture, hashed, pixels, box, trace, resizing, again)


# These two run in ZeroGPU's forked worker, which may be gone before a tensor in shared memory is read: numbers go in
# and come out as numpy arrays.


def _trace(choice: ModelChoice, pixels: np.ndarray, resizing: tuple | None) -> dict[str, Any]:
    model, moved = on_best_device(choice, pixels, resizing)
    return {name: _map_tensors(Tensor.numpy, value) for name, value in vars(model.trace(moved).to("cpu")).items()}


def _gradients(
    choice: ModelChoice, pixels: np.ndarray, classes: tuple[int, int | None], resizing: tuple | None
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    model, moved = on_best_device(choice, pixels, resizing)
    found = class_gradients(model, moved, *classes)
    return _map_tensors(lambda tensor: tensor.cpu().numpy(), (found.outputs, found.pixels))


def on_best_device(choice: ModelChoice, pixels: np.ndarray, resizing: tuple | None) -> tuple[VisionTransformer, Tensor]:
    """Return the chosen model, and pixels that came as an array, on the device where forwards run."""
    model, device = get_model(choice), best_device()
    if resizing is not None:
        model = resized(model, *resizing)
    return model.to(device), torch.from_numpy(pixels).to(device)


def _map_tensors(function: Callable, value: Any) -> Any:
    """Apply `function` to a tensor or array, or to each in a tuple of them; return anything else as it is."""
    if isinstance(value, Tensor | np.ndarray):
        return function(value)
    return tuple(_map_tensors(function, item) for item in value) if isinstance(value, tuple) else value


_trace_on_zero_gpu = on_gpu(_trace)
_gradients_on_zero_gpu = on_gpu(_gradients)


def parse_size(text: str | None, patch_size: Sequence[int]) -> tuple[int, int] | None:
    """ "384" or "224x448" (height x width) -> (h, w); empty or "native" -> None. ValueError says what is expected."""
    text = (text or "").strip().lower().replace("×", "x").replace(" ", "")
    if text in ("", "native"):
        return None
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        one, two, got = 24 * patch_size[0], f"{14 * patch_size[0]}x{28 * patch_size[1]}", repr(text[:40])
        expected = "a size is one number or height x width in pixels, such as {one} or {two}; got {got}"
        raise CodedError(message("size_unread", expected, one=one, two=two, got=got))
    if any(len(part) > 5 for part in parts):
        side, got = math.isqrt(MAX_PATCHES), text[:40]
        most = f"{side * patch_size[0]}x{side * patch_size[1]}"
        expected = "a size of {got} is too large; this host allows {patches} patches, which is {most} pixels"
        raise CodedError(message("size_too_large", expected, got=got, patches=MAX_PATCHES, most=most))
    sides = [int(part) for part in parts]
    return (sides[0], sides[-1])


def _identity(model: VisionTransformer) -> str:
    """Return a text that differs between models. The checksum is not enough: it is of the weights alone, while two
    configs may name different labels or preprocessing."""
    parts = (model.origin.checksum, model.origin.interpolation, model.config, model.labels, model.preprocessing)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _model_bytes(model: VisionTransformer) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _fingerprint(source: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of the files behind a local source, so that a retrained checkpoint is read again."""
    path = Path(source)
    if not os.path.exists(path):  # False, too, for what is too long to be a name
        return ()
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
