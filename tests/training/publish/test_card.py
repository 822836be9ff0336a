"""Model cards: what they tell, what they must not, and that the Hub and transformers read what lies beside them."""

import json
import math
import re
import shlex
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tests.explorer.tabs.train.run_folders import write_run
from training import __main__ as cli
from training.config import RunConfig
from training.publish.card import model_card
from training.publish.curves import curves_svg, line, marks, smoothed
from training.publish.export import chosen, export
from training.publish.markdown import escaped, front_matter, table
from training.publish.outcome import outcomes
from training.recipes import recipe_named
from training.runs.metrics import MetricEvent
from training.runs.runs import Run, Runs
from training.storage.jsonfile import write_json

HOSTILE = (
    "a | b",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "`code`\n\n# Heading",
    "![i](http://evil.example/x.png)",
    "\u202egnp.exe\x1b[31m",
    "@someone $x^2$ ~~gone~~ &lt;b&gt;",
    "猫 ---",
)


@pytest.fixture
def run(tmp_path):
    return write_run(Runs(tmp_path), "my run", classes=("cat", "dog", "猫"), pictures=4, lr=0.5)


def card(run, which=None, **more):
    return model_card(run, chosen(run, which), **more)


def section(text, name):
    return text.partition(f"\n## {name}\n")[2].partition("\n## ")[0].strip()


def rows(text):
    """The cells of the first table, head first, as a Markdown reader cuts them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cut = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cut[0], *cut[2:]]


def rendered(text):
    """What a reader sees of one inline text: a backslash and the character after it are that character."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def test_the_hub_reads_the_front_matter(run):
    read = ModelCard(card(run, repo_id="ann/model"), ignore_metadata_errors=False).data
    assert (read.library_name, read.pipeline_tag) == ("transformers", "image-classification")
    assert "license" not in read.to_dict() and read.base_model is None
    assert read.model_name == "ann/model"
    found = {one.dataset_split: one for one in read.eval_results}
    assert found["test"].metric_value == pytest.approx(0.75) and found["test"].metric_type == "accuracy"
    assert set(found) == {"val", "test"}


def test_the_base_model_and_a_data_set_of_the_hub_are_named(tmp_path):
    run = write_run(
        Runs(tmp_path), "fine", model="google/vit-base-patch16-224@main", data="hf:ann/birds@v1", recipe="adamw"
    )
    read = ModelCard(card(run), ignore_metadata_errors=False).data
    assert read.base_model == "google/vit-base-patch16-224" and read.datasets == ["ann/birds"]
    assert "[google/vit-base-patch16-224](https://huggingface.co/google/vit-base-patch16-224)" in card(run)


def test_paths_of_this_machine_are_not_told(tmp_path):
    (tmp_path / "secret").mkdir()
    run = write_run(
        Runs(tmp_path), "local", data=str(tmp_path / "secret" / "birds.zip"), model="resnet18:/home/ann/w.pt"
    )
    write_json(run.path / "data.json", {"source": str(tmp_path), "parts": {}})
    text = card(run)
    assert "birds" in text and "secret" not in text and str(tmp_path) not in text
    assert "/home/ann" not in text and "resnet18:w.pt" in text


def test_recipe_source_and_every_field_that_differs(run):
    text = section(card(run), "Recipe")
    assert text.startswith("`scratch-tiny`. Source:")
    changed = {cells[0]: cells[1:] for cells in rows(text)[1:]}
    theirs, ours = recipe_named("scratch-tiny").config().to_dict(), run.config.to_dict()
    differing = {name for name in ours if ours[name] != theirs[name]} - {"recipe", "data", "model"}
    assert set(changed) == {f"`{name}`" for name in differing}
    assert list(map(rendered, changed["`lr`"])) == [f"{theirs['lr']:g}", "0.5"]


