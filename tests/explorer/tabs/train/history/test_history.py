"""The history as values: rows, ownership, damaged runs, and several runs overlaid."""

import csv
import html
import io
import json
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from explorer.tabs.train.history.panel import drawn_from, overlay_values, plain_reason, row_of, table_value
from explorer.tabs.train.runs.access import RunAccess, owner_of_secret
from explorer.tabs.train.runs.overlay import (
    COLOURS,
    MARKS,
    MOST_POINTS,
    MOST_RUNS,
    Curve,
    curves_csv,
    curves_of,
    differing,
    events_of,
    shown_value,
    thinned,
)
from tests.explorer.tabs.train.results.test_results import SECRETS, visitor
from tests.explorer.tabs.train.run_folders import write_events, write_run
from training.runs.metrics import MetricEvent, append_events
from training.runs.runs import Runs


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


def test_a_row_says_how_a_run_stands(runs):
    run = write_run(runs, "first", classes=("a", "b"), pictures=4, data="/home/me/cats.zip", level=0.75)
    row = row_of(run)
    assert (row["name"], row["state"], row["data"], row["model"]) == ("first", "finished", "cats.zip", "bundled")
    assert (row["step"], row["steps"], row["best"], row["test"], row["seconds"]) == (40, 40, 0.75, 0.75, 140.0)
    assert not row["resumable"]
    assert row_of(write_run(runs, "broken", ended="failed"))["resumable"]
    assert row_of(write_run(runs, "going", live=True))["state"] == "running"


def test_newest_first_and_the_stamp_changes_with_what_is_shown(runs):
    first = write_run(runs, "one")
    write_run(runs, "two")
    access = RunAccess(runs, True)
    value = table_value(access, visitor(), None)
    assert [row["name"] for row in value["rows"]] == ["two", "one"]
    assert table_value(access, visitor(), None)["stamp"] == value["stamp"]
    first.rename("uno")
    assert table_value(access, visitor(), None)["stamp"] != value["stamp"]


def test_everybody_sees_their_own_and_nobody_elses(runs):
    for secret, name in zip(SECRETS, ("mine", "theirs"), strict=True):
        write_run(runs, name, owner=owner_of_secret(secret))
    write_run(runs, "the host's")
    access = RunAccess(runs, loopback=False)
    seen = [[row["name"] for row in table_value(access, visitor(secret), None)["rows"]] for secret in (*SECRETS, None)]
    assert seen == [["mine"], ["theirs"], []]
    assert len(table_value(RunAccess(runs, loopback=True), visitor(), None)["rows"]) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": {"steps": -1}}', '{"config": {"magic": 1}}', "\0" * 99])
def test_a_run_that_somebody_damaged_harms_no_other(runs, content):
    write_run(runs, "good")
    bad = write_run(runs, "bad")
    (bad.path / "run.json").write_text(content)
    for name in ("progress.json", "best.json", "process.json"):
        (bad.path / name).write_text("[[[")
    (bad.path / "events.jsonl").write_bytes(b"\xff\n{}\n" + b"x" * 99)
    rows = {row["id"]: row for row in table_value(RunAccess(runs, True), visitor(), None)["rows"]}
    assert rows[bad.id]["state"] == "damaged"
    assert str(runs.folder) not in json.dumps(rows)
    assert [row["state"] for run_id, row in rows.items() if run_id != bad.id] == ["finished"]
    assert curves_of(bad) == {}


def test_reasons_are_a_line_without_folders(runs):
    run = write_run(runs, "x")
    reason = f"the training process died; its last lines:\nTraceback\n  File {run.path}/a\nOSError: {Path.home()}/data"
    assert plain_reason(run, reason) == "the training process died; its last lines: OSError: ~/data"


def test_curves_hold_each_step_once_and_grow_with_the_file(runs):
    run = write_run(runs, "resumed")
    write_events(run, 40, 0.5, start=20)  # steps 20 to 40 once more
    curve = curves_of(run)["train", "loss"]
    assert curve.step.tolist() == list(range(1, 41))
    append_events(run.path / "events.jsonl", [MetricEvent(41, 4.1, 1.0, "train", {"loss": float("nan")})])
    assert np.isnan(curves_of(run)["train", "loss"].value[-1])


