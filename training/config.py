"""RunConfig: everything that decides one training run, checked once. Standard library only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from training.fields import FieldFacts, facts_of, run_field
from vit_model.errors import CodedError, quoted
from vit_model.messages import Message, message

Optimizer = Literal["sgd", "adam", "adamw", "muon"]
Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
Crop = Literal["none", "pad", "resized"]
HeadInit = Literal["zero", "zero-no-bias", "random", "keep"]


class ConfigError(CodedError):
    """An invalid field of a run; the message says which, what was expected, and what to do."""


def parse_stages(text: str) -> tuple[tuple[int, float], ...]:
    """`stages` as typed: "64:0.7,96:0.1". ValueError for anything else."""
    pairs = (part.split(":") for part in text.split(",") if part.strip())
    return tuple((int(pixels), float(share)) for pixels, share in pairs)


def parse_epochs(text: str) -> tuple[int, ...]:
    """Epochs as typed: "10,20". ValueError for anything else."""
    return tuple(int(part) for part in text.split(",") if part.strip())


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

    Raises ConfigError for invalid values.
    """

    recipe: str = run_field("custom", "source", "Recipe", "the named set of values that the others are changes to")
    data: str = run_field(
        "shapes",
        "source",
        "Data set",
        "shapes, cifar10, cifar100, pets, flowers102, hf:OWNER/NAME, a folder or an archive",
    )
    model: str = run_field(
        "bundled", "source", "Model", "bundled, a Hub id, a file or folder, new:SIZE such as new:Ti/16, or resnet18"
    )

    steps: int | None = run_field(
        None, "length", "Steps", "of the optimiser; one length is given: steps, epochs or minutes", low=1, high=10**9
    )
    epochs: float | None = run_field(
        None, "length", "Epochs", "passes over the training pictures", low=0, high=10**6, positive=True
    )
    minutes: float | None = run_field(None, "length", "Minutes", "of training", low=0, high=10**6, positive=True)

    batch: int = run_field(32, "main", "Batch size", "pictures a step", low=1, high=2**20)
    lr: float = run_field(0.01, "main", "Learning rate", "at its peak", low=0, high=1000, positive=True)
    resolution: int | None = run_field(None, "main", "Resolution", "pixels, or empty", low=1, high=4096)
    device: str = run_field("auto", "main", "Device", "auto: a GPU if any")

    head_init: HeadInit = run_field("zero", "model", "New head begins as", "zero: the paper's")
    trainable: str = run_field("all", "model", "What is trained", "all, head, or a number: the last blocks")
    pool: str | None = run_field(None, "model", "Pooling", "empty: as the checkpoint does")
    stages: tuple[tuple[int, float], ...] = run_field(
        (),
        "model",
        "Lower resolutions first",
        "pixels:share, such as 64:0.7",
        parse=parse_stages,
        expects=message("takes_stages", "pixels:share pairs such as 64:0.7"),
    )
    width: int | None = run_field(None, "model", "Width", "new models only", low=1, high=8192, new_only=True)
    depth: int | None = run_field(None, "model", "Depth", "new models only", low=1, high=128, new_only=True)
    heads: int | None = run_field(None, "model", "Heads", "new models only", low=1, high=128, new_only=True)
    patch_size: int | None = run_field(None, "model", "Patch size", "new models only", low=1, high=128, new_only=True)

    optimizer: Optimizer = run_field("sgd", "optimiser", "Optimiser", "muon: for the matrices of the blocks")
    schedule: Schedule = run_field("cosine", "optimiser", "Schedule", "after the warm-up")
    warmup: int = run_field(0, "optimiser", "Warm-up steps", "the rate rises from 0", low=0, high=10**9)
    accumulation: int = run_field(1, "optimiser", "Accumulation", "parts that a batch is cut into", low=1, high=2**20)
    clip: float = run_field(0.0, "optimiser", "Gradient clipping", "global norm; 0: none", low=0)
    weight_decay: float = run_field(0.0, "optimiser", "Weight decay", "0: none", low=0, high=100)
    decay_all: bool = run_field(False, "optimiser", "Decay biases and norms too")
    layer_decay: float = run_field(
        1.0, "optimiser", "Layer decay", "factor from each block to the one before", low=0.01, high=1
    )
    momentum: float = run_field(0.9, "optimiser", "Momentum", "SGD and Muon", low=0, high=1, below=True)
    beta1: float = run_field(0.9, "optimiser", "Beta 1", "Adam and AdamW", low=0, high=1, below=True)
    beta2: float = run_field(0.999, "optimiser", "Beta 2", "Adam and AdamW", low=0, high=1, below=True)

    crop: Crop = run_field("none", "augmentation", "Crop", "resized: a random part")
    crop_scale: float = run_field(
        0.25, "augmentation", "Smallest part", "share of the area, for resized", low=0.01, high=1
    )
    flip: bool = run_field(True, "augmentation", "Flip left and right")
    randaugment: int = run_field(0, "augmentation", "RandAugment", "operations a picture; 0: none", low=0, high=10)
    randaugment_magnitude: int = run_field(9, "augmentation", "RandAugment strength", "of 30", low=0, high=30)
    color_jitter: float = run_field(0.0, "augmentation", "Colour jitter", "strength; 0: none", low=0, high=1)
    downscale: float = run_field(
        0.0, "augmentation", "Downscale and enlarge", "share of pictures made to look small; 0: none", low=0, high=1
    )
    erasing: float = run_field(0.0, "augmentation", "Random erasing", "share of pictures", low=0, high=1)
    mixup: float = run_field(0.0, "augmentation", "Mixup", "alpha; 0: none", low=0, high=100)
    cutmix: float = run_field(0.0, "augmentation", "CutMix", "alpha; 0: none", low=0, high=100)
    label_smoothing: float = run_field(0.0, "augmentation", "Label smoothing", "0: none", low=0, high=1, below=True)
    dropout: float = run_field(0.0, "augmentation", "Dropout", "0: none", low=0, high=1, below=True)
    drop_path: float = run_field(0.0, "augmentation", "DropPath", "0: none", low=0, high=1, below=True)
    ema: float = run_field(0.0, "augmentation", "Weight average (EMA)", "decay; 0: none", low=0, high=1, below=True)

    held_out: float = run_field(
        0.1, "measuring", "Held-out share", "of the training pictures; 0: train on all", low=0, high=0.9
    )
    eval_every: int = run_field(0, "measuring", "Evaluate every", "steps; 0: once an epoch", low=0, high=10**9)
    patience: int = run_field(
        0, "measuring", "Patience", "evaluations without gain before it stops; 0: never", low=0, high=10**6
    )
    test_at: tuple[int, ...] = run_field(
        (),
        "measuring",
        "Test at epochs",
        "declared beforehand, such as 10,20",
        parse=parse_epochs,
        expects=message("takes_epochs", "epochs such as 10,20"),
    )
    checkpoint_every: int = run_field(
        0, "measuring", "Checkpoint every", "steps; 0: at each evaluation", low=0, high=10**9
    )
    keep_every: int = run_field(
        0, "measuring", "Keep for good every", "steps; 0: best and last only", low=0, high=10**9
    )
    log_every: int = run_field(10, "measuring", "Log every", "steps whose mean loss is one point", low=1, high=10**9)
    tensorboard: bool = run_field(False, "measuring", "Write TensorBoard files too")

    precision: Precision = run_field("fp32", "machine", "Precision", "fp16 needs a CUDA GPU")
    seed: int = run_field(42, "machine", "Seed", low=0, high=2**63 - 1)
    workers: int = run_field(0, "machine", "Loading processes", "for sets that do not fit in memory", low=0, high=64)
    compile: bool = run_field(False, "machine", "torch.compile")

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple((int(pixels), float(share)) for pixels, share in self.stages))
        object.__setattr__(self, "test_at", tuple(int(epoch) for epoch in self.test_at))
        for name, hint in _HINTS.items():
            _check_type(name, getattr(self, name), hint)
        lengths = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(lengths) != 1:
            given = " and ".join(lengths) or "none of them"
            raise ConfigError(
                message("config_lengths", "set exactly one of steps, epochs and minutes; got {given}", given=given)
            )
        for name, facts in FACTS.items():
            value = getattr(self, name)
            if value is None or not facts.limited:
                continue
            if not facts.contains(value):
                raise ConfigError(_range_message(name, value, facts))
            if facts.positive and not value > 0:
                text = "{field} must be greater than 0, got {value}"
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
        """Convert to a dict for JSON; tuples become lists."""
        return {name: _listed(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RunConfig:
        """Read back what `to_dict` wrote. ConfigError names unknown fields, so that none is lost in silence."""
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
        """Return a copy with these fields; a length (steps, epochs, minutes) replaces the former one."""
        if any(changes.get(name) is not None for name in LENGTHS):
            changes = dict.fromkeys(LENGTHS) | changes
        return replace(self, **changes)


def parse_field(name: str, text: str) -> Any:
    """Parse a field's value as typed on the command line or on the page. Lists: "64:0.7,96:0.1" for stages, "10,20" for
    test_at; "none" or nothing for an optional field; true/false for switches. ConfigError says what is expected."""
    if name not in _HINTS:
        text, names = "unknown field {name}; the fields are {names}", ", ".join(_HINTS)
        raise ConfigError(message("field_unknown", text, name=quoted(name), names=names))
    kind, text = _HINTS[name], text.strip()
    kinds = get_args(kind) or (kind,)
    try:
        if (parse := FACTS[name].parse) is not None:
            return parse(text)
        if type(None) in kinds and text.lower() in ("", "none"):
            return None
        if bool in kinds:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if int in kinds:
            return int(text)
        return float(text) if float in kinds else text
    except (ValueError, KeyError) as error:
        raise ConfigError(_kind_message(name, repr(text[:60]))) from error


def choices_of(name: str) -> tuple[str, ...]:
    """The words that a field takes; () where it takes any text or number."""
    kinds = get_args(_HINTS[name])
    return kinds if kinds and isinstance(kinds[0], str) else ()


def is_switch(name: str) -> bool:
    return _HINTS[name] is bool


def _check_type(name: str, value: Any, kind: Any) -> None:
    kinds = get_args(kind) or (kind,)
    if isinstance(kinds[0], str):  # a Literal
        if value not in kinds:
            text, names = "{field} must be one of {names}; got {value}", ", ".join(kinds)
            raise ConfigError(message("field_choice", text, field=name, names=names, value=quoted(value)))
    elif FACTS[name].parse is None:
        allowed = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
            raise ConfigError(_kind_message(name, quoted(value)))


def _range_message(name: str, value: Any, facts: FieldFacts) -> Message:
    """A number that is out of its range."""
    values = {"field": name, "low": facts.low, "high": facts.high, "value": value}
    if facts.high == math.inf:
        return message("field_low", "{field} must be at least {low}, got {value}", **values)
    if facts.below:
        return message("field_range_open", "{field} must be at least {low} and below {high}, got {value}", **values)
    return message("field_range", "{field} must be at least {low} and at most {high}, got {value}", **values)


def _kind_message(name: str, value: str) -> Message:
    """A value that is none of the field's kind."""
    return message("field_kind", "{field} expects {what}, got {value}", field=name, what=_described(name), value=value)


def _described(name: str) -> Message:
    """What a field takes."""
    kinds = get_args(_HINTS[name]) or (_HINTS[name],)
    if (expects := FACTS[name].expects) is not None:
        return expects
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
    """Return the largest batch out of a training set that can be cut into `parts`; all of it if it has fewer
    pictures."""
    return pictures // parts * parts or pictures


_HINTS: dict[str, Any] = {field.name: get_type_hints(RunConfig)[field.name] for field in fields(RunConfig)}
FACTS = facts_of(RunConfig)
LENGTHS = tuple(name for name, facts in FACTS.items() if facts.group == "length")