def test_the_command_makes_the_same_run_again(tmp_path):
    config = recipe_named("bundled").config(
        minutes=5, lr=3e-5, flip=False, resolution=64, stages=((32, 0.25), (48, 0.125)), test_at=(1, 2), clip=0.0
    )
    run = Run.create(tmp_path / "run", config)
    (run.path / "checkpoints/step-00000001").mkdir(parents=True)
    (run.path / "checkpoints/step-00000001/model.safetensors").touch()
    block = card(run).partition("```sh\n")[2].partition("\n```")[0]
    words = shlex.split(block)
    assert words[:3] == ["python", "-m", "training"]
    assert cli._config(cli._parser().parse_args(words[3:])) == config


def test_a_hostile_word_stays_a_word(tmp_path):
    run = write_run(Runs(tmp_path), HOSTILE[1], classes=HOSTILE, pictures=2, data="hf:x/y\n---\nlicense: mit")
    write_json(
        run.path / "data.json",
        {
            "classes": list(HOSTILE),
            "parts": {"train": {"count": 16, "per_class": [2] * 8}},
            "imbalance": {"text": "the largest, '<img src=x onerror=alert(1)>'"},
            "unreadable": {"count": 1, "names": ["<b>.png\n# no"], "reasons": ["x"]},
            "warnings": ["e.g. '</td>|<script>'"],
        },
    )
    text = card(run)
    body = text.split("\n---\n", 1)[1]
    read = ModelCard(text, ignore_metadata_errors=False).data
    assert "license" not in read.to_dict() and read.datasets == ["x/y --- license: mit"]
    outside = re.sub(r"```.*?```", "", body, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<", outside), "no HTML begins"
    assert not re.search(r"(?<!\\)\]\((?!curves\.svg\))", outside), "no link but ours"
    assert not re.search(r"https?:/", outside)
    assert [line for line in outside.splitlines() if line.startswith("#")].count("# Heading") == 0
    assert "\x1b" not in text and "\u202e" not in text
    matrix = rows(section(text, "Confusions"))
    assert len(matrix) == 9 and all(len(cells) == 9 for cells in matrix)
    assert rendered(matrix[0][1]) == "a | b" and rendered(matrix[0][2]) == HOSTILE[1]


def test_a_small_confusion_matrix_is_whole(run):
    head, *body = rows(section(card(run), "Confusions"))
    assert head[1:] == ["cat", "dog", "猫"]
    results = json.loads((run.path / "results/test.json").read_text())
    read = [[0 if cell == "·" else int(cell.strip("*")) for cell in cells[1:]] for cells in body]
    assert read == results["confusion"]


def test_of_many_classes_the_worst_confusions(tmp_path):
    names = tuple(f"class {index}" for index in range(30))
    run = write_run(Runs(tmp_path), "many", classes=names, pictures=4)
    results = json.loads((run.path / "results/test.json").read_text())
    results["confusion"][7][3] = 9
    write_json(run.path / "results/test.json", results)
    _, first, *others = rows(section(card(run), "Confusions"))
    assert first == ["class 7", "class 3", "9", f"{9 / 13:.1%}"] and len(others) == 19


def test_another_checkpoint_does_not_borrow_the_best_ones_results(run):
    assert run.best.step == 20 and run.last.step == 40
    best, last = card(run, "best"), card(run, "last")
    assert "75.00%" in section(best, "Results") and "best checkpoint of its run, after step 20" in best
    measured = [cells[0] for cells in rows(section(last, "Results"))[1:]]
    assert measured == ["held-out part"], "step 40 was measured there alone"
    assert "not been measured on a test set" in section(last, "Limits") and "## Confusions" not in last


def test_at_the_end_of_a_run_the_best_checkpoint_read_the_test_set(run):
    results = json.loads((run.path / "results/test.json").read_text()) | {"step": 40}
    write_json(run.path / "results/test.json", results)
    curve = [MetricEvent(40, 1.0, 1.0, "test", {"loss": 0.1, "accuracy": 0.9})]
    assert [one.split for one in outcomes(run, run.best, curve)] == ["val", "test"]
    assert "test" not in [one.split for one in outcomes(run, run.last, curve)]


def test_time_machine_and_versions(run):
    write_json(run.path / "machine.json", {"device": "A GPU", "processes": 2, "versions": {"torch": "2.11.0"}})
    cells = dict(rows("| | |\n|---|---|\n" + section(card(run), "Training"))[2:])
    assert cells["device"] == "A GPU, 2 processes" and rendered(cells["versions"]) == "torch 2.11.0"
    assert cells["training time"] == "70 s up to this checkpoint"


def test_the_data_report_is_retold(run):
    write_json(
        run.path / "data.json",
        {
            "classes": ["cat", "dog", "猫"],
            "parts": {
                "train": {"count": 90, "per_class": [60, 20, 10]},
                "val": {"count": 9, "per_class": [6, 2, 1]},
            },
            "imbalance": {"text": "the largest class, 'cat' with 60 pictures, is 6.0 times the smallest"},
            "unreadable": {"count": 1, "names": ["cat/broken.png"], "reasons": ["it is empty"]},
            "warnings": ["leakage: 3 pictures of test are also in train"],
        },
    )
    text = section(card(run), "Data")
    assert "3 classes; pictures: 90 trained on, 9 held out." in text and "- leakage" in text
    assert r"cat/broken\.png" in text and r"6\.0 times" in text
    assert rows(text) == [
        ["class", "trained on", "held out"],
        ["cat", "60", "6"],
        ["dog", "20", "2"],
        ["猫", "10", "1"],
    ]


@pytest.mark.parametrize("told", ["{", "[]", '{"parts": [], "warnings": 3}', '{"parts": {"train": {"count": "x"}}}'])
def test_damaged_files_of_a_run_are_left_out(run, told):
    for name in ("data.json", "machine.json", "sweep.json", "results/test.json", "results/val.json", "progress.json"):
        (run.path / name).write_text(told)
    text = card(run)
    assert "Its data report was not kept with the run." in text and "## Confusions" not in text


def test_a_sweep_shows_its_rates(run):
    told = {"rates": [0.001, 0.01, 0.1], "accuracies": [0.5, 0.75, None], "best": 0.01}
    write_json(run.path / "sweep.json", told)
    write_json(run.path / "run.json", run.read("run.json") | {"sweep": told["rates"]})
    text = section(card(run), "Recipe")
    assert "| 0.01 | 75.00% | chosen |" in text and "| 0.1 | broke down |  |" in text
    assert "training sweep --recipe scratch-tiny" in text and "--rates 0.001,0.01,0.1" in text


def test_what_transformers_cannot_hold_says_why(run):
    path = run.best.path / "config.json"
    path.write_text(json.dumps({"model_type": "vit_explorer", "why_not_transformers": "pool 'mean-patches'"}))
    text = card(run)
    assert ModelCard(text, ignore_metadata_errors=False).data.library_name == "vit_explorer"
    assert "pool 'mean-patches'" in section(text, "How to use it") and "pipeline" not in section(text, "How to use it")
    path.write_text(json.dumps({"model_type": "resnet18", "id2label": {"0": "cat", "1": "dog"}}))
    assert "resnet18(num_classes=2)" in card(run)


def test_transformers_opens_an_exported_folder_as_its_card_says(tmp_path, run):
    from transformers import pipeline

    folder = export(run, "best", tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "model.safetensors", "preprocessor_config.json", "README.md", "curves.svg")
    }
    picture = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(picture)
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert "FOLDER" in code
    answers = []
    exec(code.replace("FOLDER", str(folder)).replace("photo.jpg", str(picture)).replace("print", "answers.append"),
         {"answers": answers, "pipeline": pipeline})  # fmt: skip
    assert {one["label"] for one in answers[0]} == {"cat", "dog", "猫"}
    own = (folder / "README.md").read_text().split("```python\n")[2].partition("```")[0]
    exec(own.replace("FOLDER", str(folder)).replace("photo.jpg", str(picture)).replace("print", "answers.append"),
         {"answers": answers})  # fmt: skip
    assert answers[1] == answers[0][0]["label"]


