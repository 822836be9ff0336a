"""command_line: the command that starts the form's run in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from training.command import run_parts
from training.config import RunConfig
from training.recipes import recipe_named


def command_line(config: RunConfig, data: str, model: str, out: str, rates: Sequence[float] = ()) -> str:
    """Return `python -m training run ...` with the fields that differ from the recipe's, or `sweep` if there are
    `rates` to try first. `data` and `model` are written as given: of an upload, the file's own name."""
    recipe, named = recipe_named(config.recipe), {"--data": data, "--model": model}
    usual = set()
    if config.model == recipe.config(data=config.data).model:
        usual.add("--model")
    if tuple(rates) == tuple(recipe.sweep):
        usual.add("--rates")
    verb, *parts = run_parts(config, rates)
    lines = [("python", "-m", "training", *verb)]
    lines += [(flag, *(named.get(flag, value) for value in values)) for flag, *values in parts if flag not in usual]
    return " \\\n  ".join(shlex.join(line) for line in [*lines, ("--out", out)])
