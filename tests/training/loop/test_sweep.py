"""The learning-rate sweep over a training loop that needs no time: what it tries, picks, keeps and tells."""

import json
from types import SimpleNamespace

import pytest

from training.config import ConfigError
from training.errors import TrainingError
from training.loop import sweep
from training.recipes import RECIPES
from training.runs.metrics import MetricEvent, append_events
from training.runs.runs import Run

ACCURACY = {0.001: 0.5, 0.003: 0.75, 0.01: 0.75, 0.03: 0.25}


class Loop:
    """Takes the place of `loop.open_training`, `loop.go` and `loop.train`. `trained` lists (folder,
    config, whether the test set was open) of all that was trained to its end."""

    def __init__(self, accuracies):
        self.accuracies, self.trained, self.begun = accuracies, [], []

    def built(self, run, config, local_paths):
        self.begun.append(run.id)
        feed = SimpleNamespace(has_test=True)
        return SimpleNamespace(feed=feed, go=lambda should_stop, deadline: self.go(run, config, should_stop, feed))

    def once(self, run, config, *, should_stop, deadline, local_paths):
        training = self.built(run, config, local_paths)
        return (yield from training.go(should_stop, deadline))

    def go(self, run, config, should_stop, feed):
        for step in (1, 2):
            if should_stop():
                return "stopped"
            accuracy = self.accuracies[config.lr]
            if isinstance(accuracy, Exception):
                raise accuracy
            run.write_progress({"step": step, "steps": 2, "seconds": 10.0 * step, "seconds_left": 20.0 - 10 * step})
            better = {"accuracy": accuracy if step == 2 else 0.9}  # early luck must not win
            event = MetricEvent(step, step / 2, 10.0 * step, "val" if config.held_out else "train", better)
            append_events(run.path / "events.jsonl", [event])
            yield event
        (run.path / "checkpoints" / "step-00000002").mkdir(parents=True, exist_ok=True)
        self.trained.append((run.path, config, feed.has_test))
        return "finished"


@pytest.fixture
def loop(monkeypatch):
    loop = Loop(dict(ACCURACY))
    monkeypatch.setattr(sweep, "open_training", loop.built)
    monkeypatch.setattr(sweep, "go", lambda state, *ends: state.go(*ends))
    monkeypatch.setattr(sweep, "train_once", loop.once)
    return loop


@pytest.fixture
def run(tmp_path, config):
    return Run.create(tmp_path / "run", config.having(lr=0.5, test_at=(1,)), sweep=(0.03, 0.001, 0.01, 0.003))


def go(run, should_stop=lambda: False):
    """(events, state) of a sweep."""
    events, steps = [], sweep.train(run, run.config, should_stop=should_stop)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def summary(run):
    return json.loads((run.path / "sweep.json").read_text())


def test_the_best_rate_trains_on_everything_and_alone_reads_the_test_set(run, loop):
    events, state = go(run)
    assert state == "finished" and len(events) == 10
    *trials, (folder, final, tested) = loop.trained
    assert [config.lr for _, config, _ in trials] == sorted(ACCURACY)
    assert all(config.held_out == 0.1 and not test and config.test_at == () for _, config, test in trials)
    assert [path.parent for path, _, _ in trials] == [run.path / "trials"] * 4
    assert folder == run.path and tested
    assert (final.lr, final.held_out, final.test_at) == (0.003, 0.0, (1,)), "of equals the smaller rate"
    assert [event.split for event in run.events()[0]] == ["train", "train"], "the final run's alone"
    assert summary(run) == {
        "rates": [0.001, 0.003, 0.01, 0.03],
        "trials": ["lr-0.001", "lr-0.003", "lr-0.01", "lr-0.03"],
        "accuracies": [0.5, 0.75, 0.75, 0.25],
        "best": 0.003,
    }
    tries = [Run(run.path / "trials" / name) for name in summary(run)["trials"]]
    assert [one.state for one in tries] == ["finished"] * 4, "though the process that trained them goes on"
    assert not any((one.path / "checkpoints").exists() for one in tries)


def test_stopped_and_resumed_it_keeps_what_is_finished(run, loop):
    asked = iter([False] * 5)  # in the midst of the third trial
    _, state = go(run, lambda: next(asked, True))
    assert state == "stopped" and loop.begun == ["lr-0.001", "lr-0.003", "lr-0.01"]
    assert summary(run)["accuracies"] == [0.5, 0.75] and summary(run)["best"] is None
    assert Run(run.path / "trials" / "lr-0.01").state == "stopped"
    loop.begun.clear()
    assert go(run)[1] == "finished"
    assert loop.begun == ["lr-0.01", "lr-0.03", "run"] and summary(run)["best"] == 0.003
    loop.begun.clear()
    assert go(run)[1] == "finished" and loop.begun == ["run"]


def test_a_killed_trial_is_tried_again_from_where_it_was(run, loop):
    steps = sweep.train(run, run.config)
    next(steps)
    steps.close()
    trial = Run(run.path / "trials" / "lr-0.001")
    assert trial.status().state == "failed" and trial.reason == "its sweep was interrupted"
    (trial.path / "checkpoints" / "step-00000001").mkdir(parents=True)
    (run.path / "trials" / "lr-0.003").mkdir()  # killed before it wrote a run.json
    assert go(run)[1] == "finished" and summary(run)["best"] == 0.003


def test_a_rate_that_breaks_down_is_out_of_the_race(run, loop):
    loop.accuracies[0.003] = TrainingError("the training loss became nan")
    assert go(run)[1] == "finished"
    assert summary(run)["accuracies"] == [0.5, None, 0.75, 0.25] and summary(run)["best"] == 0.01
    trial = Run(run.path / "trials" / "lr-0.003")
    assert (trial.state, trial.reason) == ("failed", "the training loss became nan")


def test_no_rate_that_could_train_is_a_plain_fault(run, loop):
    loop.accuracies = dict.fromkeys(ACCURACY, TrainingError("the training loss became nan"))
    with pytest.raises(TrainingError, match=r"no learning rate of 0\.001, 0\.003, 0\.01, 0\.03 could train: .*nan"):
        go(run)


def test_a_fault_of_the_run_is_not_one_of_the_rate(run, loop):
    loop.accuracies[0.001] = ConfigError("there is no such data set")
    with pytest.raises(ConfigError):
        go(run)
    assert loop.begun == ["lr-0.001"]


def test_the_run_tells_which_trial_it_is_at_and_how_long_all_take(run, loop):
    steps = sweep.train(run, run.config)
    next(steps)
    assert run.progress["note"] == "trial 1 of 4: learning rate 0.001"
    assert run.progress["seconds_left"] == 10 + 4 * 20
    for _ in range(8):
        next(steps)
    assert "note" not in run.progress and run.progress["seconds_left"] == 10
    steps.close()


def test_how_much_is_held_out_in_a_trial(config):
    paper = RECIPES["paper"].config(data="pets")
    assert sweep.trial_config(paper, 0.01).held_out == 0.1
    assert sweep.trial_config(paper.having(data="cifar10"), 0.01).held_out == 0.02
    assert sweep.trial_config(paper.having(data="cifar10", held_out=0.3), 0.01).held_out == 0.3
    assert sweep.trial_config(config.having(recipe="custom", held_out=0.0), 0.01).held_out == 0.1


def test_rates_that_cannot_be_are_refused(tmp_path, config):
    for rate in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(ConfigError, match="lr must be"):
            Run.create(tmp_path / "run", config, sweep=(0.1, rate))
    assert not (tmp_path / "run").exists()
