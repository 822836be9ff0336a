"""A training field is defined in one place: its range, group and help; Chinese has the same keys."""

import re
from dataclasses import field, fields, make_dataclass

import pytest

from explorer.tabs.train.field_words import field_words, help_key, label_key
from explorer.tabs.train.new.values import FIELDS
from explorer.ui.words import TEXT, add_words
from training.config import FACTS, RunConfig
from training.fields import facts_of, run_field


def test_chinese_has_every_label_and_explanation_and_no_other():
    words = field_words()
    assert set(words["zh"]) == set(words["en"])
    for name in FIELDS:
        assert words["en"][label_key(name)]
        assert help_key(name) is None or words["en"][help_key(name)]
    assert {key.removesuffix("_info") for key in words["en"]} == {label_key(name) for name in FIELDS}


def test_chinese_is_chinese_unless_it_is_a_name():
    for key, text in field_words()["zh"].items():
        assert re.search("[\u4e00-\u9fff]", text), key


def test_the_page_has_them_once():
    words = field_words()
    assert all(TEXT[language][key] == words[language][key] for language in words for key in words[language])
    with pytest.raises(ValueError, match="field_batch had words already"):
        add_words({"en": {"field_batch": "Another"}})


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.limited])
def test_a_field_is_refused_outside_of_its_range(name):
    facts = FACTS[name]
    plain = {"steps": 10} if facts.group != "length" else {}
    whole = next(each for each in fields(RunConfig) if each.name == name).type.startswith("int")
    for value in (facts.low - 1, *([] if facts.high == float("inf") else [facts.high + 1])):
        value = int(value) if whole else float(value)
        with pytest.raises(ValueError, match=f"^{name} must be at least"):
            RunConfig(**plain | {name: value})
    if facts.below and not whole:
        with pytest.raises(ValueError, match=f"^{name} must be at least {facts.low}"):
            RunConfig(**plain | {name: float(facts.high)})
    if facts.positive:
        with pytest.raises(ValueError, match=f"^{name} must be greater than 0"):
            RunConfig(**plain | {name: type(facts.low)(facts.low)})


def test_a_field_without_facts_is_found():
    bare = make_dataclass("Bare", [("one", int, run_field(1, "main", "One")), ("two", int, field(default=2))])
    assert [each.name for each in fields(bare)] == ["one", "two"]
    with pytest.raises(KeyError, match="facts"):
        facts_of(bare)
