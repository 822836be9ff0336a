"""The shelf of runs: who sees which, ids that lead nowhere else, the queue."""

import os
import sys

import pytest

from training.runs.runs import Run, RunError, Runs


def test_a_shelf_that_does_not_exist_is_empty(tmp_path):
    assert Runs(tmp_path / "none").list() == [] and Runs(tmp_path / "none").dispatch() == []


def test_the_folder_is_given_or_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIT_EXPLORER_RUNS", raising=False)
    assert Runs().folder == tmp_path / "runs"
    monkeypatch.setenv("VIT_EXPLORER_RUNS", str(tmp_path / "elsewhere"))
    assert Runs().folder == tmp_path / "elsewhere"


def test_newest_first_with_ids_that_tell_recipe_and_time(runs, config):
    made = [runs.create(config, queue=False) for _ in range(3)]
    assert runs.list() == made[::-1]
    assert all(run.id.split("-")[2:-1] == ["scratch", "tiny"] and len(run.id) == 15 + 13 + 7 for run in made)
    strange = runs.create(config.having(recipe="../../<b>Ünï  x"), queue=False)
    assert strange.path.parent == runs.folder and strange.name == "b-n-x"
    assert runs.get(strange.id) == strange


def test_an_owner_sees_and_gets_only_their_own(runs, config):
    ada, bob, nobody = (runs.create(config, owner=owner) for owner in ("ada", "bö", None))
    assert runs.list("ada") == [ada] and runs.list("bö") == [bob] and runs.list("eve") == []
    assert set(runs.list()) == {ada, bob, nobody}
    assert runs.list("") == [], "an empty name owns nothing, not even what nobody owns"
    assert runs.get(ada.id, "ada") == ada and runs.get(ada.id) == ada
    (nobody.path / "run.json").write_text("{")
    for run in (ada, nobody):
        with pytest.raises(RunError) as hidden:
            runs.get(run.id, "eve")
        with pytest.raises(RunError) as missing:
            runs.get("20000101-000000-x-000000", "eve")
        assert str(hidden.value).replace(run.id, "ID") == str(missing.value).replace("20000101-000000-x-000000", "ID")


UP = ["", ".", "..", "../outside", "a/b", "/etc", "a\\b", ".hidden", "link", "x\n", "x" * 500, "ü", None, 7, ["x"]]


@pytest.mark.parametrize("bad", UP)
def test_ids_lead_nowhere_else(runs, config, bad):
    outside = Run.create(runs.folder.parent / "outside", config)
    run = runs.create(config)
    os.symlink(outside.path, runs.folder / "link")
    with pytest.raises(RunError, match="there is no run"):
        runs.get(bad)
    assert runs.list() == [run] and outside.path.exists()


def test_a_folder_that_a_person_named_counts_if_it_holds_a_run(runs, config):
    run = Run.create(runs.folder / "paper", config)
    (runs.folder / "notes").mkdir()
    (runs.folder / "stray.txt").touch()
    assert runs.list() == [run] and runs.get("paper") == run


def test_delete_removes_the_run_and_nothing_else(runs, config, tmp_path):
    run, other = runs.create(config), runs.create(config)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    os.symlink(tmp_path / "precious", run.path / "checkpoints")
    runs.get(run.id).delete()
    assert runs.list() == [other] and not run.path.exists()
    assert (tmp_path / "precious" / "file").exists()
    assert [path.name for path in runs.folder.iterdir() if path.name != ".lock"] == [other.id]
    with pytest.raises(RunError, match="does not look like a run"):
        run.delete()
    with pytest.raises(RunError, match="does not look like a run"):
        Run(tmp_path / "precious").delete()
    with pytest.raises(RunError, match="there is no run in"):
        run.resume()


def test_a_linked_run_is_not_deleted(runs, config, tmp_path):
    run = Run.create(tmp_path / "far", config)
    runs.folder.mkdir(parents=True)
    os.symlink(run.path, runs.folder / "near")
    with pytest.raises(RunError, match="does not look like a run"):
        Run(runs.folder / "near").delete()
    assert run.path.exists()


def test_the_oldest_waits_the_shortest(runs, config):
    first, second = runs.create(config), runs.create(config)
    first.ask_stop()
    assert first.status().state == "stopped" and first.reason == "stopped while it waited in the queue"
    first.resume()  # to the end of the queue
    assert runs.dispatch() == [second]


@pytest.mark.skipif(sys.platform == "win32", reason="fake workers use POSIX signals")
def test_one_run_a_device_and_auto_is_asked_for(runs, config):
    made = [runs.create(config.having(device=device)) for device in ("cpu", "auto", "cuda", "cuda:1", "cpu")]
    gpu = lambda device: "cuda:0" if device == "auto" else device  # noqa: E731
    assert runs.dispatch(gpu) == [made[0], made[1], made[3]]
    assert [run.state for run in made] == ["running", "running", "queued", "running", "queued"]
    assert runs.dispatch(gpu) == []
    made[1].stop()
    assert runs.dispatch(gpu) == [made[2]]


@pytest.mark.skipif(sys.platform == "win32", reason="fake workers use POSIX signals")
def test_a_live_run_whose_device_cannot_be_told_holds_up_the_queue(runs, config):
    run, waiting = runs.create(config, queue=False), runs.create(config)
    run.start()
    content = (run.path / "run.json").read_text()
    (run.path / "run.json").write_text("{")
    assert run.status().state == "running" and run.reason.startswith("run.json cannot be read")
    assert runs.dispatch() == [] and waiting.state == "queued"
    (run.path / "run.json").write_text(content)
    run.stop()
    assert runs.dispatch() == [waiting]


def test_what_can_be_resumed(runs, config):
    run = runs.create(config)
    with pytest.raises(RunError, match="is queued; only a run that stopped or failed can be resumed"):
        run.resume()
    (run.path / "queued.json").unlink()
    run.end("finished")
    with pytest.raises(RunError, match="has finished; to train longer, start a new run with more steps"):
        run.resume()
    run.end("failed", "no reason")
    (run.path / "stop.json").write_text("{}")
    run.resume()
    assert run.state == "queued" and not run.stop_requested()


def test_a_device_function_that_fails_is_not_hidden(runs, config):
    runs.create(config)

    def broken(device):
        raise KeyError(device)

    with pytest.raises(KeyError):
        runs.dispatch(broken)
