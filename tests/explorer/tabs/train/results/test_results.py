"""What the results say of a run: hand-damaged files, hostile names, other people's runs, published numbers, sweeps."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from explorer.session.scenes import get_model
from explorer.tabs.train.results.pictures import pictures as train_pictures
from explorer.tabs.train.results.published import published_value, sweep_value
from explorer.tabs.train.results.values import evaluation_of, opens_on, pictures_value, results_values
from explorer.tabs.train.runs.access import OWNER_COOKIE, RunAccess, owner_of_secret
from explorer.tabs.train.runs.checkpoints import RunCheckpoints, checkpoint_of
from explorer.tabs.train.runs.evaluation import read_evaluation
from tests.explorer.tabs.train.run_folders import HOSTILE, write_checkpoint, write_events, write_pictures, write_run
from training.command import public_name
from training.config import RunConfig
from training.publish.outcome import outcomes
from training.recipes import B16
from training.runs.console import percent
from training.runs.metrics import MetricEvent, append_events
from training.runs.results import read_accuracy
from training.runs.runs import Run, Runs
from training.storage.jsonfile import write_json

SECRETS = ("a" * 40, "b" * 40)


def visitor(secret: str | None = None) -> SimpleNamespace:
    cookies = {OWNER_COOKIE: secret} if secret else {}
    here = {"client": SimpleNamespace(host="127.0.0.1"), "headers": {"host": "127.0.0.1:7860"}}
    return SimpleNamespace(**here, cookies=cookies, request=SimpleNamespace(scope={}), query_params={})


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path / "runs")


@pytest.fixture
def data(tmp_path):
    return write_pictures(tmp_path / "pictures", ("ant", "bee", "cat"), each=4)


@pytest.fixture
def run(runs, data):
    return write_run(runs, "insects", classes=("ant", "bee", "cat"), pictures=4, data=str(data))


def values(access, run, split="test", request=None, told=None):
    return results_values(access, request or visitor(), run.id, split, told)


def query(run, split="test", **more):
    plain = {
        "run": run.id,
        "split": split,
        "true": None,
        "predicted": None,
        "offset": 0,
        "asked": False,
        "fetch": False,
    }
    return plain | more


def test_the_matrix_counts_what_the_answers_say(runs, run):
    matrix, *_, asked = values(RunAccess(runs, True), run)
    assert matrix["classes"] == ["ant", "bee", "cat"]
    assert sorted(matrix["cells"]) == [[0, 0, 3], [0, 1, 1], [1, 1, 3], [1, 2, 1], [2, 0, 1], [2, 2, 3]]
    assert "75.00%" in matrix["title"]["en"]
    assert asked["true"] is None
    same = values(RunAccess(runs, True), run, told=matrix["stamp"])
    assert all(isinstance(value, dict) and value.get("__type__") == "update" for value in same), "nothing new is sent"


def test_a_run_is_opened_on_the_split_that_it_has(runs, run, data):
    """A run that holds nothing out opened on its empty held-out part and asked to switch."""
    access, ask = RunAccess(runs, True), visitor()
    whole = write_run(runs, "whole", classes=("ant", "bee", "cat"), pictures=4, data=str(data), held_out=0.0)
    (whole.path / "results" / "val.json").unlink()
    assert opens_on(access, ask, whole.id, "val") == "test"
    assert opens_on(access, ask, run.id, "val") == "val" and opens_on(access, ask, run.id, "test") == "test"
    (run.path / "results" / "test.json").unlink()
    assert opens_on(access, ask, run.id, "test") == "val", "not tested yet"
    own = write_run(runs, "own", classes=("ant", "bee", "cat"), pictures=4, data=str(data), held_out=0.0)
    assert opens_on(access, ask, own.id, "val") == "val", "the data set has a held-out part of its own"
    assert opens_on(access, ask, None, "val") == opens_on(access, ask, "gone", "val") == "val"


def test_mistakes_come_most_confident_first_and_a_cell_has_its_own(runs, run):
    access = RunAccess(runs, True)
    found = pictures_value(access, visitor(), query(run), True)
    shares = [item["probability"] for item in found["items"]]
    assert shares == sorted(shares, reverse=True)
    assert [item["true"] for item in found["items"]] == ["cat", "bee", "ant"]
    assert not any(item["right"] for item in found["items"])
    cell = pictures_value(access, visitor(), query(run, true=1, predicted=1), True)
    assert [item["name"].split("/")[-2] for item in cell["items"]] == ["bee"] * 3
    assert all(item["right"] for item in cell["items"])
    wrong = pictures_value(access, visitor(), query(run, true=2), True)
    assert [(item["true"], item["predicted"]) for item in wrong["items"]] == [("cat", "ant")]


def test_pictures_are_small_and_few(runs, tmp_path):
    data = write_pictures(tmp_path / "many", ("ant", "bee"), each=40)
    run = write_run(runs, "many", classes=("ant", "bee"), pictures=40, data=str(data))
    access = RunAccess(runs, True)
    first = pictures_value(access, visitor(), query(run, true=0, predicted=0), True)
    assert (len(first["items"]), first["total"], first["offset"]) == (train_pictures.PAGE, 39, 0)
    second = pictures_value(access, visitor(), query(run, true=0, predicted=0, offset=24), True)
    assert len(second["items"]) == 15
    assert not {item["position"] for item in first["items"]} & {item["position"] for item in second["items"]}
    beyond = pictures_value(access, visitor(), query(run, true=0, predicted=0, offset=10**9), True)
    assert beyond["offset"] == 24


def test_held_out_pictures_are_counted_in_the_training_split(runs, run):
    found = pictures_value(RunAccess(runs, True), visitor(), query(run, split="val"), True)
    assert {item["name"].split("/")[0] for item in found["items"]} == {"train"}
    found = pictures_value(RunAccess(runs, True), visitor(), query(run, split="test"), True)
    assert {item["name"].split("/")[0] for item in found["items"]} == {"test"}


@pytest.mark.parametrize("asked", [{"true": 99}, {"true": 1, "predicted": -1}, {"true": "1"}])
def test_classes_that_do_not_exist_are_said_so(runs, run, asked):
    found = pictures_value(RunAccess(runs, True), visitor(), query(run, **asked), True)
    assert found["items"] == []
    assert "3 classes" in found["note"]


def test_data_that_has_gone_leaves_the_matrix(runs, run, data):
    data.rename(data.with_name("moved"))
    found = pictures_value(RunAccess(runs, True), visitor(), query(run), True)
    assert "cannot be read" in found["note"]["en"]
    assert str(data.parent) not in json.dumps(found)
    assert values(RunAccess(runs, True), run)[0]["cells"]


def test_a_picture_that_vanished_says_so_in_its_place(runs, run, data):
    access = RunAccess(runs, True)
    pictures_value(access, visitor(), query(run), True)  # the set is open
    (data / "test" / "cat" / "0.png").unlink()
    items = pictures_value(access, visitor(), query(run), True)["items"]
    assert (items[0]["file"], items[0]["error"]) == (None, "could not be read")
    assert all(item["file"] for item in items[1:])


def test_data_that_would_be_downloaded_again_is_asked_for_first(runs, tmp_path, monkeypatch):
    """Opening the results of a run on CIFAR-10 began to download it."""
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path / "empty"))
    opened = []
    monkeypatch.setattr(train_pictures, "open_dataset", lambda source, **_: opened.append(source))
    run = write_run(runs, "cifar", classes=("ant", "bee", "cat"), pictures=4, data="cifar10")
    found = pictures_value(RunAccess(runs, True), visitor(), query(run), True)
    assert found["fetch"] and found["items"] == [] and not opened
    assert "cifar10" in found["note"]["en"] and "下载" in found["note"]["zh"]
    with pytest.raises(AttributeError):  # the stand-in returns nothing to show
        pictures_value(RunAccess(runs, True), visitor(), query(run, fetch=True), True)
    assert opened == ["cifar10"]


def test_data_that_changed_since_is_said(runs, data):
    run = write_run(runs, "other", classes=("ant", "bee", "cat"), pictures=3, data=str(data))
    found = pictures_value(RunAccess(runs, True), visitor(), query(run), True)
    assert "not what it was" in found["note"]["en"]


def test_hostile_class_names_stay_text_in_values(runs, tmp_path):
    run = write_run(runs, "<img src=x>", classes=HOSTILE, pictures=2, data=str(tmp_path))
    matrix = values(RunAccess(runs, True), run)[0]
    assert matrix["classes"] == list(HOSTILE)


DAMAGE = {
    "not json": (b"{", "cannot be read"),
    "a list": (b"[1]", "no JSON object"),
    "no classes": (b'{"confusion": []}', "1 to 2000 classes"),
    "a ragged matrix": (b'{"classes": ["a", "b"], "confusion": [[1, 2], [3]]}', "2 rows of 2 counts"),
    "words for counts": (b'{"classes": ["a"], "confusion": [["x"]]}', "1 rows of 1 counts"),
    "negative counts": (b'{"classes": ["a"], "confusion": [[-1]]}', "1 rows of 1 counts"),
    "infinite counts": (b'{"classes": ["a"], "confusion": [[1e999]]}', "1 rows of 1 counts"),
    "endless nesting": (b"[" * 100_000, "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_results_are_said_in_words(runs, run, kind):
    content, words = DAMAGE[kind]
    (run.path / "results" / "test.json").write_bytes(content)
    matrix, _, _, asked = values(RunAccess(runs, True), run)
    assert words in matrix["message"]["en"]
    assert str(runs.folder) not in json.dumps(matrix)
    assert asked is None
    assert values(RunAccess(runs, True), run, split="val")[0]["cells"], "the other split is unharmed"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"index": np.zeros(2, np.int64)}, "lacks label, predicted, probability"),
        (dict.fromkeys(("index", "label", "predicted", "probability"), np.zeros((2, 2))), "same length"),
        (dict.fromkeys(("index", "label", "predicted"), np.full(2, 9)) | {"probability": np.zeros(2)}, "do not exist"),
        ({"index": np.full(2, -1)} | dict.fromkeys(("label", "predicted", "probability"), np.zeros(2)), "do not exist"),
        (None, "cannot be read"),
    ],
)
def test_damaged_answers_leave_the_matrix(runs, run, arrays, words):
    path = run.path / "results" / "test.safetensors"
    path.write_bytes(b"junk") if arrays is None else save_file(arrays, path)
    matrix, _, _, asked = values(RunAccess(runs, True), run)
    assert matrix["cells"] and not matrix["pictures"]
    assert words in matrix["note"]["en"]
    assert asked is None


def test_missing_results_say_when_they_come(runs):
    run = write_run(runs, "fresh", checkpoints=(), ended="stopped")
    assert "first evaluation" in values(RunAccess(runs, True), run)[0]["message"]["en"]
    whole = write_run(runs, "all of it", checkpoints=(), held_out=0.0, ended="stopped")
    assert "nothing is held out" in values(RunAccess(runs, True), whole, split="val")[0]["message"]["en"]


def test_a_run_whose_data_has_no_test_set_promises_no_test_results(runs):
    """A finished run on a folder without test/ said that its test results appear at the end."""
    access = RunAccess(runs, True)

    def told(run, split):
        return values(access, run, split=split)[0]["message"]

    run = write_run(runs, "no test", checkpoints=(), live=True)
    before = values(access, run)[0]
    assert "at the end" in before["message"]["en"], "its data has not been read yet"
    write_json(run.path / "data.json", {"parts": {"train": {}, "val": {}}})
    now = values(access, run, told=before["stamp"])[0]["message"]
    assert "has no test set" in now["en"] and "held-out part" in now["en"] and "没有测试集" in now["zh"]
    assert "first evaluation" in told(run, "val")["en"]
    with pytest.raises(ValueError, match="has no test set"):
        evaluation_of(run, "test", visitor())
    write_json(run.path / "data.json", {"parts": {"train": {}, "val": {}, "test": {}}})
    assert "at the end" in told(run, "test")["en"]
    silent = write_run(runs, "finished", checkpoints=())
    assert "has no test set" in told(silent, "test")["en"], "it would have been read last"
    (silent.path / "data.json").write_text("[1")
    assert "has no test set" in told(silent, "test")["en"]
    whole = write_run(runs, "nothing at all", checkpoints=(), held_out=0.0)
    for split in ("val", "test"):
        assert "nothing to measure it on" in told(whole, split)["en"] and "Switch" not in told(whole, split)["en"]


def test_another_owners_run_is_as_if_it_were_not_there(runs, data):
    mine, theirs = (owner_of_secret(secret) for secret in SECRETS)
    run = write_run(runs, "mine", owner=mine, classes=("ant", "bee", "cat"), pictures=4, data=str(data))
    write_run(runs, "theirs", owner=theirs)
    access = RunAccess(runs, loopback=False)
    assert values(access, run, request=visitor(SECRETS[0]))[0]["classes"]
    for stranger in (visitor(SECRETS[1]), visitor()):
        matrix = values(access, run, request=stranger)[0]
        assert "not yours to see" in matrix["message"]
        assert "not yours to see" in pictures_value(access, stranger, query(run), True)["note"]
        with pytest.raises(ValueError, match="not yours to see"):
            RunCheckpoints(access).chosen(f"run:{run.id}/best", stranger)
    names = [name for name, _ in RunCheckpoints(access).names(visitor(SECRETS[0]))]
    assert names and all("mine" in name for name in names)
    assert RunCheckpoints(access).names(visitor()) == []


@pytest.mark.parametrize("run_id", ["..", "../runs", "/etc", "", None, 3, "x" * 9999, {"a": 1}])
def test_ids_that_are_none(runs, run, run_id):
    with pytest.raises(ValueError, match="not there any more"):
        RunCheckpoints(RunAccess(runs, True)).chosen(f"run:{run_id}/last", visitor())
    matrix = results_values(RunAccess(runs, True), visitor(), run_id, "test", None)[0]
    assert "message" in matrix


def test_checkpoints_in_the_picker(runs):
    write_run(runs, "three", checkpoints=(10, 20, 30))
    write_run(runs, "convolutions", model="resnet18")
    write_run(runs, "nothing yet", checkpoints=())
    offered = RunCheckpoints(RunAccess(runs, True))
    names = offered.names(visitor())
    assert [name for name, _ in names] == [
        "Run three · best (step 10)",
        "Run three · last (step 30)",
        "Run three · step 30",
        "Run three · step 20",
        "Run three · step 10",
    ]
    choice = offered.chosen(names[1][1], visitor())
    assert choice.name == "Run three · step 30"
    assert get_model(choice).labels == ("a", "b")
    assert str(runs.folder) not in json.dumps(names) + choice.name


def test_a_checkpoint_that_was_replaced_says_to_choose_the_newest(runs):
    run = write_run(runs, "live", checkpoints=(10, 20), live=True)
    offered = RunCheckpoints(RunAccess(runs, True))
    choice = offered.chosen(f"run:{run.id}/last", visitor())
    write_checkpoint(run, 30, ("a", "b"))
    (run.path / "checkpoints" / "step-00000020").rename(runs.folder / "gone")
    with pytest.raises(ValueError, match="newest checkpoint") as error:
        get_model(choice)
    assert str(runs.folder) not in str(error.value)
    with pytest.raises(ValueError, match="Choose the newest"):
        checkpoint_of(run, "step-20", visitor())
    assert offered.chosen(f"run:{run.id}/last", visitor()).name == "Run live · step 30"


def test_a_retrained_checkpoint_of_the_same_name_is_read_again(runs):
    run = write_run(runs, "again", checkpoints=(10,))
    offered = RunCheckpoints(RunAccess(runs, True))
    choice = offered.chosen(f"run:{run.id}/last", visitor())
    before = get_model(choice)
    write_checkpoint(run, 10, ("a", "b"))
    assert get_model(choice).origin.checksum != before.origin.checksum


def test_a_resnet_stays_out_and_says_why(runs):
    run = write_run(runs, "convolutions", model="resnet18")
    with pytest.raises(ValueError, match="ResNet"):
        RunCheckpoints(RunAccess(runs, True)).chosen(f"run:{run.id}/last", visitor())


def test_the_test_set_was_read_by_the_best_checkpoint(runs, run):
    write_json(
        run.path / "results" / "test.json", {**json.loads((run.path / "results" / "test.json").read_text()), "step": 40}
    )
    assert read_evaluation(run.path, "test").checkpoint == 20
    assert read_evaluation(run.path, "val").checkpoint == 20
    write_json(run.path / "progress.json", {"step": 39})
    assert read_evaluation(run.path, "test").checkpoint == 40, "a mark on the way was read by the model of that step"


def texts(facts):
    return [[cell if isinstance(cell, str) else cell["en"] for cell in row] for row in facts["rows"]]


def test_every_reader_of_results_counts_the_answers(runs):
    """The list of runs and the published numbers took the accuracy that stands beside the counts, the card and the
    matrix the counts."""
    run = write_run(runs, "edited", recipe="paper", data="cifar10", model=B16, classes=("a", "b"), pictures=4)
    file = run.path / "results" / "test.json"
    write_json(file, json.loads(file.read_text()) | {"accuracy": 0.999})
    assert read_evaluation(run.path, "test").accuracy == read_accuracy(run.path, "test") == 0.75
    assert [one.accuracy for one in outcomes(run, run.best, run.curve()) if one.split == "test"] == [0.75]
    assert percent(run) == "75.00% test"
    assert texts(published_value(run))[-1][-1] == "75.00%"


@pytest.mark.parametrize("counts", [[[1.5, 0], [0, 1]], [[1, 0]], [[1, -1], [0, 1]], [["1", None], [0, 1]], "counts"])
def test_a_damaged_matrix_is_no_result_to_any_reader(runs, counts):
    run = write_run(runs, "damaged", classes=("a", "b"), pictures=4)
    file = run.path / "results" / "test.json"
    write_json(file, json.loads(file.read_text()) | {"confusion": counts})
    with pytest.raises(ValueError, match=r"results/test\.json should hold a confusion matrix of 2 rows of 2 counts"):
        read_evaluation(run.path, "test")
    assert read_accuracy(run.path, "test") is None
    assert "test" not in [one.split for one in outcomes(run, run.best, [])]
    assert "test" not in percent(run)


def test_the_accuracy_of_more_classes_than_a_matrix_can_show(runs):
    run = write_run(runs, "many", classes=("a", "b"), pictures=4)
    file, names = run.path / "results" / "test.json", [str(index) for index in range(2001)]
    write_json(file, json.loads(file.read_text()) | {"classes": names, "confusion": [], "accuracy": 0.5})
    assert read_accuracy(run.path, "test") == 0.5


def test_published_stands_beside_reached(runs):
    run = write_run(runs, "ours", recipe="paper", data="cifar10", model=B16, classes=("a", "b"), pictures=4)
    facts = published_value(run)
    assert texts(facts) == [
        [f"Published for {B16} on cifar10", "98.95%"],
        [f"Reached by this run, {B16} on cifar10", "75.00%"],
    ]
    assert "Careful" not in facts["note"]["en"]
    assert "resolution" in facts["note"]["en"], "settings that differ from the recipe's are named"


def test_a_published_number_of_another_model_is_not_taken_for_this_ones(runs):
    run = write_run(runs, "small", recipe="paper", data="/home/me/cifar10.tar.xz", model="bundled")
    facts = published_value(run)
    assert len(facts["rows"]) == 4
    assert "not for your model bundled" in facts["note"]["en"]
    assert texts(facts)[-1][1] == "not measured yet"
    assert "/home/me" not in json.dumps(facts)


def test_published_marks_on_the_way(runs):
    run = write_run(runs, "marks", recipe="scratch-vit4", data="cifar10", model="new:scratch-vit4")
    append_events(run.path / "events.jsonl", [MetricEvent(50, 5.0, 1.0, "test", {"accuracy": 0.6123})])
    assert texts(published_value(run))[:3] == [
        ["Published on cifar10 after 5 epochs", "63.04%"],
        ["Reached by this run after 5 epochs", "61.23%"],
        ["Published on cifar10 after 10 epochs", "66.97%"],
    ]


def test_a_recipe_without_numbers_shows_none(runs):
    assert published_value(write_run(runs, "plain")) is None


def test_the_sweep_marks_the_picked_rate(runs):
    run = runs.create(RunConfig(recipe="paper", steps=40), sweep=(0.001, 0.01), queue=False)
    assert [trial["rate"] for trial in sweep_value(run)["trials"]] == ["0.001", "0.01"]
    for rate, level in ((0.001, 0.5), (0.01, 0.9)):
        write_events(Run.create(run.path / "trials" / f"lr-{rate!r}", RunConfig(steps=40)), 40, level)
    told = {"rates": [0.001, 0.01], "trials": ["lr-0.001", "lr-0.01"], "accuracies": [0.5, None], "best": 0.01}
    write_json(run.path / "sweep.json", told)
    first, second = sweep_value(run)["trials"]
    assert (first["picked"], second["picked"]) == (False, True)
    assert first["accuracy"] == 0.5
    assert second["accuracy"] == pytest.approx(0.9, abs=0.01), "the last one that was measured"
    assert len(first["steps"]) == 8


@pytest.mark.parametrize(
    "told",
    [
        {"rates": "0.1", "trials": None},
        {"rates": [0.1, "x", None], "trials": ["../../..", "/etc", 3], "accuracies": [7], "best": "no"},
        {"rates": [[]] * 999},
    ],
)
def test_a_damaged_sweep_harms_nothing(runs, run, told):
    write_json(run.path / "sweep.json", told)
    json.dumps(sweep_value(run))
    (run.path / "sweep.json").write_text("{")
    assert "damaged" in sweep_value(run)["note"]["en"]


def test_sources_lose_their_folders():
    assert public_name("/home/me/cats.zip") == "cats.zip"
    assert public_name("C:\\pictures\\cats") == "cats"
    assert public_name("resnet18:/weights/r18.safetensors") == "resnet18:r18.safetensors"
    assert public_name("hf:owner/cats") == "hf:owner/cats"
    assert public_name(B16) == public_name(f"hf-hub:{B16}") == B16
    assert public_name("~/pics/cats") == public_name("../pics/cats/") == "cats"
    assert public_name("new:Ti/16") == "new:Ti/16"
    assert public_name("/") == "/"
