"""A resume goes on with the data that the run was made from; changed data are said, moved data are named anew."""

import os
import shutil

import pytest

from tests.training.data.data_files import animals, picture, write_folder, write_zip
from training import __main__ as cli
from training.config import RunConfig
from training.data.made_from import NOTE, ChangedDataError
from training.data.picture_set import DataError
from training.loop.loop import train
from training.runs.run import CHANGED, Run
from training.storage.jsonfile import read_json

FILES = {name: picture(seed, format_="BMP") for seed, name in enumerate(animals(6))}


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path / "cache"))
    return write_folder(tmp_path / "pets", FILES)


@pytest.fixture
def stopped(pets, tmp_path):
    """A run on these pictures that stopped after its second step."""
    shape = {"model": "new:scratch-vit4", "width": 12, "depth": 1, "heads": 1, "resolution": 8, "lr": 0.1}
    often = {"eval_every": 1, "checkpoint_every": 1, "log_every": 1, "held_out": 0.0}
    run = Run.create(
        tmp_path / "run", RunConfig(data=str(pets), steps=4, batch=4, device="cpu", **shape, **often), name="pets"
    )
    run.begin(shared=True)
    list(train(run, run.config, should_stop=lambda: bool(run.checkpoints()) and run.checkpoints()[-1].step >= 2))
    run.end("stopped", goes_on=True)
    return run


def go_on(run):
    """The steps that a resume trains."""
    run.begin(shared=True)
    try:
        return [event.step for event in train(run, run.config) if event.split == "train"]
    finally:
        run.end("stopped", goes_on=True)


def add(pets):
    (pets / "cat" / "new.png").write_bytes(picture(77))


def take(pets):
    (pets / "cat" / "0.png").unlink()


def edit(pets):
    """Another picture in the same file, of the same size and the same time."""
    file = pets / "cat" / "0.png"
    before = file.stat()
    file.write_bytes(picture(77, format_="BMP"))
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def relabel(pets):
    (pets / "cat" / "5.png").rename(pets / "dog" / "00.png")
    (pets / "dog" / "5.png").rename(pets / "cat" / "5.png")


CHANGES = {
    add: "train had 12 pictures, and has 13",
    take: "train had 12 pictures, and has 11",
    edit: "pictures of train show something else",
    relabel: "pictures of train show something else",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_data_are_said_and_go_on_only_when_told_so(stopped, pets, change):
    change(pets)
    for _ in range(2):
        with pytest.raises(ChangedDataError, match=CHANGES[change]):
            go_on(stopped)
    stopped.prepare_resume(changed_data=True)
    assert go_on(stopped) == [3, 4]
    (noted,) = read_json(stopped.path / NOTE)["changes"]
    assert noted["step"] == 2 and noted["what"] == CHANGES[change]
    parts = read_json(stopped.path / "data.json")["parts"]
    assert parts["train"]["count"] == len(list(pets.rglob("*.png")))


def test_it_is_told_for_one_resume_alone(stopped, pets):
    stopped.prepare_resume(changed_data=True)
    stopped.prepare_resume()
    add(pets)
    with pytest.raises(ChangedDataError):
        go_on(stopped)
    stopped.prepare_resume(changed_data=True)
    go_on(stopped)
    assert not (stopped.path / CHANGED).exists()


@pytest.mark.parametrize("how", ["touched", "copied", "packed"])
def test_the_same_pictures_with_other_times_or_in_another_place_are_the_same_data(stopped, pets, tmp_path, how):
    if how == "touched":  # as a checkout or an archive unpacked anew leaves them
        for file in pets.rglob("*.png"):
            os.utime(file, (1, 1))
    elif how == "copied":
        shutil.copytree(pets, tmp_path / "elsewhere" / "animals")
        shutil.rmtree(pets)
        stopped.prepare_resume(data=str(tmp_path / "elsewhere" / "animals"))
    else:
        packed = write_zip(tmp_path / "pets.zip", {f"pets/{name}": content for name, content in FILES.items()})
        shutil.rmtree(pets)
        stopped.prepare_resume(data=str(packed))
    assert go_on(stopped) == [3, 4]
    assert read_json(stopped.path / NOTE)["changes"] == []


def test_moved_data_that_are_others_are_said(stopped, tmp_path):
    other = write_folder(tmp_path / "other", animals(6, seed=500))
    stopped.prepare_resume(data=str(other))
    with pytest.raises(ChangedDataError, match="show something else"):
        go_on(stopped)


def test_other_classes_cannot_be_gone_on_with(stopped, pets):
    write_folder(pets, {"bird/0.png": picture(1), "bird/1.png": picture(2)})
    stopped.prepare_resume(changed_data=True)
    with pytest.raises(DataError, match="they had 2 classes, and have 3; bring back its own, or start a new run"):
        go_on(stopped)


def test_a_run_of_an_earlier_version_goes_on_and_is_noted_from_now_on(stopped, pets, capsys):
    (stopped.path / NOTE).unlink()
    add(pets)
    assert go_on(stopped) == [3, 4]
    assert "this run is of an earlier version" in capsys.readouterr().out
    assert (stopped.path / NOTE).exists()


def test_a_run_that_was_not_changed_says_nothing(stopped, capsys):
    assert go_on(stopped) == [3, 4]
    assert "data" not in capsys.readouterr().out


def test_the_command_line_says_both(stopped, pets, tmp_path, capsys):
    pets.rename(tmp_path / "moved")
    assert cli.main(["resume", str(stopped.path)]) == 1
    assert "no data set" in capsys.readouterr().err
    add(tmp_path / "moved")
    moved = ["resume", str(stopped.path), "--data", str(tmp_path / "moved")]
    assert cli.main(moved) == 1
    assert "--changed-data" in capsys.readouterr().err
    assert cli.main([*moved, "--changed-data"]) == 0
    assert stopped.read("ended.json")["state"] == "finished" and stopped.config.data == str(tmp_path / "moved")


def test_a_queued_resume_takes_the_new_place(stopped, pets, tmp_path):
    pets.rename(tmp_path / "moved")
    stopped.resume(data=str(tmp_path / "moved"), changed_data=True)
    assert stopped.state == "queued" and stopped.config.data == str(tmp_path / "moved")
    assert read_json(stopped.path / CHANGED) == {"accepted": True}