# -- curves


def curve(steps=1000):
    events = []
    for step in range(1, steps + 1):
        events.append(MetricEvent(step, step / 10, step, "train", {"loss": 2 / step, "accuracy": step / steps}))
        if step % 10 == 0:
            events.append(MetricEvent(step, step / 10, step, "val", {"loss": 3 / step, "accuracy": step / steps}))
    return events


def test_marks_are_few_and_hold_both_ends():
    steps = [event.step for event in marks(curve())]
    assert len(steps) == 12 and steps[0] == 10 and steps[-1] == 1000 and steps == sorted(set(steps))
    assert [event.step for event in marks(curve(50))] == [10, 20, 30, 40, 50]
    assert [event.step for event in marks([e for e in curve(5) if e.split == "train"])] == [1, 2, 3, 4, 5]
    assert marks([]) == []


def test_smoothing_keeps_a_constant_and_leaves_no_bias_at_the_start():
    assert [value for _, value in smoothed([(s, 3.0) for s in range(5)])] == pytest.approx([3.0] * 5)
    assert smoothed([(1, 1.0), (2, 3.0)], 0.5) == [(1, 1.0), (2, pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75))]


def test_the_drawing_is_small_whole_xml_and_inside_its_frame():
    drawing = curves_svg([*curve(20_000), MetricEvent(20_000, 2000.0, 1.0, "test", {"accuracy": 0.5})])
    assert len(drawing) < 60_000
    root = ElementTree.fromstring(drawing)
    _, _, width, height = map(float, root.get("viewBox").split())
    lines = root.findall(".//{*}polyline")
    assert len(lines) == 6, "raw, smoothed, held out; twice"
    for one in lines:
        for point in one.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width and 0 <= y <= height
    words = [one.text for one in root.findall(".//{*}text")]
    assert words.count("training") == 2 and "test" in words and "100%" in words and "20,000 steps" in words


