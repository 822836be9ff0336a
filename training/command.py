"""The command line that repeats a run. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from training.config import LENGTHS, RunConfig
from training.recipes import RECIPES

NAMED = ("shapes", "cifar10", "cifar100", "pets", "flowers102")  # data sets
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?", re.ASCII)


def differences(config: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Compare a run with its recipe: field -> (the recipe's value for this data set, the run's value) wherever the two
    differ; recipe, data and model left out. A run without a recipe of that name is compared with the plain defaults."""
    recipe = RECIPES.get(config.recipe)
    theirs = recipe.config(data=config.data).to_dict() if recipe else _DEFAULTS
    return _differing(theirs, config)


def run_words(config: RunConfig, rates: Sequence[float] = ()) -> list[str]:
    """Return `run --recipe R --data D ...` (`sweep` with `rates`), with the fields that differ from the recipe's."""
    return [word for part in run_parts(config, rates) for word in part]


def run_parts(config: RunConfig, rates: Sequence[float] = ()) -> list[tuple[str, ...]]:
    """Return the same words, grouped: the verb with its recipe, then each flag with its value;
    data, model and rates always among them."""
    recipe = RECIPES.get(config.recipe, RECIPES["adamw"])  # without --recipe the command line takes that one
    parts = [("sweep" if rates else "run", "--recipe", recipe.name), ("--data", config.data), ("--model", config.model)]
    if rates:
        parts.append(("--rates", ",".join(map(written, rates))))
    for name, (_, value) in _differing(recipe.config(data=config.data).to_dict(), config).items():
        flag = name.replace("_", "-")
        if value is None and name in LENGTHS:
            continue  # the length that is given takes its place
        if isinstance(value, bool):
            parts.append((f"--{flag}" if value else f"--no-{flag}",))
        else:
            parts.append((f"--{flag}", written(value)))
    return parts


def written(value: Any) -> str:
    """Write a field's value as `parse_field` reads it."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(":".join(map(written, item)) if isinstance(item, list | tuple) else written(item)
                        for item in value)  # fmt: skip
    short = f"{value:.12g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)


def public_name(source: str) -> str:
    """A data set or model as others may read it: names stay, of a path on this machine, written as on any system, only
    its last part does."""
    kind, colon, file = source.partition(":")
    if colon and kind == "resnet18":
        return f"resnet18:{_last_part(file)}"
    if source in NAMED or (colon and kind in ("hf", "new")):
        return source
    return source.removeprefix("hf-hub:") if _hub_id(source) else _last_part(source)


def base_model(config: RunConfig) -> str | None:
    """Return the Hub id that the run began with; None for random weights, files and the bundled model."""
    name = config.model.removeprefix("hf-hub:").partition("@")[0]
    return name if _hub_id(config.model) else None


def _hub_id(source: str) -> bool:
    """Return whether a source is a Hub id: a file or folder of that name became an absolute path when the run was
    created."""
    return _HUB_ID.fullmatch(source.removeprefix("hf-hub:")) is not None


def _last_part(path: str) -> str:
    name = PurePosixPath(path).name
    return (PureWindowsPath(name).name if "\\" in name else name) or path


def _differing(theirs: dict[str, Any], config: RunConfig) -> dict[str, tuple[Any, Any]]:
    ours, named = config.to_dict(), ("recipe", "data", "model")
    return {name: (theirs[name], ours[name]) for name in ours if name not in named and theirs[name] != ours[name]}


_DEFAULTS = {field.name: [] if field.default == () else field.default for field in fields(RunConfig)}
