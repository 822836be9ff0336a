"""A saved picture of results says of which run and checkpoint it is, as their numbers do."""

import json

import pytest

from explorer.tabs.train.history.panel import overlay_values
from explorer.tabs.train.results.values import results_values
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.evaluation import read_evaluation
from explorer.tabs.train.runs.numbers import curve_numbers, result_numbers
from tests.explorer.tabs.train.run_folders import write_events, write_run
from tests.explorer.tabs.train.runs.test_access import visitor
from training.runs.runs import Runs


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def test_a_confusion_matrix_and_its_numbers_carry_one_manifest(runs, tmp_path):
    run = write_run(runs, "one", classes=("cat", "dog"), pictures=3, data=str(tmp_path / "secret" / "pets"))
    value = results_values(RunAccess(runs, True), visitor(), run.id, "test", None)[0]
    found = read_evaluation(run.path, "test")
    expected = result_numbers(run, found)[1]
    assert value["manifest"] | {"date": ""} == expected | {"date": ""}
    assert (value["manifest"]["run"], value["manifest"]["split"]) == (run.id, "test")
    assert value["manifest"]["checkpoint"] == found.checkpoint
    assert "secret" not in json.dumps(value["manifest"])


def test_an_overlay_names_its_runs(runs):
    pair = [write_run(runs, name) for name in ("one", "two")]
    for run in pair:
        write_events(run, 3, 0.5)
    plot = overlay_values(pair, "step")[1]
    assert plot["manifest"]["runs"] == curve_numbers(pair)[1]["runs"]
    assert [each["run"] for each in plot["manifest"]["runs"]] == [run.id for run in pair]
