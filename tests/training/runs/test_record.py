"""What a run's folder tells, whole or damaged, edited by hand, or in the midst of being written."""

import json
import math
import os
import subprocess
import sys

import pytest

from training.config import ConfigError, RunConfig
from training.runs.processes import Process
from training.runs.runs import Run, Runs
from training.storage.jsonfile import LARGEST


@pytest.fixture
def made(tmp_path, config):
    return Run.create(tmp_path / "run", config, owner="ada", name="first try")


def test_it_reads_what_was_created(made, config):
    again = Run(made.path)
    assert (again.id, again.name, again.owner, again.attempt) == ("run", "first try", "ada", 0)
    assert again.config == config and again == made
    assert abs(again.created - (made.path / "run.json").stat().st_mtime) < 5
    assert again.status().reason == "it was never started; resume it to start it"
    assert (again.progress, again.events(), again.log(), again.checkpoints()) == ({}, ([], 0), ("", 0), [])
    assert again.best is again.last is again.best_accuracy is None


DAMAGED = {
    "none": None,
    "empty": b"",
    "half": b'{"id": "run", "config": {"reci',
    "no object": b"[1, 2]",
    "no config": b'{"id": "run"}',
    "config of another kind": b'{"config": 7}',
    "unknown field": b'{"config": {"steps": 5, "colour": "red"}}',
    "wrong type": b'{"config": {"steps": "many"}}',
    "wrong shape": b'{"config": {"steps": 5, "stages": [[1, 2, 3]]}}',
    "stages of nothing": b'{"config": {"steps": 5, "stages": 3}}',
    "an endless step": b'{"config": {"steps": 5, "test_at": [1e999]}}',
    "not finite": b'{"config": {"steps": 5, "lr": NaN}}',
    "no text": b"\xff\xfe\x00",
    "nested beyond reading": b"[" * 100_000,
    "huge": b'{"config": "' + b"x" * LARGEST + b'"}',
    "strange names": b'{"name": 5, "owner": ["ada"], "created": "today", "sweep": {"0.1": 1}, "config": null}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_run_json_is_a_failed_run_and_takes_no_list_down(tmp_path, config, content):
    runs = Runs(tmp_path)
    whole, run = runs.create(config), runs.create(config, queue=True)
    (run.path / "run.json").unlink()
    if content is not None:
        (run.path / "run.json").write_bytes(content)
    assert {one.id: one.state for one in runs.list()} == {whole.id: "queued", run.id: "failed"}
    assert run.reason.startswith("run.json cannot be read: ") and run.reason.count("cannot be read") == 1
    with pytest.raises(ConfigError, match=r"run\.json cannot be read"):
        run.config  # noqa: B018
    assert (run.name, run.owner, run.sweep) == (run.id, None, ()) and run.created > 1e9
    for act in (run.start, run.resume):
        with pytest.raises(ValueError, match=r"run\.json cannot be read"):
            act()
    runs.get(run.id).delete()
    assert runs.list() == [whole]


def test_a_run_json_that_is_a_folder(made):
    (made.path / "run.json").unlink()
    (made.path / "run.json").mkdir()
    assert made.reason.startswith("run.json cannot be read: ")


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[]", b"\xff", b'{"pid": -1}', b'{"pid": 1, "started": "x", "host": "h"}']
)
def test_garbage_in_the_other_files_reads_as_nothing(made, garbage):
    for name in ("process.json", "progress.json", "best.json", "events.jsonl", "queued.json"):
        (made.path / name).write_bytes(garbage)
    assert made.process is None and made.attempt == 0 and made.progress == {} and made.best_accuracy is None
    assert made.events()[0] == []
    assert made.state == "queued" and made.queued_since > 1e9, "asked for, though it cannot be read since when"
    (made.path / "queued.json").unlink()
    assert made.status().state == "failed" and "without a word" in made.reason
    (made.path / "ended.json").write_bytes(garbage)
    assert made.state == "failed"
    (made.path / "ended.json").write_text('{"state": "exploded", "reason": "?"}')
    assert made.state == "failed"


def test_progress_keeps_only_what_it_is_meant_to_hold(made):
    told = {"step": 5, "steps": "many", "epoch": True, "seconds": [1], "phase": "training" * 100, "colour": "red"}
    made.write_progress(told | {"seconds_left": math.nan, "images_per_second": 12.5})
    assert made.progress == {"step": 5, "images_per_second": 12.5, "phase": ("training" * 100)[:200]}
    assert json.loads((made.path / "progress.json").read_text())["seconds_left"] is None