def test_values_that_are_not_finite_are_not_drawn():
    events = [MetricEvent(1, 0.1, 1, "train", {"loss": math.nan}), MetricEvent(2, 0.2, 2, "train", {"loss": 1.0})]
    assert line(events, "train", "loss") == [(2, 1.0)] and "nan" not in curves_svg(events)
    assert curves_svg([]) is None


# -- markdown


@pytest.mark.parametrize("words", HOSTILE)
def test_escaping_is_undone_by_rendering(words):
    shown = rendered(escaped(words))
    plain = "".join(c for c in " ".join(words.replace("\x1b[31m", "").split()) if c.isprintable())
    assert shown == plain


def test_escaped_words_are_bounded_and_never_empty():
    assert escaped("\n\t ") == "—" and len(rendered(escaped("x" * 500))) == 120 and escaped("x" * 500).endswith("…")


def test_front_matter_and_table():
    assert front_matter({"a": ['x"\n---\n', 1]}) == '---\na: ["x\\" ---", 1]\n---'
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_without_a_recipe_of_that_name_fields_are_held_against_the_defaults(tmp_path):
    run = Run.create(tmp_path / "run", RunConfig(recipe="mine", steps=3, lr=0.5))
    (run.path / "checkpoints/step-00000001").mkdir(parents=True)
    (run.path / "checkpoints/step-00000001/model.safetensors").touch()
    text = section(card(run), "Recipe")
    assert text.startswith("Fields that were set:") and rows(text)[0] == ["field", "default", "this run"]
    assert [cells[0] for cells in rows(text)[1:]] == ["`steps`", "`lr`"]
