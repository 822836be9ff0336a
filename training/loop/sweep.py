"""The paper's protocol for the learning rate (B.1.1): try several on a held-out part of the training set, then train on
all of it with the best. The test set is read once, at the end of that."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator

from training.config import RunConfig
from training.errors import TrainingError
from training.loop import parallel
from training.loop.loop import go, open_training
from training.loop.loop import train as train_once
from training.recipes import RECIPES
from training.runs.metrics import MetricEvent
from training.runs.record import is_number
from training.runs.runs import Run
from training.storage.jsonfile import write_json
from vit_model.messages import Message, message, message_of

HELD_OUT = 0.1  # where neither the run nor its recipe says how much


def train(
    run: Run,
    config: RunConfig,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    deadline: float | None = None,
    local_paths: bool = True,
) -> Iterator[MetricEvent]:
    """Train a run with rates to sweep: arguments, events and return value as of `loop.train`.

    Each rate trains a run of its own in `trials/`, on the training set less `config.held_out` of it (0: the recipe's
    share). The best by held-out accuracy after the last step, the smaller rate of equal ones, then trains this run on
    the whole training set. `sweep.json` tells how far it is. A rate at which training breaks down is out of the race;
    TrainingError if all do. A resume goes on with the trial that was stopped; finished ones are not trained again.
    """
    rates, accuracies = sorted(set(run.sweep)), []
    faults: list[Message] = []
    for index, rate in enumerate(rates):
        trial = _Trial(run, index, rates)
        write_summary(run, rates, accuracies)
        if not parallel.agree(float(trial.state == "finished")):
            try:
                state = yield from _try(trial, trial_config(config, rate), should_stop, deadline, local_paths)
            except TrainingError as error:
                faults.append(message_of(error))
            else:
                if state == "stopped":
                    return "stopped"
        accuracies.append(_held_out_accuracy(trial))
    best = parallel.agree(best_rate(rates, accuracies))
    if math.isnan(best):
        text, named = "no learning rate of {rates} could train: {reason}", ", ".join(f"{rate:g}" for rate in rates)
        raise TrainingError(message("no_rate_trains", text, rates=named, reason=faults[-1]))
    write_summary(run, rates, accuracies, best)
    if parallel.rank() == 0:
        print(f"learning rate {best:g} was the best; now on the whole training set", flush=True)
    final = config.having(lr=best, held_out=0.0)
    return (yield from train_once(run, final, should_stop=should_stop, deadline=deadline, local_paths=local_paths))


def trial_config(config: RunConfig, rate: float) -> RunConfig:
    """Return the config of one trial: the run's own, on a part of the training set and without the test set."""
    recipe = RECIPES.get(config.recipe)
    fields = dict(recipe.sweep_fields.get(config.data, {})) if recipe else {}
    share = config.held_out or fields.get("held_out") or HELD_OUT
    return config.having(**fields | {"lr": rate, "held_out": share, "test_at": ()})


def best_rate(rates: list[float], accuracies: list[float | None]) -> float:
    """Return the rate with the highest accuracy, the smaller one of equals; NaN if none has any."""
    ranked = [(accuracy, -rate) for rate, accuracy in zip(rates, accuracies, strict=True) if accuracy is not None]
    return -max(ranked)[1] if ranked else math.nan


def write_summary(run: Run, rates: list[float], accuracies: list[float | None], best: float | None = None) -> None:
    """Write sweep.json: `rates`, `trials` (folders in `trials/`), `accuracies` so far, null for a rate that broke down,
    and `best` once it is known."""
    if parallel.rank() == 0:
        told = {"rates": rates, "trials": [_name(rate) for rate in rates]}
        write_json(run.path / "sweep.json", told | {"accuracies": accuracies, "best": best})


class _Trial(Run):
    """The run of one rate, whose progress the sweep's run reports too."""

    def __init__(self, parent: Run, index: int, rates: list[float]):
        super().__init__(parent.path / "trials" / _name(rates[index]))
        self.parent, self.left = parent, len(rates) - index  # trials after this one, and the final run
        text, rate = "trial {number} of {count}: learning rate {rate}", f"{rates[index]:g}"
        self.note = message("trial", text, number=index + 1, count=len(rates), rate=rate)

    def write_progress(self, progress: dict) -> None:
        super().write_progress(progress)
        told, left = progress | {"note": self.note}, progress.get("seconds_left")
        if is_number(left):
            told["seconds_left"] = left + self.left * (left + progress.get("seconds", 0.0))
        self.parent.write_progress(told)


def _try(
    trial: _Trial, config: RunConfig, should_stop: Callable[[], bool], deadline: float | None, local_paths: bool
) -> Iterator[MetricEvent]:
    if parallel.rank() == 0:
        if trial.fault:  # not made yet, or the server was killed while it was
            shutil.rmtree(trial.path, ignore_errors=True)
            Run.create(trial.path, config, guest=trial.parent.guest)
        trial.begin()
        print(trial.note, flush=True)
    parallel.wait()
    state, reason = "failed", message("sweep_interrupted", "its sweep was interrupted")
    try:
        training = open_training(trial, config, local_paths)
        training.feed.has_test = False  # that is for the final run alone
        state, reason = (yield from go(training, should_stop, deadline)), Message("")
        return state
    except Exception as error:
        reason = message_of(error)
        raise
    finally:
        if parallel.rank() == 0:
            trial.end(state, reason, goes_on=True)
            if state == "finished":  # its curve and its answers are what counts; the weights would fill the disk
                shutil.rmtree(trial.path / "checkpoints", ignore_errors=True)


def _held_out_accuracy(trial: Run) -> float | None:
    """Return the held-out accuracy after the last step; None for a trial that did not get there."""
    if trial.state != "finished":
        return None
    accuracies = [event.values.get("accuracy") for event in trial.curve() if event.split == "val"]
    return accuracies[-1] if accuracies and is_number(accuracies[-1]) else None


def _name(rate: float) -> str:
    return f"lr-{rate!r}"
