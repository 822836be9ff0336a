"""What a visitor's runs may take, told before they start where it can be, else while they train; turns in the queue."""

import time
from dataclasses import replace

import pytest

from training.loop.loop import open_training
from training.recipes import RECIPES
from training.runs import bounds
from training.runs.bounds import BoundError, Bounds
from training.runs.runs import Dispatcher, Run

SMALL = Bounds(runs=2, kept=4, everyone=3, steps=1000, minutes=10, batch=64, parameters=10**7, patches=256, reserve=0)


@pytest.fixture(autouse=True)
def visitor(monkeypatch):
    monkeypatch.setattr(bounds, "VISITOR", SMALL)


def create(runs, config, owner="ada", **choices):
    return runs.create(config, owner=owner, guest=True, **choices)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 10**9}, "steps is 1,000,000,000, and this host lets visitors have at most 1,000"),
        ({"minutes": 10**6}, "minutes is 1,000,000, and this host lets visitors have at most 10"),
        ({"epochs": 10**6}, "epochs is 1,000,000, and this host lets visitors have at most 1,000"),
        ({"batch": 2**20}, "batch is 1,048,576, and this host lets visitors have at most 64"),
        ({"workers": 64}, "workers is 64, and this host lets visitors have at most 4"),
        ({"width": 8192, "depth": 128, "heads": 8}, "parameters is 103,"),
        ({"resolution": 4096, "patch_size": 64}, "resolution is 4,096, and this host lets visitors have at most 256"),
        ({"resolution": 64, "patch_size": 2}, "patches is 1,024, and this host lets visitors have at most 256"),
        ({"resolution": 32, "stages": ((16, 0.001),) * 21}, "stages is 21"),
        ({"test_at": tuple(range(201))}, "test_at is 201"),
    ],
)
def test_a_run_without_bounds_of_a_visitor(runs, config, changes, said):
    wanted = config.having(**changes)
    with pytest.raises(BoundError) as caught:
        create(runs, wanted)
    assert str(caught.value).startswith(said)
    assert runs.list() == []
    assert runs.create(wanted, owner="ada"), "the host has none"


def test_the_trials_of_a_sweep_are_counted(runs, config):
    assert create(runs, config.having(steps=400), sweep=(0.1,))
    with pytest.raises(BoundError, match=r"steps is 1,200 \(3 x 400\)"):
        create(runs, config.having(steps=400), sweep=(0.1, 0.2))
    with pytest.raises(BoundError, match="rates is 9"):
        create(runs, config.having(steps=1), sweep=tuple(0.1 * n for n in range(1, 10)))


def test_one_visitor_has_so_many_runs_waiting_and_all_together_so_many(runs, config):
    first, _ = create(runs, config), create(runs, config)
    with pytest.raises(BoundError, match="you have 2 runs waiting or running"):
        create(runs, config)
    create(runs, config, owner="bob")
    with pytest.raises(BoundError, match="visitors have 3 runs"):
        create(runs, config, owner="eve")
    assert runs.create(config), "the host is not counted"
    first.ask_stop()
    assert create(runs, config)


def test_one_visitor_keeps_so_many_runs(runs, config):
    for _ in range(SMALL.kept):
        create(runs, config).ask_stop()
    with pytest.raises(BoundError, match="you keep 4 runs here"):
        create(runs, config)
    create(runs, config, owner="bob")
    runs.list("ada")[0].delete()
    create(runs, config)


def test_a_resume_is_counted_like_a_start(runs, config):
    stopped = create(runs, config)
    stopped.ask_stop()
    create(runs, config), create(runs, config)
    with pytest.raises(BoundError, match="you have 2 runs"):
        runs.resume(stopped, guest=True)
    assert stopped.state == "stopped"
    runs.resume(stopped)
    assert stopped.state == "queued", "the host's word counts"


def test_a_run_from_before_there_were_bounds_is_not_resumed_beyond_them(runs, config, monkeypatch):
    monkeypatch.setattr(bounds, "VISITOR", Bounds(steps=10**9, reserve=0))
    old = create(runs, config.having(steps=10**6))
    old.ask_stop()
    monkeypatch.setattr(bounds, "VISITOR", SMALL)
    with pytest.raises(BoundError, match="steps is 1,000,000"):
        runs.resume(old, guest=True)


def test_resumes_do_not_add_up_to_more_minutes(runs, config):
    run = create(runs, config)
    run.ask_stop()
    run.write_progress({"seconds": 60.0 * SMALL.minutes})
    with pytest.raises(BoundError, match="it has trained for 10 minutes"):
        runs.resume(run, guest=True)


