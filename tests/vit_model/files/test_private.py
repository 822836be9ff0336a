"""Runs and caches are readable by their owner only, and what a user has set up stays as it is."""

import json
import os
import stat

import pytest

from training.config import RunConfig
from training.runs.runs import RunError, Runs
from training.storage.jsonfile import write_json
from vit_model.files.private import fault_of, private_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_is_for_its_owner(tmp_path):
    """run.json tells who owns a run and where its data lies; every user of the computer could read it."""
    run = Runs(tmp_path / "new" / "runs").create(RunConfig.from_dict({"recipe": "scratch-tiny", "steps": 10}))
    assert [mode(path) for path in (tmp_path / "new", tmp_path / "new" / "runs", run.path)] == [0o700] * 3
    assert mode(run.path / "run.json") == 0o600
    run.rename("other")
    assert (json.loads((run.path / "run.json").read_text())["name"], mode(run.path / "run.json")) == ("other", 0o600)


def test_a_folder_that_was_there_stays_as_it_was(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    private_folder(shared / "a" / "b")
    private_folder(shared)
    assert [mode(path) for path in (shared, shared / "a", shared / "a" / "b")] == [0o755, 0o700, 0o700]


def test_other_files_are_written_as_the_user_has_set(tmp_path):
    write_json(tmp_path / "ended.json", {})
    assert mode(tmp_path / "ended.json") == 0o644


def test_a_file_in_a_folders_place_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file" / "below")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    assert fault_of(tmp_path / "new") == ""
    assert mode(tmp_path / "new") == 0o700
    (tmp_path / "file").write_text("x")
    assert fault_of(tmp_path / "file" / "below") == f"cannot write in {tmp_path}/file/below (Not a directory)"


def test_runs_that_cannot_be_written_say_what_to_set(tmp_path, monkeypatch):
    """It was a bare PermissionError, which told the folder and nothing else."""
    config = RunConfig.from_dict({"recipe": "scratch-tiny", "steps": 10})

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("training.runs.run.private_folder", refuse)
    with pytest.raises(RunError, match=r"cannot be written \(Permission denied\); set VIT_EXPLORER_RUNS, or --out, to"):
        Runs(tmp_path / "runs").create(config)
