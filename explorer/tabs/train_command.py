"""command_line: the run that the form describes, as one would start it in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields

from explorer.tabs.train_values import LENGTHS, shown
from training.config import RunConfig
from training.recipes import recipe_named


def command_line(config: RunConfig, data: str, model: str, out: str, rates: Sequence[float] = ()) -> str:
    """`python -m training run ...` with the fields that differ from the recipe's, or `sweep` where there are `rates` to
    try first. `data` and `model` are what to write for the two: of an upload, the file's own name."""
    return " \\\n  ".join(
        " ".join(shlex.quote(word) for word in words) for words in command_words(config, data, model, out, rates)
    )


def command_words(
    config: RunConfig, data: str, model: str, out: str, rates: Sequence[float] = ()
) -> Sequence[tuple[str, ...]]:
    """The command's words, those that belong together in one tuple."""
    recipe = recipe_named(config.recipe)
    usual = recipe.config(data=config.data)
    verb = "sweep" if rates else "run"
    words = [("python", "-m", "training", verb, "--recipe", config.recipe), ("--data", data)]
    if rates and tuple(rates) != tuple(recipe.sweep):
        words.append(("--rates", str(shown(tuple(rates)))))
    if config.model != usual.model:
        words.append(("--model", model))
    for field in fields(RunConfig):
        value = getattr(config, field.name)
        if field.name in ("recipe", "data", "model") or value == getattr(usual, field.name):
            continue
        if value is None and field.name in LENGTHS:
            continue  # the length that is given takes its place
        flag = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append((f"--{flag}" if value else f"--no-{flag}",))
        else:
            words.append((f"--{flag}", "none" if value is None else str(shown(value))))
    return [*words, ("--out", out)]
