"""The trainer's sentences in Chinese: each that it can raise has one, none is left of what it no longer says, and the
values in them stay."""

import ast
import re
from pathlib import Path

import pytest

import training
from explorer.ui.parsed.trainer_messages import MOST, _known
from explorer.ui.translation import translate, translate_both
from training.config import ConfigError, RunConfig, parse_field
from training.data.datasets import open_dataset
from training.data.layout import arrange
from training.data.picture_set import DataError
from training.errors import TrainingError
from training.runs.runs import RunError, Runs
from vit_model import picture
from vit_model.messages import message_of

CODE = Path(training.__file__).parent
# said in a terminal alone, or faults of our own
ELSEWHERE = {
    "__main__.py",
    "augment.py",
    "card.py",
    "console.py",
    "matlab.py",
    "metrics.py",
    "published.py",
    "__init__.py",
}
ELSEWHERE |= {"curves.py", "outcome.py", "processes.py", "randomness.py", "shapes.py", "meters.py"}
ERRORS = {
    "ConfigError",
    "DataError",
    "RunError",
    "TrainingError",
    "PushError",
    "CheckpointError",
    "BoundError",
    "ChangedDataError",
}


def skeleton(node):
    """A text of the code with {} for each gap; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and (skeleton(node.left) or skeleton(node.right)):
        return (skeleton(node.left) or "{}") + (skeleton(node.right) or "{}")
    return None


def texts(tree):
    return {text for node in ast.walk(tree) if (text := skeleton(node))}


JOINED = {"{} must be {}, got {}", "{}"}  # whose gaps are sentences with words of their own
# put together from several texts of the code; the tests below raise them
COMPOSED = {
    "{} must be at least {} and at most {}, got {}", "{} must be at least {} and below {}, got {}",
    "{} must be at least {}, got {}", "one of {}",
    "expected pictures in one folder for each class, found {}.",
    "expected pictures in one folder for each class, found {}. Unpack the archives inside first.",
}  # fmt: skip


def test_no_sentence_is_left_of_what_is_no_longer_translate():
    tabs = [CODE.parent / "explorer/tabs/train" / name for name in ("new/values.py", "runs/slices.py")]
    files = [*CODE.glob("**/*.py"), *Path(picture.__file__).parent.glob("*.py"), *tabs]
    said_by_code = set().union(*(texts(ast.parse(file.read_text("utf-8"))) for file in files))
    said_by_code |= {re.sub(r"\{\w+\}", "{}", text) for text in said_by_code}
    ours = {"{}".join(pieces) for pieces, _, _ in _known()[1]}
    stale = {text for text in ours - said_by_code - COMPOSED if not any(text in one for one in said_by_code)}
    assert not stale


def test_every_error_of_the_trainer_has_its_sentence():
    missing = []
    for file in CODE.glob("**/*.py"):
        if file.name in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ERRORS and call.args:
                text = skeleton(call.args[0])
                example = (text or "").replace("{}", "x")
                if re.search("[a-z]{3}", example) and text not in JOINED and translate(example, "zh") == example:
                    missing.append(f"{file.name}: {text}")
    assert not missing


def test_the_gaps_of_both_languages_are_the_same():
    for pieces, names, theirs in _known()[1]:
        assert sorted(re.findall(r"\{(\w+)\}", theirs)) == sorted(names), pieces


def raised(act):
    with pytest.raises((ConfigError, DataError, RunError, TrainingError)) as caught:
        act()
    return message_of(caught.value)


FAULTS = {
    "batch": (lambda t: RunConfig(steps=1, batch=0), "应在 1 与"),
    "choice": (lambda t: RunConfig(steps=1, optimizer="adagrad"), "应为"),
    "number": (lambda t: parse_field("lr", "fast"), "应为数值"),
    "share": (lambda t: RunConfig(steps=1, label_smoothing=3.0), "且小于 1"),
    "whole": (lambda t: parse_field("batch", "1.5"), "应为整数"),
    "stages": (lambda t: parse_field("stages", "x"), "64:0.7"),
    "lengths": (lambda t: RunConfig(steps=1, epochs=1), "只能设置其中之一"),
    "data": (lambda t: open_dataset(str(t / "none")), "没有数据集"),
    "guest": (lambda t: open_dataset("/etc", local_paths=False), "只有本机的浏览器"),
    "classes": (lambda t: arrange(["one/a.png"]), "至少需要两个类别"),
    "loose": (lambda t: arrange(["a.png", "b.png"]), "2 张不在文件夹中的图片"),
    "none": (lambda t: arrange(["notes.txt"]), "1 个其他文件"),
    "case": (lambda t: arrange(["Cat/a.png", "cat/b.png"]), "只有大小写不同"),
    "gone": (lambda t: Runs(t).get("20260101-000000-x-abcdef"), "可能已被删除"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_raised_is_said_in_chinese(name, tmp_path):
    act, words = FAULTS[name]
    english = raised(lambda: act(tmp_path))
    chinese = translate(english, "zh")
    assert words in chinese and not re.search(r"[{}]", chinese.replace(str(tmp_path), ""))
    assert translate(english, "en") == english and translate_both(english) == {"en": english, "zh": chinese}


def test_notes_of_a_data_set_and_sentences_within_sentences():
    assert translate(arrange(["a/1.png", "b/1.png", "read.me"]).notes[0], "zh") == "略过 1 个不是图片的文件：'read.me'"
    nested = "run.json cannot be read: batch must be at least 1 and at most 65536, got 0"
    assert translate(nested, "zh") == "无法读取 run.json：batch 应在 1 与 65536 之间，收到的是 0"
    assert translate("the file cannot be read: {name} {0}", "zh") == "无法读取文件：{name} {0}", "values are no gaps"


def test_foreign_sentences_and_long_ones_stay_and_cost_little():
    assert translate("CUDA error: device-side assert", "zh") == "CUDA error: device-side assert"
    hostile = "x refused " * 300 + " with status " * 50
    assert translate(hostile, "zh") == hostile
    assert translate("the file cannot be read: " + "y" * MOST, "zh").startswith("the file")
