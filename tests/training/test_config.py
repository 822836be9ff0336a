"""RunConfig and recipes: what is refused and how it is said; nothing is lost on the way to JSON and back."""

import json
import math

import pytest

from training.config import ConfigError, RunConfig, parse_field
from training.recipes import RECIPES, recipe_named

NAMES = (
    "paper cifar-10k sweep-7 scratch-patch16 scratch-patch32 scratch-vit4 scratch-vit2 scratch-resnet18 scratch-tiny "
    "adamw last-blocks linear-probe bundled bundled-small"
)


def test_every_promised_recipe_is_there_and_valid():
    assert sorted(RECIPES) == sorted(NAMES.split())
    for recipe in RECIPES.values():
        config = recipe.config()
        assert config.recipe == recipe.name and recipe.source and recipe.expected
        assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        assert recipe.command.startswith("python -m training ") and f"--recipe {recipe.name}" in recipe.command


def test_the_papers_recipe_has_the_papers_numbers():
    """Appendix B.1.1: SGD, momentum 0.9, batch 512, no weight decay, clip 1, 384 px, steps by data set."""
    for data, steps, warmup in (("cifar10", 10_000, 500), ("cifar100", 10_000, 500), ("pets", 500, 100)):
        config = recipe_named("paper").config(data=data)
        assert (config.steps, config.warmup, config.batch, config.resolution) == (steps, warmup, 512, 384)
        assert (config.optimizer, config.momentum, config.weight_decay, config.clip) == ("sgd", 0.9, 0.0, 1.0)
        assert (config.schedule, config.head_init, config.held_out) == ("cosine", "zero", 0.0)
    assert recipe_named("paper").sweep == (0.001, 0.003, 0.01, 0.03)


def test_a_length_takes_the_place_of_the_recipes():
    assert recipe_named("adamw").config(steps=7).epochs is None
    assert RunConfig(epochs=3).having(minutes=2).epochs is None
    assert RunConfig(epochs=3).having(batch=8).epochs == 3


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"no recipe 'best'; the recipes are paper"):
        recipe_named("best")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "exactly one of steps, epochs and minutes; got none"),
        ({"steps": 1, "epochs": 1}, "got steps and epochs"),
        ({"steps": 1, "lr": 0}, "lr must be greater than 0, got 0"),
        ({"steps": 1, "lr": math.nan}, "lr must be at least 0 and at most 1000, got nan"),
        ({"steps": 1, "lr": math.inf}, "got inf"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 1.5}, "steps expects a whole number or none, got 1.5"),
        ({"steps": 1, "batch": 10, "accumulation": 3}, "a batch of 10 cannot be cut into 3 equal parts"),
        ({"steps": 1, "optimizer": "lion"}, "optimizer must be one of sgd, adam, adamw, muon; got 'lion'"),
        ({"steps": 1, "trainable": "some"}, "trainable must be 'all', 'head' or a number of blocks"),
        ({"steps": 1, "stages": ((64, 0.5),)}, "set it too"),
        ({"steps": 1, "stages": ((64, 0.5), (80, 0.5)), "resolution": 96}, "add up to less than 1"),
        ({"steps": 1, "batch": True}, "batch expects a whole number, got True"),
        ({"steps": 1, "flip": 1}, "flip expects true or false"),
        ({"steps": 1, "data": " "}, "name a data set and a model"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, words):
    with pytest.raises(ConfigError) as caught:
        RunConfig(**fields)
    assert words in str(caught.value)


def test_unknown_fields_of_a_file_are_named():
    with pytest.raises(ConfigError, match="unknown fields of a run: learning_rate"):
        RunConfig.from_dict({"steps": 1, "learning_rate": 0.1})
    with pytest.raises(ConfigError):
        RunConfig.from_dict({"steps": 1, "stages": [64, 0.5], "resolution": 96})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stages", "64:0.7, 96:0.1", ((64, 0.7), (96, 0.1))),
        ("test_at", "10,20", (10, 20)),
        ("test_at", "", ()),
        ("resolution", "none", None),
        ("resolution", "384", 384),
        ("lr", "3e-4", 3e-4),
        ("flip", "No", False),
        ("trainable", "2", "2"),
        ("epochs", "0.5", 0.5),
    ],
)
def test_fields_as_they_are_typed(name, text, value):
    assert parse_field(name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("stages", "64", "stages expects pixels:share pairs such as 64:0.7, got '64'"),
        ("steps", "many", "steps expects a whole number or none, got 'many'"),
        ("flip", "perhaps", "flip expects true or false"),
        ("speed", "1", "unknown field 'speed'"),
    ],
)
def test_what_cannot_be_read_is_said(name, text, words):
    with pytest.raises(ConfigError) as caught:
        parse_field(name, text)
    assert words in str(caught.value)
