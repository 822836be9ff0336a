"""What the tab "Is the map true?" makes of a scene: a class that is typed, results that are kept, tables and files."""

import csv
import io
import json
import time
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.analysis.faithfulness.leaderboard import leaderboard
from explorer.analysis.faithfulness.sanity import Sanity, sanity
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.faithfulness import tab as truth
from explorer.tabs.faithfulness import values as truth_values
from explorer.tabs.faithfulness.values import Asked, commented
from vit_model import VisionTransformer, ViTConfig, save_model
from vit_model.errors import CodedError

LABELS = ["tabby, tabby cat", "crane", "crane", "<b>bold</b>"]
SOME = ["rollout", "attention"]
CONTROLS = (SOME, 4, "probability")


@pytest.fixture
def make_scene(tmp_path):
    """fields of a config -> the scene of a random picture seen by a tiny model that no other test has."""

    def make(**fields):
        shape = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2, "mlp_width": 48, "classes": 4}
        config = ViTConfig(**shape | fields)
        model = VisionTransformer(config, labels=LABELS if config.classes else ()).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
        save_model(model, tmp_path / "model")
        noise = np.random.default_rng().integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "picture.png")
        return scene_of(ModelChoice(str(tmp_path / "model"), "tiny"), tmp_path / "picture.png")

    return make


def measured(asked):
    for board in leaderboard(asked.scene.model, asked.scene.pixels, asked.target, methods=asked.methods, steps=4):
        asked.keep(board=board)
    return asked


def test_a_class_by_label_by_one_of_its_names_by_number_and_the_predicted_one(make_scene):
    scene = make_scene()
    for named, target in (("tabby", 0), ("1", 1), ("2", 2), ("<b>bold</b>", 3)):
        assert Asked.of(scene, named, *CONTROLS).target == target
    for nothing in ("", None, "  "):
        assert Asked.of(scene, nothing, *CONTROLS).target == int(scene.trace.logits[0].argmax())
    with pytest.raises(CodedError, match="no class 'zebra'"):
        Asked.of(scene, "zebra", *CONTROLS)
    with pytest.raises(CodedError, match="'crane' names several classes: #1, #2"):
        Asked.of(scene, "crane", *CONTROLS)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ((SOME, 0, "probability"), "steps must be from 1 to 40, got 0$"),
        ((SOME, 10**9, "logit"), "steps must be from 1 to 40"),
        ((SOME, "x", "logit"), "steps must be from 1 to 40, got 'x'$"),
        ((SOME, 4, "loss"), "^value must be one of probability, logit, got 'loss'$"),
    ],
)
def test_settings_from_outside_are_bounded(make_scene, controls, words):
    with pytest.raises(ValueError, match=words):
        Asked.of(make_scene(), "", *controls)


def test_unknown_methods_from_outside_take_no_part(make_scene):
    assert Asked.of(make_scene(), "", ["magic", "rollout"], 4, "logit").methods == ("rollout",)


def test_every_class_can_be_chosen_also_where_two_share_a_label(make_scene):
    scene = make_scene()
    offered = [value for _, value in truth._classes(scene, None)]
    assert offered[0] == ""
    assert {Asked.of(scene, value, *CONTROLS).target for value in offered[1:]} == {0, 1, 2, 3}


def test_the_table_ranks_methods_between_baselines_and_marks_those_no_better_than_chance(make_scene):
    asked = measured(Asked.of(make_scene(), "", *CONTROLS))
    value = truth_values.table_value(asked, asked.found)
    json.dumps(value)  # no numpy in it
    assert [row["quiet"] for row in value["rows"]].count(True) == 2
    heads = {row["head"]["en"][3:] for row in value["rows"] if not row["quiet"]}
    assert heads == {truth_values.name_of(name)["en"] for name in SOME}
    gaps = [float(row["cells"][2]["text"]) for row in value["rows"]]
    assert gaps == sorted(gaps, reverse=True)
    chance = next(
        float(row["cells"][2]["text"]) for row in value["rows"] if row["head"] == truth_values.name_of("random")
    )
    for row, gap in zip(value["rows"], gaps, strict=True):
        if not row["quiet"] and abs(gap - chance) > 0.002:
            assert row["cells"][2]["mark"] is (gap < chance)


def test_what_is_known_is_shown_again_and_belongs_to_its_class_and_settings(make_scene):
    scene = make_scene()
    asked = measured(Asked.of(scene, "0", *CONTROLS))
    again = Asked.of(scene, "tabby", *CONTROLS)
    assert again.found.board is asked.found.board is not None
    assert Asked.of(scene, "1", *CONTROLS).found.board is None
    assert Asked.of(scene, "0", SOME, 5, "probability").found.board is None
    shown = truth._show(scene, None, "0", *CONTROLS)
    assert len(shown[0]["rows"]) == 4
    assert shown[0]["progress"] is None
    assert truth._show(scene, None, "1", *CONTROLS)[0]["rows"] == []


