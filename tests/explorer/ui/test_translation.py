"""The trainer's messages in Chinese, as they are raised, passed between processes, and kept on disk."""

import json
import pickle
import re

import pytest

from explorer.ui.errors import reason_of
from explorer.ui.translation import MOST_OF_A_VALUE, translate, translate_both
from explorer.ui.visitors.host_paths import without_folders
from training.config import ConfigError, RunConfig, parse_field
from training.data.datasets import open_dataset
from training.data.layout import arrange
from training.data.picture_set import DataError
from training.errors import TrainingError
from training.hosted.slices import LEFT
from training.runs.record import Record
from training.runs.runs import RunError, Runs
from training.storage.disk import DiskFullError
from training.storage.jsonfile import read_json, write_json
from vit_model.messages import (
    DEPTH,
    MOST_DETAILS,
    MOST_LETTERS,
    Message,
    add_codes,
    from_json,
    message,
    message_of,
    read_message,
    read_messages,
    rewrite,
    to_json,
)

CONFIG = RunConfig(steps=1)


def raised(act):
    with pytest.raises((ConfigError, DataError, RunError, TrainingError)) as caught:
        act()
    return caught.value


FAULTS = {
    "batch": (lambda t: RunConfig(steps=1, batch=0), "应在 1 与"),
    "choice": (lambda t: RunConfig(steps=1, optimizer="adagrad"), "应为"),
    "number": (lambda t: parse_field("lr", "fast"), "应为数值"),
    "optional": (lambda t: parse_field("resolution", "big"), "应为整数或 none，收到的是 'big'"),
    "share": (lambda t: RunConfig(steps=1, label_smoothing=3.0), "且小于 1"),
    "whole": (lambda t: parse_field("batch", "1.5"), "应为整数"),
    "stages": (lambda t: parse_field("stages", "x"), "64:0.7"),
    "lengths": (lambda t: RunConfig(steps=1, epochs=1), "只能设置其中之一"),
    "data": (lambda t: open_dataset(str(t / "none")), "没有数据集"),
    "guest": (lambda t: open_dataset("/etc", local_paths=False), "只有本机的浏览器"),
    "classes": (lambda t: arrange(["one/a.png"]), "至少需要两个类别"),
    "loose": (lambda t: arrange(["a.png", "b.png"]), "2 张不在文件夹中的图片"),
    "none": (lambda t: arrange(["notes.txt"]), "1 个其他文件"),
    "archives": (lambda t: arrange(["all.zip"]), "请先解压其中的压缩包"),
    "case": (lambda t: arrange(["Cat/a.png", "cat/b.png"]), "只有大小写不同"),
    "splits": (
        lambda t: arrange(["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"]),
        "只在 train 中：'b'；只在 test 中：'c'",
    ),
    "inside": (lambda t: arrange(["a/1.png", "b/1.png", "2.png"]), "顶层文件夹中有类别文件夹"),
    "gone": (lambda t: Runs(t).get("20260101-000000-x-abcdef"), "可能已被删除"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_raised_is_translated(name, tmp_path):
    act, words = FAULTS[name]
    error = raised(lambda: act(tmp_path))
    chinese = reason_of(error, "zh")
    assert words in chinese and not re.search(r"[{}]", chinese.replace(str(tmp_path), ""))
    assert reason_of(error, "en") == str(error)
    assert translate_both(message_of(error)) == {"en": str(error), "zh": chinese}


def test_notes_of_a_data_set_and_messages_within_messages(tmp_path):
    note = arrange(["a/1.png", "b/1.png", "read.me"]).notes[0]
    assert note == "1 files that are no pictures, passed over: 'read.me'"
    assert translate(note, "zh") == "略过 1 个不是图片的文件：'read.me'"
    write_json(tmp_path / "run.json", {"config": CONFIG.to_dict() | {"batch": 0}})
    fault = Record(tmp_path).fault
    assert fault == "run.json cannot be read: batch must be at least 1 and at most 1048576, got 0"
    assert translate(fault, "zh") == "无法读取 run.json：batch 应在 1 与 1048576 之间，收到的是 0"
    (tmp_path / "run.json").write_text("[1]")
    assert translate(Record(tmp_path).fault, "zh") == "无法读取 run.json：其中没有 JSON 对象"
    (tmp_path / "run.json").unlink()
    assert translate(Record(tmp_path).fault, "zh") == "无法读取 run.json：文件不存在"


def test_values_are_no_gaps_and_foreign_sentences_stay():
    assert translate(message("file_unread", "the file cannot be read: {reason}", reason="{x} {0}"), "zh") == (
        "无法读取文件：{x} {0}"
    )
    assert translate("CUDA error: device-side assert", "zh") == "CUDA error: device-side assert"
    assert translate(Message("of a later version", "no_such_code", {"a": "b"}), "zh") == "of a later version"
    assert translate(Message("it lacks a value", "run_taken", {"name": "a"}), "zh") == "it lacks a value"
    long = translate(message("file_unread", "the file cannot be read: {reason}", reason="y" * 9000), "zh")
    assert long.startswith("无法读取文件：yyy") and len(long) < MOST_OF_A_VALUE + 20


def test_a_full_disk_is_translated_with_what_it_needs(tmp_path):
    error = DiskFullError(tmp_path, 3_000_000_000)
    assert str(error) == error.strerror and str(error).startswith(f"the disk is full: {tmp_path} needs 3.0 GB and has ")
    assert reason_of(error, "zh").startswith(f"磁盘已满：{tmp_path} 需要 3.0 GB，剩余 ")


# -- from process to process, and on disk


def test_an_error_crosses_processes_with_its_code():
    error = pickle.loads(pickle.dumps(raised(lambda: arrange(["one/a.png"]))))
    assert error.code == "one_class" and error.details == {"name": "'one'"}
    assert reason_of(error, "zh").startswith("至少需要两个类别")
    left = pickle.loads(pickle.dumps(LEFT))
    assert (left, left.code, left.details) == (str(LEFT), "page_left", {})


def test_a_run_that_ended_keeps_english_code_and_details(tmp_path):
    run = Runs(tmp_path).create(CONFIG)
    reason = message_of(raised(lambda: arrange(["notes.txt"])))
    run.begin(shared=True)
    run.end("failed", reason, goes_on=True)
    kept = json.loads((run.path / "ended.json").read_text())
    assert kept["state"] == "failed" and kept["reason"] == str(reason), "as before"
    assert kept["reason_coded"]["code"] == "no_pictures"
    assert kept["reason_coded"]["details"]["found"]["code"] == "other_files"
    status = run.status()
    assert status.reason == str(reason) and translate(status.reason, "zh") == translate(reason, "zh")
    assert "1 个其他文件" in translate(status.reason, "zh")


def test_a_record_of_an_older_version_is_shown_in_english(tmp_path):
    run = Runs(tmp_path).create(CONFIG, queue=False)
    reason = "nothing is left to train; set trainable to all, head or a number of blocks"
    write_json(run.path / "ended.json", {"state": "failed", "reason": reason, "time": 1})
    assert run.reason == reason and translate_both(run.reason) == {"en": reason, "zh": reason}


def test_stop_and_progress_keep_their_codes(tmp_path):
    run = Runs(tmp_path).create(CONFIG, queue=False)
    run.begin(shared=True)
    run.ask_stop(message("overrun_minutes", "this host lets a visitor's run train for at most {most} minutes", most=5))
    assert translate(run.stop_reason, "zh") == "本机允许访客的一次训练最多 5 分钟"
    run.write_progress({"phase": "loading", "note": message("reading_archive", "reading the archive"), "step": 1})
    assert run.progress == {"phase": "loading", "note": "reading the archive", "step": 1}
    assert translate(run.progress["note"], "zh") == "正在读取压缩包"


@pytest.mark.parametrize(
    "coded",
    [
        None,
        [],
        "no_run",
        {"code": "no_run"},
        {"code": 3, "details": {}},
        {"code": "__class__", "details": {}},
        {"code": "x" * 200, "details": {}},
        {"code": "no_run", "details": []},
        {"code": "no_run", "details": {"name": 3}},
        {"code": "no_run", "details": {"name": {"text": 3, "code": "a", "details": {}}}},
        {"code": "no_run", "details": {}, "more": 1},
    ],
)
def test_codes_that_somebody_changed_leave_the_english(coded):
    record = {"reason": "there is no run", "reason_coded": coded}
    assert read_message(record, "reason") == "there is no run"
    assert translate(read_message(record, "reason"), "zh") == "there is no run"
    assert read_messages({"notes": ["a", "b"], "notes_coded": [coded]}, "notes") == ["a", "b"]


def test_hostile_details_stay_text():
    details = {"name": "{0.__class__} <b>", "unused": "x"}
    read = from_json("there is no run x", {"code": "no_run", "details": details})
    assert translate(read, "zh") == "没有训练 {0.__class__} <b>；它可能已被删除"


def test_what_goes_to_disk_is_bounded():
    inner: str = "end"
    for _ in range(20):
        inner = message("picture_named", "{name}: {reason}", name="n" * 9000, reason=inner)
    many = Message("many", "no_run", {f"d{index}": "x" * 9000 for index in range(100)})
    for kept in (to_json(inner), to_json(many)):
        assert len(json.dumps(kept)) < 2 * (MOST_DETAILS + 2 * DEPTH) * MOST_LETTERS
        assert isinstance(from_json("x", kept), Message)
    assert "end" not in json.dumps(to_json(inner))


def test_a_list_keeps_the_codes_of_those_that_have_one(tmp_path):
    note = message("reading_archive", "reading the archive")
    write_json(tmp_path / "data.json", add_codes({"notes": ["plain", note], "classes": ["a"], "count": 2}))
    kept = read_json(tmp_path / "data.json")
    assert kept["notes"] == ["plain", "reading the archive"] and set(kept) == {
        "notes",
        "notes_coded",
        "classes",
        "count",
    }
    assert [translate(text, "zh") for text in read_messages(kept, "notes")] == ["plain", "正在读取压缩包"]


# -- what visitors may read


def test_details_hold_no_folder_of_this_host_for_visitors(tmp_path):
    folder = "/srv/people/anna/data"
    inner = message("disk_free", "{folder} has {free} free", folder=folder, free="1.0 GB")
    reason = message("run_disk_full_at", "the disk is full: {found}", found=inner)
    shown = without_folders(reason)
    both = translate_both(shown)
    assert folder in translate(reason, "zh") and "/srv" not in json.dumps([both, to_json(shown)], ensure_ascii=False)
    assert both["zh"].endswith("data 剩余 1.0 GB")
    assert without_folders("plain /srv/people/x") == "plain x"
    assert without_folders("磁盘已满：/srv/people/x 剩余（/srv/people/y）") == "磁盘已满：x 剩余（y）"


def test_a_change_reaches_every_detail():
    reason = message(
        "picture_named", "{name}: {reason}", name="a", reason=message("no_file", "no file at all {x}", x="a")
    )
    loud = rewrite(reason, str.upper)
    assert loud == "A: NO FILE AT ALL A" and loud.details["name"] == "A" and loud.details["reason"].details["x"] == "A"