def test_a_half_written_line_of_events_waits(made):
    line = b'{"step": 1, "epoch": 0.1, "seconds": 1, "split": "train", "values": {"loss": 2.0}}\n'
    (made.path / "events.jsonl").write_bytes(line + line[:20])
    events, offset = made.events()
    assert [event.step for event in events] == [1] and offset == len(line)
    with open(made.path / "events.jsonl", "ab") as file:
        file.write(line[20:])
    assert [event.step for event in made.events(offset)[0]] == [1]


def test_the_log_goes_on_from_where_it_was_read(made):
    path = made.path / "log.txt"
    path.write_bytes("精度 50 %\n".encode())
    text, offset = made.log(0)
    assert text == "精度 50 %\n" and made.log(offset) == ("", offset)
    with open(path, "ab") as file:
        file.write("精".encode()[:2])
    assert made.log(offset) == ("", offset), "half a character waits"
    with open(path, "ab") as file:
        file.write("精".encode()[2:] + b"\xff!")
    assert made.log(offset) == ("精�!", offset + 5)
    for limit in (16, 15, 14):  # the first two begin in the midst of a character
        assert made.log(limit=limit) == ("度 50 %\n精�!", 17)
    pieces, offset = [], 0
    while True:
        text, offset = made.log(offset, limit=4)
        if not text:
            break
        pieces.append(text)
    assert "".join(pieces) == "精度 50 %\n精�!"
    path.write_bytes(b"new\n")
    assert made.log(10_000) == ("new\n", 4), "a shorter file is read from its beginning"


def test_checkpoints_are_told_by_name_and_weights(made, tmp_path):
    folder = made.path / "checkpoints"
    for name in (
        "step-00000010",
        "step-00000200",
        "step-123456789",
        ".step-00000300",
        "step-3",
        "step-0000000x",
        "best",
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_bytes(b"")
    (folder / "step-00000400").mkdir()  # no weights
    (folder / "step-00000500").write_text("a file")
    (folder / "step-0000000²").mkdir()
    os.symlink(folder / "step-00000010", folder / "step-00000600")
    (made.path / "best.json").write_text('{"step": 200, "accuracy": 0.5}')
    assert [one.step for one in made.checkpoints()] == [10, 200, 123456789]
    assert made.best.step == 200 and made.last.step == 123456789 and made.best_accuracy == 0.5
    assert made.best.path == folder / "step-00000200" and not made.best.last
    (made.path / "best.json").write_text('{"step": 7, "accuracy": "high"}')
    assert made.best is None and made.best_accuracy is None


def test_a_name_is_cleaned(made):
    made.rename("  a\tname\x1b[31m\n with <b>  " + "x" * 300)
    assert made.name.startswith("a name with <b> xxx") and len(made.name) == 120
    made.rename(" \n")
    assert made.name == "unnamed"
    assert made.config and made.owner == "ada"


def test_paths_become_absolute_so_that_a_resume_may_start_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "mine" / "cats").mkdir(parents=True)
    (tmp_path / "weights.pth").touch()
    monkeypatch.chdir(tmp_path)
    about = {"data": "./mine", "model": "resnet18:weights.pth", "steps": 1}
    run = Run.create("run", RunConfig(**about))
    assert run.config.data == str(tmp_path / "mine") and run.config.model == f"resnet18:{tmp_path / 'weights.pth'}"
    named = Run.create("named", RunConfig(data="hf:owner/name", model="google/vit-base-patch16-224", steps=1)).config
    assert (named.data, named.model) == ("hf:owner/name", "google/vit-base-patch16-224")


def test_a_folder_in_use_is_not_taken(tmp_path, config):
    words = "is there already and not empty; choose another folder, or resume the run in it"
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty", config)
    (tmp_path / "file").touch()
    for name in ("empty", "file", "file/below"):
        with pytest.raises(ValueError, match=words):
            Run.create(tmp_path / name, config)


def test_ended_tells_state_and_reason(made):
    made.begin()
    assert made.state == "running" and made.attempt == 1 and made.process == Process.current()
    made.begin()
    assert made.attempt == 1
    made.end("failed", "the disk is full")
    (made.path / "process.json").write_text("{}")
    assert made.status().state == "failed" and made.reason == "the disk is full"
    made.begin()
    assert not (made.path / "ended.json").exists() and made.state == "running"


def test_reading_needs_no_torch():
    """The page's timer and `python -m training list` answer at once."""
    heavy = "[name for name in sys.modules if name in ('torch', 'numpy', 'PIL')]"
    program = f"import sys, training.runs.runs, training.publish.export, training.__main__; print({heavy})"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"
