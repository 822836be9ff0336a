"""RunConfig: everything that decides one training run, checked once. Standard library only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from vit_model.errors import CodedError, quoted
from vit_model.messages import Message, message

Optimizer = Literal["sgd", "adam", "adamw", "muon"]
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
Crop = Literal["none", "pad", "resized"]
HeadInit = Literal["zero", "zero-no-bias", "random", "keep"]


class ConfigError(CodedError):
    """A field of a run that cannot be meant; says which, what was expected, and what to do."""


@dataclass(frozen=True)
class RunConfig:
    """One training run. Lengths: `steps` of the optimiser, or `epochs`, or `minutes` of training; exactly one is set.

    What is trained
    - `data`: "shapes", "cifar10", "cifar100", "pets", "flowers102", "hf:owner/name", a folder or an archive.
    - `model`: whatever `load_model` takes; or "new:SIZE" with a name from `vit_model.SIZES` (e.g. "new:Ti/16"), random
      weights; or "resnet18", or "resnet18:FILE" with pretrained weights in torchvision's layout.
    - `width`, `depth`, `heads`, `patch_size`: for "new:SIZE" only, in place of that size's own.
    - `resolution`: side of the square input in pixels; None for the model's own. Positions are interpolated.
    - `stages`: lower resolutions to begin with, as (pixels, share of the run) pairs, e.g. ((64, 0.7),): 64 px for the
      first 70 % of the steps, then `resolution`.
    - `pool`: for the ViT, in place of the checkpoint's own; None keeps it.
    - `head_init`: "zero" (paper), "zero-no-bias" (a linear layer without bias), "random", "keep" (classes must agree).
    - `trainable`: "all", "head", or a number k: the last k blocks with the final norm and the head.

    How it is trained
    - `batch`: pictures in one optimiser step, over all processes and accumulated parts; `accumulation`: parts it is cut
      into. `lr` is the peak, after `warmup` steps, then `schedule` down to 0 at the end ("constant": not down).
    - `clip`: global norm of the gradient, 0 for none. `momentum` is SGD's and Muon's; `beta1`, `beta2` Adam's and
      AdamW's. Muon steps the matrices of the blocks, AdamW everything else. `layer_decay`: each block's
      learning rate is this factor times the next one's.
    - `weight_decay` leaves out biases, norms, tokens and positions, unless `decay_all`. For "sgd" and "adam" it is
      an L2 penalty, as in torch.
    - `mixup`, `cutmix`: alpha of their Beta distribution, 0 for none; with both, one is drawn for each batch.
    - `crop`: "none"; "pad": shifted by up to an eighth of the side, the edges black; "resized": a random part, at
      least `crop_scale` of the area, aspect 3:4 to 4:3. `flip`: left-right, half of the time.
    - `randaugment`: operations a picture, 0 for none, at `randaugment_magnitude` of 30. `erasing`: share of pictures
      with a random rectangle erased. `color_jitter`: strength of random brightness, contrast and saturation.
    - `downscale`: share of pictures that are shrunk to a quarter to an eighth of the input's side and enlarged again:
      for data whose classes come in pictures of unlike size, so that sharpness tells less of the class.
    - `ema`: decay of the exponential moving average of the weights that is evaluated and saved, 0 for none.
    - `precision`: fp32; bf16 by autocast; fp16 by autocast with loss scaling (CUDA only).

    What is measured
    - `held_out`: share of the training set that is not trained on and chooses the best checkpoint; 0 trains on all of
      it: no best checkpoint then, only the last. A data set with a split of its own for this uses that.
    - `eval_every` steps (0: once an epoch). `patience`: evaluations without a better accuracy before the run stops, 0
      for never. `test_at`: epochs at whose end the test set is read, declared beforehand; it is always read at the end.
    - `checkpoint_every` steps (0: at each evaluation); `keep_every`: a checkpoint every so many steps is kept for good.
    - `log_every` steps: mean training loss of these steps becomes one event.

    Raises ConfigError for values that cannot be meant.
    """

    recipe: str = "custom"
    data: str = "shapes"
    model: str = "bundled"
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    patch_size: int | None = None
    resolution: int | None = None
    stages: tuple[tuple[int, float], ...] = ()
    pool: str | None = None
    head_init: HeadInit = "zero"
    trainable: str = "all"

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch: int = 32
    accumulation: int = 1
    optimizer: Optimizer = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    decay_all: bool = False
    layer_decay: float = 1.0
    schedule: Schedule = "cosine"
    warmup: int = 0
    clip: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    crop: Crop = "none"
    crop_scale: float = 0.25
    flip: bool = True
    randaugment: int = 0
    randaugment_magnitude: int = 9
    color_jitter: float = 0.0
    downscale: float = 0.0
    erasing: float = 0.0
    dropout: float = 0.0
    drop_path: float = 0.0
    ema: float = 0.0
    precision: Precision = "fp32"
    compile: bool = False
    seed: int = 42
    device: str = "auto"
    workers: int = 0

    held_out: float = 0.1
    eval_every: int = 0
    patience: int = 0
    test_at: tuple[int, ...] = ()
    checkpoint_every: int = 0
    keep_every: int = 0
    log_every: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple((int(pixels), float(share)) for pixels, share in self.stages))
        object.__setattr__(self, "test_at", tuple(int(epoch) for epoch in self.test_at))
        for name, hint in _HINTS.items():
            _check_type(name, getattr(self, name), hint)
        lengths = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(lengths) != 1:
            given = " and ".join(lengths) or "none of them"
            raise ConfigError(
                message("config_lengths", "set exactly one of steps, epochs and minutes; got {given}", given=given)
            )
        for name, (low, high, closed) in _RANGES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not math.isfinite(value) or value < low or (value > high if closed else value >= high):
                raise ConfigError(_outside(name, value, low, high, closed))
        for name in ("lr", *lengths):
            if not getattr(self, name) > 0:
                text, value = "{field} must be greater than 0, got {value}", getattr(self, name)
                raise ConfigError(message("field_not_positive", text, field=name, value=value))
        if self.batch % self.accumulation:
            text = "a batch of {batch} cannot be cut into {parts} equal parts"
            raise ConfigError(message("batch_parts", text, batch=self.batch, parts=self.accumulation))
        if self.trainable not in ("all", "head") and not (self.trainable.isdigit() and int(self.trainable) > 0):
            text, value = "trainable must be 'all', 'head' or a number of blocks, got {value}", quoted(self.trainable)
            raise ConfigError(message("trainable_unknown", text, field="trainable", value=value))
        shares = [share for _, share in self.stages]
        if shares and (min(shares) <= 0 or sum(shares) >= 1):
            text = "the shares of stages must be above 0 and add up to less than 1, got {shares}"
            raise ConfigError(message("stages_shares", text, shares=shares))
        if self.stages and self.resolution is None:
            text = "stages lead up to a resolution: set it too"
            raise ConfigError(message("stages_resolution", text, field="stages"))
        if not self.data.strip() or not self.model.strip():
            raise ConfigError(message("no_source", "name a data set and a model"))

    def to_dict(self) -> dict[str, Any]:
        """For JSON; tuples become lists."""
        return {name: _listed(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """What `to_dict` wrote. ConfigError names unknown fields, so that none is lost in silence."""
        unknown = set(values) - set(_HINTS)
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ConfigError(message("fields_unknown", "unknown fields of a run: {names}", names=names))
        try:
            return cls(**{name: _tupled(value) for name, value in values.items()})
        except TypeError as error:  # a tuple of the wrong shape
            text = "a field of the run has the wrong shape: {reason}"
            raise ConfigError(message("field_shape", text, reason=error)) from error

    def having(self, **changes: Any) -> RunConfig:
        """A copy with these fields; a length (steps, epochs, minutes) takes the place of the former one."""
        lengths = {"steps", "epochs", "minutes"}
        if any(changes.get(name) is not None for name in lengths):
            changes = dict.fromkeys(lengths) | changes
        return replace(self, **changes)


def parse_field(name: str, text: str) -> Any:
    """A field's value as typed on the command line or on the page. Lists: "64:0.7,96:0.1" for stages, "10,20" for
    test_at; "none" or nothing for an optional field; true/false for switches. ConfigError says what is expected."""
    if name not in _HINTS:
        text, names = "unknown field {name}; the fields are {names}", ", ".join(_HINTS)
        raise ConfigError(message("field_unknown", text, name=quoted(name), names=names))
    kind, text = _HINTS[name], text.strip()
    kinds = get_args(kind) or (kind,)
    try:
        if name == "stages":
            pairs = (part.split(":") for part in text.split(",") if part.strip())
            return tuple((int(pixels), float(share)) for pixels, share in pairs)
        if name == "test_at":
            return tuple(int(part) for part in text.split(",") if part.strip())
        if type(None) in kinds and text.lower() in ("", "none"):
            return None
        if bool in kinds:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if int in kinds:
            return int(text)
        return float(text) if float in kinds else text
    except (ValueError, KeyError) as error:
        raise ConfigError(_unfit(name, repr(text[:60]))) from error


def _check_type(name: str, value: Any, kind: Any) -> None:
    kinds = get_args(kind) or (kind,)
    if isinstance(kinds[0], str):  # a Literal
        if value not in kinds:
            text, names = "{field} must be one of {names}; got {value}", ", ".join(kinds)
            raise ConfigError(message("field_choice", text, field=name, names=names, value=quoted(value)))
    elif name not in ("stages", "test_at"):
        allowed = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
            raise ConfigError(_unfit(name, quoted(value)))


def _outside(name: str, value: Any, low: float, high: float, closed: bool) -> Message:
    """A number that is out of its range."""
    values = {"field": name, "low": low, "high": high, "value": value}
    if high == math.inf:
        return message("field_low", "{field} must be at least {low}, got {value}", **values)
    if closed:
        return message("field_range", "{field} must be at least {low} and at most {high}, got {value}", **values)
    return message("field_range_open", "{field} must be at least {low} and below {high}, got {value}", **values)


def _unfit(name: str, value: str) -> Message:
    """A value that is none of the field's kind."""
    return message("field_kind", "{field} expects {what}, got {value}", field=name, what=_described(name), value=value)


