"""The form of a new run: boxes for every field, filled by a recipe, and read as a command and as a RunConfig."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from explorer.tabs.train.field_words import label_key
from explorer.tabs.train.new.command.command import command_line
from explorer.tabs.train.new.command.view import TrainCommandView
from explorer.tabs.train.new.sources import (
    UPLOAD,
    data_source,
    model_source,
    upload_name,
)
from explorer.tabs.train.new.values import (
    FIELDS,
    GROUPS,
    changed_fields,
    moved_along,
    read_rates,
    read_values,
    recipe_values,
)
from explorer.tabs.train.runs.access import RunAccess
from explorer.ui.errors import plain_errors, reason_of
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.visitors.uploads import WEIGHTS
from explorer.ui.words import language_of, say
from training.config import ConfigError, RunConfig
from training.recipes import Recipe, recipe_named
from training.runs import bounds

QUIET: dict[str, Any] = {
    "api_visibility": "private",
    "queue": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}
FILLED = ("length", "unit", "rates", *FIELDS)
CHINESE = json.loads((Path(__file__).parent / "recipes.zh.json").read_text("utf-8"))  # name -> (source, expected)


@dataclass(frozen=True)
class Form:
    """The components of the form. `inputs` in the order in which `read` takes their values."""

    access: RunAccess
    recipe: gr.Dropdown
    about: gr.Markdown
    data: gr.Dropdown
    archive: gr.File
    model: gr.Dropdown
    weights: gr.File
    name: gr.Textbox
    length: gr.Textbox
    unit: gr.Dropdown
    rates: gr.Textbox
    boxes: dict[str, Any]
    command: TrainCommandView

    @property
    def inputs(self) -> list:
        sources = [self.recipe, self.data, self.archive, self.model, self.weights, self.name]
        return [*sources, *self.filled]

    @property
    def filled(self) -> list:
        """The boxes that a recipe fills, apart from data and model; in the order of FILLED."""
        return [self.length, self.unit, self.rates, *(self.boxes[name] for name in FIELDS)]

    @property
    def typed(self) -> list:
        """The boxes that a person types or chooses in, apart from the recipe."""
        return [self.data, self.model, *self.filled]

    def recheck(self, event: Dependency) -> None:
        """Bring the command up to date after an event that has changed a box."""

        @plain_errors
        def check(request: gr.Request, *values):
            return checked(self, request, values)

        event.then(check, self.inputs, self.command, **QUIET)

    def read(self, request: gr.Request | None, values: Sequence) -> Filled:
        """Read the boxes. FieldError, ConfigError or ValueError, in the visitor's language, if they describe no run."""
        filled = Filled.of(values)
        local = self.access.is_open(request)
        recipe = filled.chosen
        data = data_source(filled.data, filled.archive, local, request)
        model = model_source(filled.model, filled.weights, local, request)
        config = read_values(recipe, data, model, filled.boxes)
        rates = read_rates(filled.boxes["rates"])
        if not local:
            bounds.VISITOR.check_config(config, rates)
        return replace(filled, config=config, rates=rates)


@dataclass(frozen=True)
class Filled:
    """The values of the boxes; `config` once they have been read."""

    recipe: str
    data: str
    archive: str | None
    model: str
    weights: list[str] | None
    name: str
    boxes: dict[str, Any]
    config: RunConfig | None = None
    rates: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Sequence) -> Filled:
        recipe, data, archive, model, weights, name, *rest = values
        boxes = dict(zip(FILLED, rest, strict=True))
        return cls(recipe, (data or "").strip(), archive, (model or "").strip(), weights, name or "", boxes)

    @property
    def chosen(self) -> Recipe:
        return recipe_named(str(self.recipe))


def wire_form(form: Form, demo: gr.Blocks) -> None:
    """Wire the form: a recipe fills the boxes; typing is read at once and never replaced."""

    @plain_errors
    def check(request: gr.Request, *values):
        return checked(form, request, values)

    @plain_errors
    def choose(request: gr.Request, name: str):
        recipe = recipe_named(name)
        data, model = recipe.fields["data"], recipe.fields["model"]
        usual = recipe_values(recipe, data)
        return [about_recipe(request, recipe), data, model, *(usual[key] for key in FILLED)]

    @plain_errors
    def follow(request: gr.Request, *values):
        given = Filled.of(values)
        moved = moved_along(given.chosen, given.data, given.model, given.boxes)
        return [moved.get(key, gr.skip()) for key in FILLED]

    chosen = form.recipe.input(choose, form.recipe, [form.about, *form.typed], **QUIET)
    form.recheck(chosen)
    for source in (form.data, form.model):
        form.recheck(source.input(follow, form.inputs, form.filled, **QUIET))
    # A text box tells of its input only when a key is pressed: of a paste, its change has to tell
    edits = [box.change if isinstance(box, gr.Textbox) else box.input for box in form.filled]
    gr.on(edits, check, form.inputs, form.command, **QUIET)
    for file, box, kinds in ((form.archive, form.data, ()), (form.weights, form.model, WEIGHTS)):
        named = file.upload(lambda files, kinds=kinds: upload_name(files, kinds), file, box, **QUIET)
        form.recheck(named.then(follow, form.inputs, form.filled, **QUIET))
    opened = demo.load(_about_first, form.recipe, form.about, **QUIET)
    form.recheck(opened)


def checked(form: Form, request: gr.Request | None, values: Sequence) -> dict:
    """Return a value for the command's view: the command, the changed fields, and the problem."""
    filled, problem, command = Filled.of(values), None, ""
    try:
        filled = form.read(request, values)
        out = f"runs/{_folder_name(filled.name) or filled.recipe}"
        command = command_line(filled.config, _written(filled.data), _written(filled.model), out, filled.rates)
    except (ConfigError, ValueError) as error:
        text = in_words(request, error)
        text = text if form.access.is_open(request) else without_folders(text)
        problem = {"field": getattr(error, "field", ""), "text": text}
    changed = changed_fields(filled.chosen, filled.data, filled.model, filled.boxes)
    groups = {group: list(names) for group, names in GROUPS.items()}
    return {"command": command, "changed": changed, "groups": groups, "problem": problem}


def in_words(request: gr.Request | None, error: Exception) -> str:
    """Phrase an error of the form, with the field's name as the visitor reads it."""
    field, reason = getattr(error, "field", ""), reason_of(error, language_of(request))
    if not field:
        return reason
    key = label_key(field) or f"train_{field}"
    return say(request, "train_field_wrong", field=say(request, key), reason=reason)


def about_recipe(request: gr.Request | None, recipe: Recipe) -> str:
    """Describe a recipe's source and expected result, in the visitor's language."""
    source, expected = recipe.source, recipe.expected
    if language_of(request) == "zh":
        source, expected = CHINESE.get(recipe.name, (source, expected))
    return say(request, "train_recipe_text", source=source, expected=expected)


@plain_errors
def _about_first(request: gr.Request, name: str) -> str:
    return about_recipe(request, recipe_named(name))


def _written(source: str) -> str:
    """Name a data set or model as the command does: of an upload, the file's own name."""
    return source.removeprefix(UPLOAD)


def _folder_name(name: str) -> str:
    return "-".join("".join(c if c.isalnum() or c in "._-" else " " for c in name).split())[:60].strip(".-")
