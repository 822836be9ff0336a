"""Published numbers of a run's recipe beside those that the run reached, and the trials of its learning-rate sweep."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from explorer.tabs.train.runs.overlay import curves_of, events_of, thinned
from explorer.ui.translation import translate_both
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.words import TEXT, say_both
from training.command import public_name
from training.config import RunConfig
from training.recipes import RECIPES, Recipe
from training.runs.results import number, read_accuracy, read_object
from training.runs.run import Run
from vit_model.messages import message_of

MOST_TRIALS = 24
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._+-]{0,127})?", re.ASCII)
# What decides neither what is learned nor what is reported
_ASIDE = {"recipe", "data", "model", "device", "workers", "seed", "tensorboard", "log_every", "eval_every"} | {
    "checkpoint_every",
    "keep_every",
    "compile",
    "accumulation",
}


def published_value(run: Run) -> dict[str, Any] | None:
    """Return a value for `FactTable`; None if the run's recipe has no published numbers, or is unknown."""
    try:
        config = run.config
    except ValueError:
        return None
    recipe = RECIPES.get(config.recipe)
    if recipe is None or not (recipe.published or recipe.published_at):
        return None
    data, model = _data_name(config.data), config.model
    rows, foreign = _published(recipe, data, model)
    shown = {"model": public_name(model), "data": public_name(config.data)}
    tests = [event for event in events_of(run) if event.split == "test" and "accuracy" in event.values]
    for (set_, epoch), accuracy in sorted(recipe.published_at.items()):
        if set_ != data:
            continue
        rows.append([say_both("published_of_epoch", data=set_, epoch=epoch), _percent(accuracy)])
        near = [event for event in tests if abs(event.epoch - epoch) < 0.02]
        if near:
            reached = near[-1].values["accuracy"]
            rows.append([say_both("published_reached_epoch", epoch=epoch), _percent(reached)])
    reached = read_accuracy(run.path, "test")
    rows.append(
        [
            say_both("published_reached", **shown),
            say_both("published_not_yet") if reached is None else _percent(reached),
        ]
    )
    notes = []
    if len(rows) == 1:
        notes.append(say_both("published_none", data=shown["data"]))
    told = {"recipe": recipe.name, "source": recipe.source}
    if foreign:
        notes.append(say_both("published_other_model", published=foreign, model=shown["model"], **told))
    else:
        notes.append(say_both("published_same", **told))
    if changed := _changed(recipe, config):
        notes.append(say_both("published_changed", fields=", ".join(changed)))
    return {
        "title": say_both("published_title"),
        "note": {language: " ".join(note[language] for note in notes) for language in TEXT},
        "head": [say_both("published_what"), say_both("published_accuracy")],
        "rows": rows,
    }


@dataclass(frozen=True)
class Trial:
    """One learning rate of a sweep: its held-out accuracy where it has ended, and its run where there is one yet."""

    rate: float
    accuracy: float | None = None
    picked: bool = False
    run: Run | None = None


def trials_of(run: Run) -> list[Trial]:
    """Read the trials from sweep.json, else from run.json. ValueError if sweep.json is damaged."""
    found = read_object(run.path / "sweep.json")
    if found is None:
        return [Trial(rate) for rate in run.sweep]
    rates = [number(rate) for rate in _listed(found.get("rates"))][:MOST_TRIALS]
    folders, accuracies = _listed(found.get("trials")), _listed(found.get("accuracies"))
    best, trials = number(found.get("best")), []
    for index, rate in enumerate(rates):
        accuracy = number(accuracies[index]) if index < len(accuracies) else number(None)
        trial = _trial_run(run, folders[index]) if index < len(folders) else None
        trials.append(Trial(rate, accuracy if 0 <= accuracy <= 1 else None, rate == best, trial))
    return trials


def sweep_value(run: Run) -> dict[str, Any] | None:
    """Return a value for `SweepView`; None for a run without a sweep."""
    try:
        trials = trials_of(run)
    except ValueError as error:
        note = say_both("sweep_reading", reason=translate_both(without_folders(message_of(error))))
        return {"trials": [_trial(Trial(rate)) for rate in run.sweep], "note": note}
    if not trials:
        return None
    note = say_both("sweep_done" if any(trial.picked for trial in trials) else "sweep_going")
    return {"trials": [_trial(trial) for trial in trials], "note": note}


def _published(recipe: Recipe, data: str, model: str) -> tuple[list[list], str]:
    """Return (rows, the models of the numbers if this run's model is none of them)."""
    exact = recipe.published.get((data, model))
    if exact is not None:
        return [[say_both("published_of", model=model, data=data), _percent(exact)]], ""
    others = [(theirs, accuracy) for (set_, theirs), accuracy in recipe.published.items() if set_ == data]
    rows = [[say_both("published_of", model=theirs, data=data), _percent(accuracy)] for theirs, accuracy in others]
    names = [theirs for theirs, _ in others]
    if any(set_ == data for set_, _ in recipe.published_at) and model != recipe.fields.get("model"):
        names.append(str(recipe.fields.get("model")))
    return rows, ", ".join(names)


def _changed(recipe: Recipe, config: RunConfig) -> list[str]:
    """List the fields that differ from the recipe's own for this data set, by their names on the page."""
    plain = recipe.config(data=_data_name(config.data), model=config.model).to_dict()
    ours = config.to_dict()
    aside = _ASIDE | ({"lr", "held_out"} if recipe.sweep else set())  # the sweep's to choose
    return [name for name, value in ours.items() if name not in aside and value != plain[name]]


def _data_name(source: str) -> str:
    """ "cifar10" also for an archive of it, such as /data/cifar10.tar.xz."""
    return public_name(source).partition(".")[0] if not source.startswith("hf:") else source


def _trial_run(run: Run, folder: Any) -> Run | None:
    """Return the run of one trial: a folder inside this run's or beside it; None for any other place."""
    if not isinstance(folder, str) or not _FOLDER.fullmatch(folder) or ".." in folder:
        return None
    for path in (run.path / folder, run.path / "trials" / folder, run.path.parent / folder):
        if path.is_dir() and not path.is_symlink():
            return Run(path)
    return None


def _trial(trial: Trial) -> dict[str, Any]:
    curve = None if trial.run is None else curves_of(trial.run).get(("val", "accuracy"))
    curve = None if curve is None else thinned(curve, 200)
    points = (
        []
        if curve is None
        else [(s, v) for s, v in zip(curve.step.tolist(), curve.value.tolist(), strict=True) if v == v]
    )
    accuracy = trial.accuracy
    if accuracy is None and points:
        accuracy = max(value for _, value in points)
    return {
        "rate": f"{trial.rate:.6g}",
        "accuracy": accuracy,
        "picked": trial.picked,
        "steps": [step for step, _ in points],
        "values": [value for _, value in points],
    }


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else []


def _percent(value: float) -> str:
    return f"{100 * value:.2f}%"
