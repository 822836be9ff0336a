"""What a config.json declares, in ViTConfig's words: Hugging Face's here, other libraries' beside their formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vit_model.errors import CheckpointError, quoted
from vit_model.messages import message

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
            text, value = "config.json says {name} {value}; only {expected} is supported", quoted(config[name])
            raise CheckpointError(message("config_only", text, name=name, value=value, expected=repr(expected)))
    stated: dict[str, Any] = {
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
        text = "config.json: 'id2label' should map class numbers to names"
        raise CheckpointError(message("labels_map", text)) from error
    if found and (min(found) < 0 or max(found) >= 1_000_000):
        least, most = quoted(min(found)), quoted(max(found))
        text = "config.json: 'id2label' has the class number {least}, {most} at most"
        raise CheckpointError(message("labels_numbers", text, least=least, most=most))
    return class_labels(found, "id2label")


def class_labels(named: Mapping[int, object], field: str) -> dict[int, str]:
    """Names of classes as texts of a length that a list can show."""
    total = 0
    for index, label in named.items():
        if not isinstance(label, str | int | float):
            text = "config.json: {field} should name class {index} by a text, got {label}"
            raise CheckpointError(message("label_no_text", text, field=repr(field), index=index, label=quoted(label)))
        total += len(str(label))
        if len(str(label)) > MAX_LABEL:
            raise CheckpointError(
                message(
                    "label_long",
                    "config.json: {field} gives class {index} a name of {length} characters, {label}; expected at most "
                    "{most}: shorten it",
                    field=repr(field),
                    index=index,
                    length=f"{len(str(label)):,}",
                    label=quoted(label),
                    most=f"{MAX_LABEL:,}",
                )
            )
    if total > MAX_LABELS:
        text = (
            "config.json: the names of {field} have {total} characters together; expected at most {most}: shorten them"
        )
        raise CheckpointError(
            message("labels_long", text, field=repr(field), total=f"{total:,}", most=f"{MAX_LABELS:,}")
        )
    return {index: str(label) for index, label in named.items()}


def read_number(config: Mapping, name: str, least: int = 1) -> int:
    """A whole number of config.json. CheckpointError for anything else."""
    value = config[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < MAX_NUMBER:
        text = "config.json says {name} {value}; expected a whole number from {least}"
        raise CheckpointError(message("config_integer", text, name=name, value=quoted(value), least=least))
    return value


def read_rate(config: Mapping, name: str, default: float) -> float:
    """A number from 0 of config.json, `default` where it says none. CheckpointError for anything else."""
    value = config.get(name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e6:
        text = "config.json says {name} {value}; expected a number from 0, below a million"
        raise CheckpointError(message("config_number", text, name=name, value=quoted(value)))
    return float(value)


def read_size(config: Mapping, name: str) -> tuple[int, int]:
    """A size of config.json: (height, width). CheckpointError for anything else."""
    value = config[name]
    pair = [value, value] if isinstance(value, int) else value
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(type(s) is int and 0 < s < 2**16 for s in pair):
        got = value if isinstance(value, str) else quoted(value)
        text = "config.json says {name} {value}; expected a number from 1 to 65535 or two, [height, width]"
        raise CheckpointError(message("config_size", text, name=name, value=quoted(got)))
    return pair[0], pair[1]
