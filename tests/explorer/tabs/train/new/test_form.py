"""The form of a new run: every field has a box, recipes fill it, the command says the same, faults are named."""

import re
import shlex
from dataclasses import fields

import pytest

from explorer.tabs.train.new.command.command import command_line
from explorer.tabs.train.new.form import CHINESE, Filled, in_words
from explorer.tabs.train.new.values import (
    FIELDS,
    LENGTHS,
    FieldError,
    changed_fields,
    moved_along,
    read_rates,
    read_values,
    recipe_values,
    shown,
)
from explorer.ui.words import TEXT
from training.__main__ import _config, _parser, _rates
from training.config import ConfigError, RunConfig, parse_field
from training.recipes import RECIPES

TINY = RECIPES["scratch-tiny"]


def filled(recipe=TINY, data=None, **boxes):
    return recipe_values(recipe, data or recipe.fields["data"]) | boxes


def read(recipe=TINY, **boxes):
    return read_values(recipe, recipe.fields["data"], recipe.fields["model"], filled(recipe, **boxes))


def test_every_field_of_a_run_has_a_box_and_words_for_it():
    assert {field.name for field in fields(RunConfig)} == {*FIELDS, *LENGTHS, "recipe", "data", "model"}
    assert len(FIELDS) == len(set(FIELDS))
    assert {f"field_{name}" for name in FIELDS} <= set(TEXT["en"])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_fills_the_boxes_and_they_say_the_recipe(recipe):
    assert read(recipe) == recipe.config()
    assert changed_fields(recipe, recipe.fields["data"], recipe.fields["model"], filled(recipe)) == []


def test_values_are_shown_as_they_are_typed():
    for name, value in {"lr": 1e-4, "batch": 32, "resolution": None, "test_at": (10, 20)}.items():
        assert parse_field(name, shown(value)) == value
    stages = ((48, 0.4), (64, 0.35))
    assert shown(stages) == "48:0.4,64:0.35"
    assert parse_field("stages", shown(stages)) == stages


def test_changes_are_found_by_their_meaning():
    same = filled(lr=f"{TINY.fields['lr']:e}", resolution=" 32 ")
    assert changed_fields(TINY, "shapes", TINY.fields["model"], same) == []
    other = filled(lr="0.1", flip=True, unit="epochs", length="3", batch="many", rates="0.1,0.2")
    assert set(changed_fields(TINY, "shapes", "bundled", other)) == {
        *("model", "lr", "flip", "unit", "length", "batch", "rates")
    }


def test_another_data_set_moves_what_the_recipe_says_of_it_and_nothing_that_was_typed():
    paper = RECIPES["paper"]
    assert moved_along(paper, "pets", paper.fields["model"], filled(paper)) == {"length": "500", "warmup": "100"}
    assert moved_along(paper, "pets", paper.fields["model"], filled(paper, length="777")) == {"warmup": "100"}
    assert moved_along(paper, "cifar10", paper.fields["model"], filled(paper, "pets")) == {
        "length": "10000",
        "warmup": "500",
    }


@pytest.mark.parametrize(
    ("boxes", "field", "words"),
    [
        ({"lr": "fast"}, "lr", "a number"),
        ({"lr": "nan"}, "lr", "lr must be"),
        ({"lr": "0"}, "lr", "greater than 0"),
        ({"batch": ""}, "batch", "usual value is 32"),
        ({"batch": None}, "batch", "usual value"),
        ({"length": ""}, "length", "how many steps"),
        ({"length": "-3"}, "length", "steps must be"),
        ({"unit": "years"}, "length", "steps, epochs, minutes"),
        ({"accumulation": "7"}, "", "equal parts"),
        ({"head_init": "magic"}, "head_init", "one of"),
        ({"stages": "64"}, "stages", "pixels:share"),
        ({"seed": "9" * 600}, "seed", "short text"),
        ({"seed": ["1"]}, "seed", "short text"),
        ({"flip": "perhaps"}, "flip", "true or false"),
    ],
)
def test_what_cannot_be_meant_names_its_box(boxes, field, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read(**boxes)
    assert getattr(caught.value, "field", "") == field
    assert words.split("|")[0] in in_words(None, caught.value)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_chinese_says_the_same_numbers_of_a_recipe(recipe):
    def numbers(*texts):
        return sorted(number for text in texts for number in re.findall(r"\d[\d.,]*\d|\d", text))

    source, expected = CHINESE[recipe.name]
    assert re.search("[\u4e00-\u9fff]", source)
    assert numbers(expected) == numbers(recipe.expected) or recipe.name == "scratch-tiny"
    assert numbers(source) == numbers(recipe.source)


def test_rates_to_sweep():
    assert read_rates("0.03, 0.001,0.03") == (0.001, 0.03)
    assert read_rates("") == read_rates(None) == ()
    for wrong in ("a", "0", "nan", "-1", ",".join(str(i) for i in range(1, 50))):
        with pytest.raises(FieldError) as caught:
            read_rates(wrong)
        assert caught.value.field == "rates"


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_the_command_makes_the_same_run(recipe):
    changes = {"lr": "0.0123", "flip": True, "stages": "", "clip": "0", "test_at": "1,2", "resolution": ""}
    for boxes in ({}, {"length": "7", "unit": "epochs"}, changes, {"flip": False, "compile": True, "pool": "mean-all"}):
        config = read(recipe, **boxes)
        rates = read_rates(filled(recipe, **boxes)["rates"])
        words = shlex.split(command_line(config, config.data, config.model, "runs/x", rates).replace("\\\n", " "))
        assert words[:3] == ["python", "-m", "training"]
        options = _parser().parse_args(words[3:])
        assert _config(options) == config
        assert words[3] == ("sweep" if rates else "run")
        if rates:
            assert (_rates(options.rates) if options.rates else recipe.sweep) == rates


def test_the_command_is_short_and_quoted():
    config = read(lr="0.5")
    command = command_line(config, "my pets; rm -rf $HOME.zip", "bundled", "runs/x")
    assert shlex.split(command.replace("\\\n", " "))[6:8] == ["--data", "my pets; rm -rf $HOME.zip"]
    assert "--lr 0.5" in command
    assert "--batch" not in command


def test_the_shape_of_the_recipes_own_model_is_none_for_another():
    """A checkpoint that was uploaded under the first recipe failed in its worker: width, depth and heads were the
    recipe's own."""
    moved = moved_along(TINY, "shapes", "upload:mine.safetensors", filled())
    assert moved == {"width": "", "depth": "", "heads": ""}
    assert read_values(TINY, "shapes", "/mine.safetensors", filled() | moved).width is None
    assert moved_along(TINY, "shapes", TINY.fields["model"], filled() | moved) == {
        "width": "96",
        "depth": "4",
        "heads": "3",
    }
    assert moved_along(TINY, "shapes", "bundled", filled(width="64")) == {"depth": "", "heads": ""}, "typed: it stays"


def test_values_arrive_in_the_order_of_the_boxes():
    values = ["scratch-tiny", " shapes ", None, "bundled", None, None, "5", "epochs", "", *map(str, range(len(FIELDS)))]
    given = Filled.of(values)
    assert (given.data, given.model, given.name) == ("shapes", "bundled", "")
    assert given.boxes["unit"] == "epochs"
    assert given.boxes[FIELDS[-1]] == str(len(FIELDS) - 1)