def _described(name: str) -> Message:
    """What a field takes."""
    kinds = get_args(_HINTS[name]) or (_HINTS[name],)
    if name == "stages":
        return message("takes_stages", "pixels:share pairs such as 64:0.7")
    if name == "test_at":
        return message("takes_epochs", "epochs such as 10,20")
    if isinstance(kinds[0], str):
        return message("takes_choice", "one of {names}", names=", ".join(kinds))
    words = {
        int: message("takes_integer", "a whole number"),
        float: message("takes_number", "a number"),
        bool: message("takes_switch", "true or false"),
        str: message("takes_text", "text"),
    }
    (kind,) = (words[kind] for kind in kinds if kind is not type(None))
    return message("takes_none_too", "{what} or none", what=kind) if type(None) in kinds else kind


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


def largest_batch(pictures: int, parts: int) -> int:
    """The largest batch out of a training set that can be cut into `parts`; all of it where it has fewer pictures."""
    return pictures // parts * parts or pictures


_HINTS: dict[str, Any] = {field.name: get_type_hints(RunConfig)[field.name] for field in fields(RunConfig)}
_RANGES: dict[str, tuple[float, float, bool]] = {  # lowest, highest, whether the highest is allowed
    "width": (1, 8192, True),
    "depth": (1, 128, True),
    "heads": (1, 128, True),
    "patch_size": (1, 128, True),
    "resolution": (1, 4096, True),
    "steps": (1, 10**9, True),
    "epochs": (0, 10**6, True),
    "minutes": (0, 10**6, True),
    "batch": (1, 2**20, True),
    "accumulation": (1, 2**20, True),
    "lr": (0, 1000, True),
    "momentum": (0, 1, False),
    "beta1": (0, 1, False),
    "beta2": (0, 1, False),
    "weight_decay": (0, 100, True),
    "layer_decay": (0.01, 1, True),
    "warmup": (0, 10**9, True),
    "clip": (0, math.inf, False),
    "label_smoothing": (0, 1, False),
    "mixup": (0, 100, True),
    "cutmix": (0, 100, True),
    "crop_scale": (0.01, 1, True),
    "randaugment": (0, 10, True),
    "randaugment_magnitude": (0, 30, True),
    "color_jitter": (0, 1, True),
    "downscale": (0, 1, True),
    "erasing": (0, 1, True),
    "dropout": (0, 1, False),
    "drop_path": (0, 1, False),
    "ema": (0, 1, False),
    "seed": (0, 2**63 - 1, True),
    "workers": (0, 64, True),
    "held_out": (0, 0.9, True),
    "eval_every": (0, 10**9, True),
    "patience": (0, 10**6, True),
    "checkpoint_every": (0, 10**9, True),
    "keep_every": (0, 10**9, True),
    "log_every": (1, 10**9, True),
}