def test_curves_that_are_complete_stay_while_somebody_else_measures_the_same(make_scene):
    asked = measured(Asked.of(make_scene(), "", *CONTROLS))
    known = asked.found.board
    asked.keep(board=next(leaderboard(asked.scene.model, asked.scene.pixels, asked.target, methods=SOME)))
    assert asked.found.board is known


def test_the_weight_check_fills_the_last_column_once_it_is_complete(make_scene):
    asked = measured(Asked.of(make_scene(), "", *CONTROLS))
    *_, before, last = sanity(asked.scene.model, asked.scene.pixels, asked.target, asked.methods)
    for found, known in ((before, False), (last, True)):
        asked.keep(sanity=found)
        rows = [row for row in truth_values.table_value(asked, asked.found)["rows"] if not row["quiet"]]
        cells = {row["head"]["en"][3:]: row["cells"][-1] for row in rows}
        assert (cells[truth_values.name_of("rollout")["en"]]["text"] != "–") is known
    assert truth_values.sanity_value(asked, asked.found)["figure"]["data"][0]["y"][0] == 1.0


def test_csv_and_arrays_carry_everything_and_a_manifest(make_scene):
    asked = Asked.of(make_scene(), "", *CONTROLS)
    with pytest.raises(CodedError, match="nothing has been measured"):
        truth_values.arrays_of(asked)
    arrays, choices = truth_values.arrays_of(measured(asked))
    assert arrays["positive"].shape == arrays["negative"].shape == (4, 5)
    assert arrays["map_random"].shape == (5, 4, 4)
    assert choices["complete"]
    assert choices["label"] == asked.label
    first, *rest = truth_values.csv_of(asked, {"model": "tiny", "label": "画"}).splitlines()
    assert json.loads(first.removeprefix("# ")) == {"model": "tiny", "label": "画"}
    rows = list(csv.DictReader(io.StringIO("\n".join(rest))))
    assert {row["method"] for row in rows} == {*SOME, "random", "sobel"}
    for row in rows:
        area = arrays["area_gap"][list(arrays["methods"]).index(row["method"])]
        assert float(row["gap"]) == pytest.approx(area, abs=1e-6)


def test_a_model_without_a_head_says_why_it_is_off_and_what_works(make_scene):
    table, *_, measure, check, _ = truth._show(make_scene(classes=0), None, "", *CONTROLS)
    assert "no classification head" in table["progress"]["text"]["en"]
    assert "rollout" in table["progress"]["text"]["en"]
    assert not measure.interactive
    assert not check.interactive


def test_a_class_that_the_next_model_does_not_have_is_told_and_left(make_scene, monkeypatch):
    told = []
    monkeypatch.setattr(truth.gr, "Warning", lambda message, **more: told.append(message))
    shown = truth._show(make_scene(), None, "<i>parachute</i>", *CONTROLS)
    assert "&lt;i&gt;parachute" in told[0]
    assert shown[5].value == ""


def test_a_map_without_an_order_gets_no_verdict():
    columns = np.array([[0.9, 0.8], [np.nan, 0.1], [0.1, 0.2]])
    checked = truth_values._checked(
        Sanity(("a", "b", "c"), ("head", "embedding"), ("head", "embedding"), columns, columns)
    )
    assert checked["a"]["mark"]
    assert checked["a"]["text"]["en"].startswith("HARDLY (0.80")
    assert checked["b"]["text"] == "–"
    assert "no order" in checked["b"]["title"]["en"]
    assert checked["c"]["text"]["en"].startswith("yes (0.10")


@pytest.mark.parametrize("name", ["a,=1+1", "a;=1+1", "a\t@x", "a,+1,-2;@3", 'a",=1+1'])
def test_no_name_in_the_manifest_of_a_csv_is_a_formula(name):
    """A model called "a,=1+1.safetensors" made a cell that began with =."""
    manifest = {"model": name, "choices": {"steps": 3, "low": [-1.5, -2]}}
    line = commented(manifest)
    assert json.loads(line.removeprefix("# ")) == manifest
    for delimiter in ",;\t":
        cells = next(csv.reader([line], delimiter=delimiter))
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_stop_stays_while_another_measurement_goes_on(monkeypatch):
    """The one that ended first took it away, and each message of the other put it there again."""
    monkeypatch.setattr(truth, "_shown", lambda asked, progress=None: ["table"])
    asked = SimpleNamespace(found=None)

    def endless(asked, progress):
        while True:
            progress(0, 1)
            time.sleep(0.01)

    def answered(name, work):
        return truth._answered(("a page", name), (), asked, False, work, lambda found: {})

    first = answered(truth.MEASURE, endless)
    assert next(first)[-1].visible is True
    assert list(answered(truth.CHECK, lambda asked, progress: None))[-1][-1].visible is True
    assert next(first) == [gr.skip(), gr.skip()], "nothing has changed"
    truth.CURRENT_WORK.stop(("a page", truth.MEASURE))
    assert list(first)[-1][-1].visible is False
    assert not truth._UNDER_WAY
