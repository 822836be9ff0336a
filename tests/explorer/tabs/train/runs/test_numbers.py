"""Results, curves and sweeps as arrays: they hold what the page shows, say where it is from, and tell no paths."""

import json

import numpy as np
import pytest

from explorer.figures.export import load_npz, save_npz
from explorer.tabs.train.runs.evaluation import read_evaluation
from explorer.tabs.train.runs.numbers import curve_numbers, result_numbers, sweep_numbers
from explorer.tabs.train.runs.overlay import events_of
from tests.explorer.tabs.train.run_folders import HOSTILE, write_events, write_run
from training.config import RunConfig
from training.runs.runs import Run, Runs
from training.storage.jsonfile import write_json


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def through_a_file(tmp_path, found):
    save_npz(tmp_path / "found.npz", *found)
    return load_npz(tmp_path / "found.npz")


def test_results_with_every_single_answer(runs, tmp_path):
    run = write_run(runs, "<img src=x>", classes=HOSTILE, pictures=3, data=str(tmp_path / "secret" / "pets"))
    arrays, manifest = through_a_file(tmp_path, result_numbers(run, read_evaluation(run.path, "test")))
    assert list(arrays["classes"]) == list(HOSTILE)
    counted = np.zeros_like(arrays["confusion"])
    np.add.at(counted, (arrays["label"], arrays["predicted"]), 1)
    assert (counted == arrays["confusion"]).all()
    right = [(arrays["predicted"] == arrays["label"])[arrays["label"] == k].mean() for k in range(len(HOSTILE))]
    assert arrays["per_class_accuracy"] == pytest.approx(right)
    assert (manifest["run"], manifest["split"], manifest["config"]["data"]) == (run.id, "test", "pets")
    assert str(tmp_path) not in json.dumps(manifest)


def test_the_curves_of_two_runs_row_by_row(runs, tmp_path):
    made = [write_run(runs, "one", steps=20), write_run(runs, "two", steps=30, lr=0.5)]
    arrays, manifest = through_a_file(tmp_path, curve_numbers(made))
    assert [about["name"] for about in manifest["runs"]] == ["one", "two"]
    assert manifest["runs"][1]["config"]["lr"] == 0.5
    for place, run in enumerate(made):
        events, mine = events_of(run), arrays["run"] == place
        assert arrays["step"][mine].tolist() == [event.step for event in events]
        assert arrays["split"][mine].tolist() == [event.split for event in events]
        expected = [event.values.get("accuracy", np.nan) for event in events]
        np.testing.assert_array_equal(arrays["value_accuracy"][mine], expected)


def test_a_damaged_run_among_them_harms_nothing(runs, tmp_path):
    made = [write_run(runs, "one"), write_run(runs, "two")]
    (made[0].path / "run.json").write_text("{")
    arrays, manifest = curve_numbers(made)
    assert manifest["runs"][0]["config"] is None and (arrays["run"] == 0).any()


def test_a_sweep_with_its_trials_and_what_was_picked(runs, tmp_path):
    run = runs.create(RunConfig(recipe="paper", steps=40), sweep=(0.001, 0.01, 0.1), queue=False)
    before, _ = sweep_numbers(run)
    assert before["rates"].tolist() == [0.001, 0.01, 0.1] and np.isnan(before["accuracies"]).all()
    for rate in (0.001, 0.01):
        write_events(Run.create(run.path / "trials" / f"lr-{rate!r}", run.config), 40, 0.5)
    told = {"rates": [0.001, 0.01, 0.1], "trials": ["lr-0.001", "lr-0.01"], "accuracies": [0.5, 0.9], "best": 0.01}
    write_json(run.path / "sweep.json", told)
    arrays, manifest = through_a_file(tmp_path, sweep_numbers(run))
    assert arrays["picked"].tolist() == [False, True, False]
    np.testing.assert_array_equal(arrays["accuracies"], [0.5, 0.9, np.nan])
    assert np.bincount(arrays["trial"]).tolist() == [8, 8] and arrays["step"][:8].tolist() == list(range(5, 41, 5))
    assert manifest["config"]["recipe"] == "paper"


def test_a_run_without_a_sweep_has_none(runs):
    assert sweep_numbers(write_run(runs, "plain")) is None
