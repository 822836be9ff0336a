"""build_form: the boxes of a new run on the page, one for every field, with its choices."""

from __future__ import annotations

from typing import Any

import gradio as gr
import torch

from explorer.tabs.train.field_words import help_key, label_key
from explorer.tabs.train.new.command.view import TrainCommandView
from explorer.tabs.train.new.form import Form
from explorer.tabs.train.new.sources import ARCHIVES, NAMED_SETS, NEW, RESNET
from explorer.tabs.train.new.values import GROUPS, MAIN, recipe_values
from explorer.tabs.train.runs.access import RunAccess
from explorer.ui.visitors.uploads import WEIGHTS
from explorer.ui.words import words
from training.config import LENGTHS, choices_of, is_switch
from training.recipes import RECIPES, recipe_named
from vit_model import SIZES
from vit_model.checkpoints.known import BUNDLED, KNOWN

FIRST = "scratch-tiny"  # what the form opens with: trains on any computer in a minute or two


def build_form(access: RunAccess) -> Form:
    """Build the boxes inside an open column; `wire_form` adds their events."""
    local, recipe = access.loopback, recipe_named(FIRST)
    values = recipe_values(recipe, recipe.fields["data"])
    with gr.Row():
        with gr.Column(min_width=280):
            chosen = gr.Dropdown(
                list(RECIPES),
                value=FIRST,
                label=words("train_recipe"),
                info=words("train_recipe_info"),
                elem_id="recipe",
            )
            about = gr.Markdown(elem_id="recipe-about", elem_classes="subdued")
        with gr.Column(min_width=280):
            data = gr.Dropdown(
                [(words(f"data_{name}"), name) for name in NAMED_SETS],
                value=recipe.fields["data"],
                label=words("train_data"),
                info=words("train_data_info_local" if local else "train_data_info"),
                allow_custom_value=True,
                elem_id="field-data",
            )
            with gr.Accordion(words("train_upload_data"), open=False, elem_id="own-data"):
                gr.Markdown(words("train_upload_data_info"), elem_classes="subdued")
                archive = gr.File(
                    label=words("train_archive"), file_types=list(ARCHIVES), height=110, elem_id="own-archive"
                )
        with gr.Column(min_width=280):
            model = gr.Dropdown(
                _models(),
                value=recipe.fields["model"],
                label=words("train_model"),
                info=words("train_model_info_local" if local else "train_model_info"),
                allow_custom_value=True,
                elem_id="field-model",
            )
            with gr.Accordion(words("train_upload_model"), open=False, elem_id="own-weights"):
                gr.Markdown(words("own_info"), elem_classes="subdued")
                weights = gr.File(
                    label=words("own_files"),
                    file_count="multiple",
                    file_types=[*WEIGHTS, ".json"],
                    height=110,
                    elem_id="own-model",
                )
    boxes: dict[str, Any] = {}
    with gr.Row(elem_id="train-main"):
        length = gr.Textbox(
            values["length"],
            label=words("train_length"),
            info=words("train_length_info"),
            max_lines=1,
            min_width=120,
            elem_id="field-length",
        )
        unit = gr.Dropdown(
            [(words(f"unit_{name}"), name) for name in LENGTHS],
            value=values["unit"],
            label=words("train_unit"),
            info=words("train_unit_info"),
            min_width=120,
            elem_id="field-unit",
        )
        for name in MAIN:
            boxes[name] = _box(name, values[name])
            if name == "lr":
                rates = gr.Textbox(
                    values["rates"],
                    label=words("train_rates"),
                    info=words("train_rates_info"),
                    max_lines=1,
                    min_width=140,
                    elem_id="field-rates",
                )
    with gr.Group(elem_id="train-groups"):
        for group, names in GROUPS.items():
            with (
                gr.Accordion(words(f"group_{group}"), open=False, elem_id=f"group-{group}"),
                gr.Row(elem_classes="boxes"),
            ):
                for name in names:
                    boxes[name] = _box(name, values[name])
    name = gr.Textbox("", label=words("train_name"), info=words("train_name_info"), max_length=120, elem_id="run-name")
    command = TrainCommandView(elem_id="train-command")
    return Form(access, chosen, about, data, archive, model, weights, name, length, unit, rates, boxes, command)


def _box(name: str, value: str | bool) -> Any:
    label, key = words(label_key(name)), help_key(name)
    info = words(key) if key else None
    if name == "device":
        return gr.Dropdown(_devices(), value=value, label=label, info=info, min_width=140, elem_id=f"field-{name}")
    if is_switch(name):
        return gr.Checkbox(bool(value), label=label, info=info, min_width=140, elem_id=f"field-{name}")
    if choices_of(name):
        choices = list(choices_of(name))
        return gr.Dropdown(choices, value=value, label=label, info=info, min_width=140, elem_id=f"field-{name}")
    return gr.Textbox(value, label=label, info=info, max_lines=1, min_width=140, elem_id=f"field-{name}")


def _devices() -> list[str]:
    """List the devices of this computer."""
    found = ["auto", "cpu"]
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{index}" for index in range(1, torch.cuda.device_count()))]
    return found + (["mps"] if torch.backends.mps.is_available() else [])


def _models() -> list[tuple]:
    known = [(f"{known.name} · {known.key}", known.key) for known in KNOWN[1:]]
    sizes = [(f"{NEW}{size}", f"{NEW}{size}") for size in SIZES]
    return [(words("bundled"), BUNDLED), *known, (words("train_resnet"), RESNET), *sizes]
