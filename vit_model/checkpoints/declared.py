"""What a config.json declares, in ViTConfig's words: Hugging Face's here, other libraries' beside their formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vit_model.errors import CheckpointError, quoted

MAX_NUMBER = 10**40  # beyond any model; floats end not far above
MAX_LABEL = 1000  # characters of one class's name
MAX_LABELS = 8_000_000  # of all together; ImageNet-21k has some 600,000


@dataclass(frozen=True)
class Declared:
    """`fields`: ViTConfig fields that the file states, to be held against the shapes. `assumed`: fields that shapes
    cannot tell and the file only implies. `image_size`: the size that the positions are for, where it is stated;
    `likely_size`: a size that may be it. `pool`: where stated. `heads_by_width`: of its library's models, beside the
    named sizes. `labels`: by class number."""

    fields: dict = field(default_factory=dict)
    assumed: dict = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    likely_size: tuple[int, int] | None = None
    pool: str | None = None
    heads_by_width: Mapping[int, int] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)


_HF_FIELDS = {
    "hidden_size": "width",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "intermediate_size": "mlp_width",
    "num_channels": "channels",
    "num_register_tokens": "registers",
}


def declare_hugging_face(config: Mapping, norm_eps: float) -> Declared:
    """What a config.json in Hugging Face's names says, also one that was written to add what a file lacks. `norm_eps`:
    where it does not say. CheckpointError for values that cannot be, and for variants that this model cannot be."""
    for name, expected in (("hidden_act", "gelu"), ("pooler_act", "tanh")):
        if config.get(name, expected) != expected:
            raise CheckpointError(f"config.json says {name} {quoted(config[name])}; only {expected!r} is supported")
    stated = {
        ours: read_number(config, theirs) for theirs, ours in _HF_FIELDS.items() if config.get(theirs) is not None
    }
    size = read_size(config, "image_size") if config.get("image_size") is not None else None
    if config.get("model_type") is not None:  # transformers' defaults for every one of these families
        stated.setdefault("heads", 12)
        size = size or (224, 224)
    if config.get("patch_size") is not None:
        stated["patch_size"] = read_size(config, "patch_size")
    if config.get("qkv_bias") is not None:
        stated["qkv_bias"] = bool(config["qkv_bias"])
    dropout = read_rate(config, "hidden_dropout_prob", 0.0)
    assumed = {
        "norm_eps": read_rate(config, "layer_norm_eps", norm_eps),
        "dropout": dropout,
        "embedding_dropout": dropout,
        "attention_dropout": read_rate(config, "attention_probs_dropout_prob", 0.0),
        "drop_path": read_rate(config, "drop_path_rate", 0.0),
        "layer_scale": read_rate(config, "layerscale_value", 1.0),
    }
    if isinstance(ours := config.get("vit_explorer"), Mapping):  # what our own saving adds for resuming a training
        assumed |= {name: read_rate(ours, name, assumed[name]) for name in ("drop_path", "embedding_dropout")}
    return Declared(stated, assumed, image_size=size, labels=class_names(config))


def class_names(config: Mapping) -> dict[int, str]:
    """`id2label`, by class number."""
    labels = config.get("id2label") or {}
    try:
        found = {int(index): label for index, label in labels.items()}
    except (AttributeError, ValueError) as error:
        raise CheckpointError("config.json: 'id2label' should map class numbers to names") from error
    if found and (min(found) < 0 or max(found) >= 1_000_000):
        least, most = quoted(min(found)), quoted(max(found))
        raise CheckpointError(f"config.json: 'id2label' has the class number {least}, {most} at most")
    return class_labels(found, "id2label")


def class_labels(named: Mapping[int, object], field: str) -> dict[int, str]:
    """Names of classes as texts of a length that a list can show."""
    total = 0
    for index, label in named.items():
        if not isinstance(label, str | int | float):
            raise CheckpointError(f"config.json: {field!r} should name class {index} by a text, got {quoted(label)}")
        total += len(str(label))
        if len(str(label)) > MAX_LABEL:
            raise CheckpointError(
                f"config.json: {field!r} gives class {index} a name of {len(str(label)):,} characters, "
                f"{quoted(label)}; expected at most {MAX_LABEL:,}: shorten it",
                "label_long",
                field=field,
                index=index,
                length=f"{len(str(label)):,}",
                most=f"{MAX_LABEL:,}",
            )
    if total > MAX_LABELS:
        raise CheckpointError(
            f"config.json: the names of {field!r} have {total:,} characters together; expected at most {MAX_LABELS:,}: "
            "shorten them"
        )
    return {index: str(label) for index, label in named.items()}


def read_number(config: Mapping, name: str, least: int = 1) -> int:
    """A whole number of config.json. CheckpointError for anything else."""
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < MAX_NUMBER:
        raise CheckpointError(f"config.json says {name} {quoted(value)}; expected a whole number from {least}")
    return value


def read_rate(config: Mapping, name: str, default: float) -> float:
    """A number from 0 of config.json, `default` where it says none. CheckpointError for anything else."""
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e6:
        raise CheckpointError(f"config.json says {name} {quoted(value)}; expected a number from 0, below a million")
    return float(value)


def read_size(config: Mapping, name: str) -> tuple[int, int]:
    """A size of config.json: (height, width). CheckpointError for anything else."""
    value = config[name]
    pair = [value, value] if isinstance(value, int) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(type(s) is int and 0 < s < 2**16 for s in pair):
        got = value if isinstance(value, str) else quoted(value)
        raise CheckpointError(
            f"config.json says {name} {quoted(got)}; expected a number from 1 to 65535 or two, [height, width]"
        )
    return pair[0], pair[1]