def test_long_curves_keep_their_spikes():
    step = np.arange(100_000.0)
    value = np.sin(step / 1000)
    value[54_321], value[777] = 9.0, -9.0
    value[10_000:12_000] = np.nan
    curve = thinned(Curve(step, step, step, value))
    assert len(curve.step) <= MOST_POINTS + 2
    assert {0.0, 54_321.0, 777.0, 99_999.0} <= set(curve.step)
    assert np.all(np.diff(curve.step) > 0)
    short = Curve(step[:10], step[:10], step[:10], value[:10])
    assert thinned(short) is short


def test_only_fields_that_differ_are_listed():
    one = {"lr": 0.1, "batch": 32, "stages": [[64, 0.7]]}
    assert differing([one, one]) == {}
    assert differing([one, one | {"lr": 0.2, "ema": 0.9}]) == {"lr": [0.1, 0.2], "ema": [None, 0.9]}
    assert [shown_value(value) for value in (None, True, 1e-4, [[64, 0.7]], float("nan"))] == [
        *("-", "✓", "0.0001", "64:0.7", "-"),
    ]


def test_the_overlay_has_both_runs_and_what_tells_them_apart(runs):
    pair = [write_run(runs, "slow", lr=1e-3, level=0.6), write_run(runs, "<b>fast</b>", lr=1e-2, level=0.9)]
    _, plot, facts = overlay_values(pair, "epoch")
    traces = plot["figure"]["data"]
    assert {trace["name"] for trace in traces} == {"slow", "&lt;b&gt;fast&lt;/b&gt;"}, "Plotly reads tags in names"
    assert html.unescape("&lt;b&gt;fast&lt;/b&gt;") == facts["head"][2]
    held_out = next(trace for trace in traces if trace["yaxis"] == "y2" and trace["name"] == "slow")
    assert held_out["x"] == [0.5 * n for n in range(1, 9)]
    assert {trace["xaxis"] for trace in traces} == {"x"}, "one axis links the panels"
    rows = {row[0] if isinstance(row[0], str) else row[0]["en"]: row[1:] for row in facts["rows"]}
    assert rows["Learning rate"] == ["0.001", "0.01"]
    assert rows["Best held-out accuracy"] == ["60.00%", "90.00%"]
    assert "Batch size" not in rows


def test_fewer_than_two_runs_are_no_overlay(runs):
    run = write_run(runs, "alone")
    assert overlay_values([run], "step")[1:] == [None, None]
    assert drawn_from([run], "step") == ""


def test_the_overlay_is_due_again_only_when_something_happened(runs):
    pair = [write_run(runs, "one"), write_run(runs, "two")]
    due = drawn_from(pair, "step")
    assert drawn_from(pair, "step") == due != drawn_from(pair, "epoch")
    write_events(pair[0], 45, 0.5, start=41)
    assert drawn_from(pair, "step") != due


def test_the_table_of_all_numbers_is_safe_in_a_spreadsheet(runs):
    run = write_run(runs, '=cmd(),"x"')
    rows = list(csv.DictReader(io.StringIO(curves_csv([(run.name, events_of(run))]))))
    assert len(rows) == 48
    assert {row["run"] for row in rows} == {'\'=cmd(),"x"'}
    assert float(rows[0]["lr"]) > 0
    assert rows[0]["accuracy"] == ""


# What is seen without one kind of cone (Machado et al. 2009, severity 1), in linear light.
CONES = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_LMS = [[0.412221, 0.536333, 0.051446], [0.211903, 0.6807, 0.107397], [0.088302, 0.281719, 0.62998]]  # Oklab
TO_LAB = [[0.210454, 0.793618, -0.004072], [1.977999, -2.428592, 0.450594], [0.025904, 0.782772, -0.808676]]


def linear(colour):
    value = np.array(list(bytes.fromhex(colour[1:]))) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def oklab(light):
    return np.array(TO_LAB) @ np.cbrt(np.array(TO_LMS) @ np.clip(light, 0, 1))


@pytest.mark.parametrize("cones", CONES)
def test_colours_differ_for_everybody(cones):
    seen = [oklab(np.array(CONES[cones]) @ linear(colour)) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.1


@pytest.mark.parametrize("paper", ["#ffffff", "#111827"])
def test_colours_are_readable_in_both_themes(paper):
    luminance = [linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (paper, *COLOURS)]
    for one in luminance[1:]:
        light, dark = max(one, luminance[0]), min(one, luminance[0])
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_every_run_of_an_overlay_has_its_colour_and_mark():
    assert len(set(COLOURS)) == len(set(MARKS)) == MOST_RUNS
    assert all(a != b for a, b in pairwise(MARKS))
