"""The command line that does again what a run did. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from training.config import RunConfig
from training.recipes import RECIPES, Recipe

NAMED = ("shapes", "cifar10", "cifar100", "pets", "flowers102")  # data sets
LENGTHS = ("steps", "epochs", "minutes")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?", re.ASCII)


def usual(config: RunConfig) -> dict[str, Any]:
    """What the recipe of this run sets for its data set; without a recipe of that name, the plain defaults."""
    recipe: Recipe | None = RECIPES.get(config.recipe)
    if recipe is not None:
        return recipe.config(data=config.data).to_dict()
    return {field.name: field.default for field in fields(RunConfig)}


def differences(config: RunConfig) -> dict[str, tuple[Any, Any]]:
    """field -> (what the recipe sets, what this run does) wherever the two differ; recipe, data and model left out."""
    theirs, ours = usual(config), config.to_dict()
    named = ("recipe", "data", "model")
    return {name: (theirs[name], ours[name]) for name in ours if name not in named and not _same(theirs, ours, name)}


def run_words(config: RunConfig, rates: Sequence[float] = ()) -> list[str]:
    """`run --recipe R --data D ...` (`sweep` with `rates`), with the fields that differ from the recipe's."""
    words = ["sweep" if rates else "run"]
    words += ["--recipe", config.recipe] if config.recipe in RECIPES else []
    words += ["--data", config.data, "--model", config.model]
    if rates:
        words += ["--rates", ",".join(f"{rate:.12g}" for rate in rates)]
    for name, (_, value) in differences(config).items():
        flag = name.replace("_", "-")
        if value is None and name in LENGTHS:
            continue  # the length that is given takes its place
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", written(value)]
    return words


def written(value: Any) -> str:
    """A field's value as `parse_field` reads it."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ",".join(":".join(map(written, item)) if isinstance(item, list | tuple) else written(item)
                        for item in value)  # fmt: skip
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def public_name(source: str) -> str:
    """A data set or model as others may read it: names stay, of a path on this machine only its last part does."""
    kind, colon, file = source.partition(":")
    if colon and kind == "resnet18":
        return f"resnet18:{Path(file).name}"
    if source in NAMED or (colon and kind in ("hf", "new")) or _hub_id(source):
        return source
    return Path(source).name or source


def base_model(config: RunConfig) -> str | None:
    """The Hub id that the run began with; None for random weights, files and the bundled model."""
    name = config.model.removeprefix("hf-hub:").partition("@")[0]
    return name if _hub_id(config.model) else None


def _hub_id(source: str) -> bool:
    """A file or folder of that name was made an absolute path when the run was created, so this is none."""
    return _HUB_ID.fullmatch(source.removeprefix("hf-hub:")) is not None


def _same(theirs: dict[str, Any], ours: dict[str, Any], name: str) -> bool:
    def listed(value: Any) -> Any:
        return [listed(item) for item in value] if isinstance(value, list | tuple) else value

    return listed(theirs[name]) == listed(ours[name])