def test_runs_and_uploads_share_a_visitors_disk(runs, config, monkeypatch):
    monkeypatch.setattr(bounds, "VISITOR", replace(SMALL, disk=100_000))
    upload = runs.folder / "uploads" / "abc" / "data.zip"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"x" * 60_000)
    create(runs, config.having(data=str(upload)))
    with pytest.raises(BoundError, match=r"your runs and uploads take 0\.1 MB"):
        runs.check_guest(config, "ada", more=50_000)
    runs.check_guest(config, "bob", more=50_000)
    run = runs.list("ada")[0]
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "weights").write_bytes(b"x" * 50_000)
    with pytest.raises(BoundError, match="your runs and uploads take"):
        create(runs, config)


def test_visitors_leave_some_of_the_disk_free(runs, config, monkeypatch):
    monkeypatch.setattr(bounds, "VISITOR", replace(SMALL, reserve=10**9))
    monkeypatch.setattr(bounds, "free_bytes", lambda folder: 10**8)
    with pytest.raises(BoundError, match=r"disk has 100\.0 MB left, and visitors leave 1\.0 GB free"):
        create(runs, config)


@pytest.mark.parametrize("cause", ["time", "disk"])
def test_a_visitors_run_that_takes_more_than_it_may_is_stopped_and_says_why(runs, config, cause, monkeypatch):
    run, hosts = create(runs, config), runs.create(config, owner="ada")
    for one in (run, hosts):
        one.begin(shared=True)
    if cause == "time":
        later = time.time() + 60 * SMALL.minutes + 5
        monkeypatch.setattr(bounds.time, "time", lambda: later)
    else:
        monkeypatch.setattr(bounds, "VISITOR", replace(SMALL, disk=100))
    Dispatcher(runs).tick()
    assert run.stop_requested() and not hosts.stop_requested()
    for one in (run, hosts):
        one.end("stopped", goes_on=True)
    said = {"time": "at most 10 minutes", "disk": "your runs and uploads take"}[cause]
    assert said in run.stop_reason


def test_a_run_within_its_bounds_goes_on(runs, config):
    run = create(runs, config)
    run.begin(shared=True)
    Dispatcher(runs).tick()
    assert not run.stop_requested()
    run.end("stopped", goes_on=True)


def test_what_only_the_data_and_the_model_tell_is_checked_when_they_are_there(runs, config, monkeypatch):
    few = config.having(epochs=20.0, model="bundled", batch=64, resolution=None)
    run = create(runs, few)
    monkeypatch.setattr(bounds, "VISITOR", replace(SMALL, steps=100, parameters=10**8))
    with pytest.raises(BoundError, match="steps is"):
        open_training(run, few)
    monkeypatch.setattr(bounds, "VISITOR", replace(SMALL, parameters=1000))
    with pytest.raises(BoundError, match="parameters is"):
        open_training(run, few)


def test_the_host_sets_the_bounds_by_its_environment():
    assert Bounds.of({}) == Bounds()
    assert Bounds.of({"VIT_EXPLORER_VISITOR_RUNS": "7", "VIT_EXPLORER_VISITOR_DISK": " "}) == Bounds(runs=7)
    with pytest.raises(ValueError, match="VIT_EXPLORER_VISITOR_STEPS must be a whole number, got 'many'"):
        Bounds.of({"VIT_EXPLORER_VISITOR_STEPS": "many"})


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_within_the_bounds_that_are_set_by_default(name):
    recipe = RECIPES[name]
    Bounds().check_config(recipe.config(), recipe.sweep)


# Turns


def started(runs, config, count):
    """Who is started, one after the other, on one device."""
    order = []
    for _ in range(count):
        (run,) = runs.dispatch()
        order.append(run.name)
        run.end("finished", goes_on=True)
        time.sleep(0.02)  # the order of two turns is by their times
    return order


def test_owners_take_turns(runs, config, monkeypatch):
    monkeypatch.setattr(Run, "start_queued", lambda run: run.begin(shared=True) is None)
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        runs.create(config, owner=name[0], name=name)
        time.sleep(0.01)
    assert started(runs, config, 6) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_of_one_owner_the_first_comes_first(runs, config, monkeypatch):
    monkeypatch.setattr(Run, "start_queued", lambda run: run.begin(shared=True) is None)
    for name in "123":
        runs.create(config, name=name)
        time.sleep(0.01)
    assert started(runs, config, 3) == ["1", "2", "3"]
