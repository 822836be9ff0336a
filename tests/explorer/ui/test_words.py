"""The page's words: both languages say everything, and every component's strings do too."""

import json
import re
import string
from pathlib import Path

import pytest

import explorer
from explorer.analysis.explain import methods
from explorer.analysis.explain.methods import METHODS
from explorer.page.head import SCRIPT
from explorer.ui import words as text
from explorer.ui.method_words import method_words

FILES = sorted(Path(explorer.__file__).parent.rglob("*words.json"))


def named(file: Path) -> str:
    return file.relative_to(Path(explorer.__file__).parent).as_posix()


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("file", FILES, ids=named)
def test_english_and_chinese_have_the_same_keys(file):
    words = json.loads(file.read_text("utf-8"))
    assert set(words) == {"en", "zh"}
    assert set(words["en"]) == set(words["zh"])


@pytest.mark.parametrize("key", text.TEXT["en"])
def test_both_languages_fill_in_the_same_values(key):
    assert fields(text.TEXT["en"][key]) == fields(text.TEXT["zh"][key])


def test_chinese_is_chinese():
    same = {"title", "difference", "gpu", "zero-gpu", "other_language"}
    same |= {
        "method_legrad",
        "method_grad-cam",
        "method_smoothgrad",
        "choice_unit_logit",
        "slices_ended",
    }  # a name, a unit, and values alone
    for key, words in text.TEXT["zh"].items():
        assert key in same or re.search("[\u4e00-\u9fff]", words), key


@pytest.mark.parametrize("file", FILES + sorted(Path(explorer.__file__).parent.rglob("*.zh.json")), ids=named)
def test_one_thing_has_one_chinese_name(file):
    """The held-out part was 验证 in one view and 留出集 in another, accuracy 正确率 and 准确率 in one view."""
    words = file.read_text("utf-8").replace("Imagenette 验证集", "")  # that data set's own part of that name
    assert not re.findall("验证|正确率|位置嵌入", words)


def test_figures_calls_rollout_as_its_tab_does():
    for key in ("figure_rollouts", "figure_rollouts_reading"):
        assert text.TEXT["zh"]["tab_rollout"] in text.TEXT["zh"][key]


ALWAYS_MANY = {"picture_counts", "matrix", "uneven", "figures_over_examples", "most"}
"""Of two classes at least, of the largest class, of the picture in sight and the examples, and a limit."""


@pytest.mark.parametrize("file", FILES, ids=named)
def test_a_count_of_one_reads_well(file):
    """ "1 pictures cannot be read", "Over your 1 pictures"."""
    plural = re.compile(r"\{\w+\} (other |older |of the |\{\w+\} )?(pictures|classes|groups|runs|settings)\b")
    words = json.loads(file.read_text("utf-8"))["en"]
    assert {key for key, template in words.items() if plural.search(template)} <= ALWAYS_MANY


def test_head_script_writes_the_cookie_that_the_server_reads():
    assert f'"{text.LANGUAGE_COOKIE}"' in SCRIPT.decode()


class Request:
    def __init__(self, accept="", cookies=None):
        self.request, self.headers, self.cookies = object(), {"accept-language": accept}, cookies or {}


@pytest.mark.parametrize(
    ("request_", "language"),
    [
        (None, "en"),
        (Request("de,en;q=0.8"), "en"),
        (Request("zh-CN,zh;q=0.9"), "zh"),
        (Request("zh-TW"), "zh"),
        (Request("en-GB", {text.LANGUAGE_COOKIE: "zh"}), "zh"),
        (Request("zh", {text.LANGUAGE_COOKIE: "en"}), "en"),
        (Request("zh", {text.LANGUAGE_COOKIE: "../../x"}), "zh"),
    ],
)
def test_language_of_a_visitor(request_, language):
    assert text.language_of(request_) == language


def test_a_method_without_words_goes_by_its_name(monkeypatch):
    monkeypatch.setitem(METHODS, "head-spread", METHODS["rollout"])
    for words in method_words().values():
        assert words["name_head-spread"] == "Head spread"
        assert words["about_head-spread"] == words["link_head-spread"] == ""
        assert words["about_rollout"]


def test_every_method_and_every_choice_on_the_page_has_words_in_both_languages():
    texts = json.loads(Path(methods.__file__).with_name("methods.words.json").read_text("utf-8"))
    for language, words in method_words().items():
        assert set(words) == set(texts[language])  # none goes by its name, and none is of a method that is gone
