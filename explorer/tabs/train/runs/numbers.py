"""Results, curves and sweeps of runs as arrays, with a manifest that says where they are from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from explorer.tabs.train.results.published import trials_of
from explorer.tabs.train.runs.evaluation import Evaluation
from explorer.tabs.train.runs.overlay import events_of
from training.command import public_name
from training.runs.metrics import MetricEvent
from training.runs.run import Run

Numbers = tuple[dict[str, np.ndarray], dict[str, Any]]
"""(arrays, manifest), as `explorer.figures.export.save_npz` takes them."""


def result_numbers(run: Run, found: Evaluation) -> Numbers:
    """`confusion` [K, K], `per_class_accuracy` [K], `classes` [K], and with single answers known `index`, `label`,
    `predicted`, `probability`, all [n]."""
    arrays = {"confusion": found.confusion, "per_class_accuracy": found.per_class, "classes": np.array(found.classes)}
    if found.answers is not None:
        arrays |= vars(found.answers)
    manifest = {
        **_about(run),
        "split": found.split,
        "step": found.step,
        "checkpoint": found.checkpoint,
        "accuracy": found.accuracy if math.isfinite(found.accuracy) else None,
        "loss": found.loss if math.isfinite(found.loss) else None,
        "confusion": "rows true, columns predicted",
    }
    return arrays, manifest | _made()


def curve_numbers(runs: Sequence[Run]) -> Numbers:
    """All events of the runs, one row for each [n]: `run` (its place in the manifest's `runs`), `split`, `step`,
    `epoch`, `seconds`, and one array for each measured value, NaN where an event has none of that name."""
    rows = [(place, event) for place, run in enumerate(runs) for event in events_of(run)]
    names = sorted({name for _, event in rows for name in event.values})
    arrays = {"run": np.array([place for place, _ in rows], np.int64), **_columns([event for _, event in rows])}
    for name in names:
        arrays[f"value_{name}"] = np.array([event.values.get(name, math.nan) for _, event in rows], np.float64)
    return arrays, curves_manifest(runs)


def curves_manifest(runs: Sequence[Run]) -> dict[str, Any]:
    return {"runs": [_about(run) for run in runs]} | _made()


def sweep_numbers(run: Run) -> Numbers | None:
    """`rates` [T], the best held-out `accuracies` [T] (NaN: not measured) and `picked` [T] of a sweep, and its curves
    as rows [n]: `trial` (0 to T - 1), `step`, `accuracy`. None for a run without a sweep."""
    trials = trials_of(run)
    if not trials:
        return None
    points = [
        (place, event.step, event.values["accuracy"])
        for place, trial in enumerate(trials)
        for event in (events_of(trial.run) if trial.run else ())
        if event.split == "val" and "accuracy" in event.values
    ]
    arrays = {
        "rates": np.array([trial.rate for trial in trials]),
        "accuracies": np.array([math.nan if trial.accuracy is None else trial.accuracy for trial in trials]),
        "picked": np.array([trial.picked for trial in trials]),
        "trial": np.array([place for place, _, _ in points], np.int64),
        "step": np.array([step for _, step, _ in points], np.int64),
        "accuracy": np.array([accuracy for _, _, accuracy in points], np.float64),
    }
    return arrays, _about(run) | _made()


def _columns(events: Sequence[MetricEvent]) -> dict[str, np.ndarray]:
    return {
        "split": np.array([event.split for event in events], "U5"),
        "step": np.array([event.step for event in events], np.int64),
        "epoch": np.array([event.epoch for event in events], np.float64),
        "seconds": np.array([event.seconds for event in events], np.float64),
    }


def _about(run: Run) -> dict[str, Any]:
    """Describe the run without the folders of this computer; without its config if run.json is damaged."""
    try:
        config = run.config.to_dict()
    except ValueError:
        return {"run": run.id, "name": run.name, "config": None}
    shown = {name: public_name(config[name]) for name in ("data", "model")}
    return {"run": run.id, "name": run.name, "config": config | shown}


def _made() -> dict[str, Any]:
    return {
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
