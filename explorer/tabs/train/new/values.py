"""Conversion between RunConfig and the form's boxes: one text, choice or switch for each field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from training.command import written
from training.config import FACTS, LENGTHS, ConfigError, RunConfig, is_switch, parse_field
from training.recipes import Recipe
from vit_model.messages import message, message_of

_PLACED = ("source", "length", "main")  # groups that stand above the others

GROUPS = {
    group: tuple(name for name, facts in FACTS.items() if facts.group == group)
    for group in dict.fromkeys(facts.group for facts in FACTS.values())
    if group not in _PLACED
}
MAIN = tuple(name for name, facts in FACTS.items() if facts.group == "main")
SHAPE = tuple(name for name, facts in FACTS.items() if facts.new_only)
FIELDS = (*MAIN, *(name for group in GROUPS.values() for name in group))
"""Every field of a run with a box of its own; recipe, data, model and the length have theirs above."""

MOST_RATES = 12

_DEFAULTS = {field.name: field.default for field in fields(RunConfig)}


class FieldError(ConfigError):
    """An invalid value, and its field ("" if it is none in particular)."""

    def __init__(self, field: str, reason: str):
        super().__init__(reason)
        self.field = field


def shown(value: Any) -> str | bool:
    """Return a field's value as its box shows it, and as `parse_field` reads it."""
    if isinstance(value, bool | str):
        return value
    if value is None:
        return ""
    return written(value)


def recipe_values(recipe: Recipe, data: str) -> dict[str, str | bool]:
    """Return the values of the boxes for a recipe on a data set: all of FIELDS, "length" with its "unit", and "rates"
    to sweep."""
    config = recipe.config(data=data)
    unit = next(name for name in LENGTHS if getattr(config, name) is not None)
    length = {"length": shown(getattr(config, unit)), "unit": unit}
    return {name: shown(getattr(config, name)) for name in FIELDS} | length | {"rates": shown(tuple(recipe.sweep))}


def read_values(recipe: Recipe, data: str, model: str, values: Mapping[str, Any]) -> RunConfig:
    """Read the boxes as a RunConfig; `data` and `model` as the trainer takes them. FieldError for the first invalid
    box, ConfigError if boxes do not fit together."""
    read: dict[str, Any] = {"recipe": recipe.name, "data": data, "model": model} | dict.fromkeys(LENGTHS)
    unit = values["unit"]
    if unit not in LENGTHS:
        text = "a length is one of {names}; got {value}"
        raise FieldError("length", message("length_unit", text, names=", ".join(LENGTHS), value=repr(str(unit)[:40])))
    read[unit] = _parsed(unit, values["length"], "length")
    if read[unit] is None:
        raise FieldError("length", message("length_missing", "say how many {unit}", unit=unit))
    for name in FIELDS:
        read[name] = _parsed(name, values[name], name)
    try:
        return RunConfig.from_dict(read)
    except FieldError:
        raise
    except ConfigError as error:
        named = error.details.get("field")
        field = "length" if named in LENGTHS else named if named in FIELDS else ""
        raise FieldError(field, message_of(error)) from error


def read_rates(text: str | None) -> tuple[float, ...]:
    """Parse learning rates to try first, ascending; () for none. FieldError for anything else."""
    rates = sorted({_parsed("lr", part, "rates") for part in (text or "").split(",") if part.strip()})
    if any(not 0 < rate <= 1000 for rate in rates) or len(rates) > MOST_RATES:
        expected, got = "expected at most {most} learning rates above 0, got {text}", repr(str(text)[:60])
        raise FieldError("rates", message("rates_unread", expected, most=MOST_RATES, text=got))
    return tuple(rates)


def changed_fields(recipe: Recipe, data: str, model: str, values: Mapping[str, Any]) -> list[str]:
    """List the boxes that differ from the recipe's, as texts, so that a half-typed number counts too."""
    usual = recipe_values(recipe, data)
    changed = [name for name in (*FIELDS, "length", "rates") if _same(values[name]) != _same(usual[name])]
    if values["unit"] != usual["unit"]:
        changed.append("unit")
    own = [name for name, value in (("data", data), ("model", model)) if value != recipe.fields[name]]
    return own + changed


def moved_along(recipe: Recipe, data: str, model: str, values: Mapping[str, Any]) -> dict[str, str | bool]:
    """Return the boxes to change when the data set or the model does: the recipe differs by data set, and the shape
    that it gives its own new model is none for another. Only where a box still holds what the recipe says for some data
    set and model: one that somebody has changed stays."""
    others = [recipe_values(recipe, other) for other in (recipe.fields["data"], *recipe.by_data)]
    others += [other | dict.fromkeys(SHAPE, "") for other in others]
    wanted = recipe_values(recipe, data)
    if model != recipe.fields["model"]:
        wanted |= dict.fromkeys(SHAPE, "")
    untouched = [name for name in wanted if any(_same(values[name]) == _same(other[name]) for other in others)]
    return {name: wanted[name] for name in untouched if _same(values[name]) != _same(wanted[name])}


def _parsed(name: str, value: Any, field: str) -> Any:
    if isinstance(value, bool) and is_switch(name):
        return value
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > 500:
        text, got = "{field} expects a short text, got {value}", repr(str(value)[:60])
        raise FieldError(field, message("field_text", text, field=name, value=got))
    if not value.strip() and type(_DEFAULTS[name]) in (int, float):
        text, usual = "{field} is empty; its usual value is {usual}", shown(_DEFAULTS[name])
        raise FieldError(field, message("field_empty", text, field=name, usual=usual))
    try:
        return parse_field(name, value)
    except ConfigError as error:
        raise FieldError(field, message_of(error)) from error


def _same(value: Any) -> Any:
    """Normalise a value, so that texts of the same number compare equal: 1e-4 and 0.0001."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        return "" if text == "none" else text
