"""The faithfulness command on a folder and an archive of a tiny model's pictures; intervals and verdicts by hand."""

import json
import zipfile
from argparse import Namespace

import numpy as np
import pytest
from PIL import Image

from benchmarks import faithfulness
from benchmarks.bootstrap import mean_interval
from benchmarks.faithfulness import AREAS, Measured, in_words, summary
from explorer.analysis.explain.methods import METHODS
from training.data.pictures import class_of, pictures_of
from vit_model import VisionTransformer, ViTConfig, save_model

SOME = ["rollout", "attention"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch

    torch.manual_seed(0)
    config = ViTConfig(image_size=32, patch_size=8, width=32, depth=2, heads=2, mlp_width=48, classes=2)
    model = VisionTransformer(config, labels=["red thing", "blue thing"]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    folder = tmp_path_factory.mktemp("model")
    save_model(model, folder)
    return folder


@pytest.fixture
def images(tmp_path):
    folder, random = tmp_path / "images", np.random.default_rng(0)
    for label in ("red_thing", "blue_thing"):
        (folder / label).mkdir(parents=True)
        for index in range(3):
            pixels = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{index}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


def run(model, images, tmp_path, *options):
    out = tmp_path / "out.json"
    words = ["--model", str(model), "--images", str(images), "--steps", "3", "--methods", *SOME, "--json", str(out)]
    faithfulness.main([*words, *options])
    return json.loads(out.read_text("utf-8"))


def test_a_folder_with_a_broken_picture(model, images, tmp_path, capsys):
    found = run(model, images, tmp_path)
    assert found["pictures"]["planned"] == 7
    assert found["pictures"]["measured"] == found["pictures"]["class_known"] == 6
    assert list(found["pictures"]["unreadable"]) == ["broken.jpg"]
    assert set(found["methods"]) == {*SOME, "random", "sobel"}
    for row in found["methods"].values():
        assert row["pictures"] == 6
        assert all(row[kind]["low"] <= row[kind]["mean"] <= row[kind]["high"] for kind in AREAS)
    gaps = [row["gap"]["mean"] for row in found["methods"].values()]
    assert gaps == sorted(gaps, reverse=True)
    assert [(pair["better"], pair["worse"]) for pair in found["ordering"]] == [
        (method, "random") for method in found["methods"] if method in SOME
    ]
    told = capsys.readouterr()
    assert "| rollout |" in told.out
    assert "left out broken.jpg" in told.err


def test_an_archive_gives_the_same_numbers(model, images, tmp_path, monkeypatch):
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for file in sorted(images.rglob("*.*")):
            archive.write(file, file.relative_to(images))
    folder, packed = run(model, images, tmp_path), run(model, tmp_path / "images.zip", tmp_path)
    for method, row in folder["methods"].items():
        assert packed["methods"][method]["gap"] == pytest.approx(row["gap"])


def test_a_stopped_run_goes_on_from_its_record(model, images, tmp_path, monkeypatch):
    whole, record = run(model, images, tmp_path), tmp_path / "record.jsonl"
    calls = []

    def interrupted(*arguments, original=faithfulness.leaderboard, **choices):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **choices)

    monkeypatch.setattr(faithfulness, "leaderboard", interrupted)
    assert run(model, images, tmp_path, "--record", str(record))["pictures"]["measured"] == 2
    done = [json.loads(line)["picture"] for line in record.read_text().splitlines()[1:]]
    assert {name.split("/")[0] for name in done} == {"red_thing", "blue_thing"}  # a beginning says something of all
    with open(record, "a") as file:
        file.write('{"picture": "cut off in the mid')
    again = run(model, images, tmp_path, "--record", str(record))
    assert len(calls) == 3 + 4
    assert again["pictures"] == whole["pictures"]
    assert again["methods"]["rollout"]["gap"] == pytest.approx(whole["methods"]["rollout"]["gap"])
    with pytest.raises(SystemExit, match="other settings"):
        run(model, images, tmp_path, "--record", str(record), "--steps", "4")


def test_only_what_is_named_right(model, images, tmp_path):
    everything, right = run(model, images, tmp_path), run(model, images, tmp_path, "--only-correct")
    assert right["pictures"]["measured"] == everything["pictures"]["named_right"] < 6
    assert right["pictures"]["named_right"] == everything["pictures"]["named_right"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--methods", "magic"], "unknown method 'magic'"),
        (["--images", "nowhere"], "nowhere is neither a folder nor an archive"),
    ],
)
def test_wrong_requests_end_with_a_sentence(model, images, tmp_path, options, words):
    with pytest.raises(SystemExit, match=words):
        run(model, images, tmp_path, *options)


def test_the_interval_of_a_mean():
    values = np.random.default_rng(1).normal(2.0, 3.0, 400)
    found = mean_interval(values)
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 400**0.5
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.05)
    assert mean_interval(values) == found  # seeded
    assert mean_interval(np.full(5, 0.25)) == (0.25, 0.25, 0.25)
    assert np.isnan(mean_interval([]).mean)


def test_verdicts_are_paired_and_honest():
    def areas(**gaps):
        return {method: dict.fromkeys(AREAS, gap) for method, gap in gaps.items()}

    noise = np.random.default_rng(0).normal(0, 1, 50)  # the same for all methods of a picture, and large
    found = Measured()
    for index, shift in enumerate(noise):
        gaps = {"relevance": 0.2, "rollout": 0.1, "grad-cam": 0.3, "random": 0.1 + 0.1 * (-1) ** index}
        found.areas[str(index)] = areas(**{method: gap + shift for method, gap in gaps.items()})
    report = summary(found)
    holds = {(pair["better"], pair["worse"]): pair["holds"] for pair in report["ordering"]}
    assert holds == {
        ("relevance", "rollout"): "yes",
        ("rollout", "grad-cam"): "NO",
        ("grad-cam", "random"): "yes",
        ("relevance", "random"): "yes",
        ("rollout", "random"): "undecided",
    }
    assert next(iter(report["methods"])) == "grad-cam"
    assert "| rollout ahead of grad-cam | -0.200 [-0.200, -0.200] | NO |" in in_words(report)


def test_pictures_are_spread_over_the_folders(images):
    pictures = pictures_of(images)
    assert len(pictures) == 7
    assert [pictures.names[index] for index in sorted(pictures.spread(3))] == [
        "blue_thing/0.png",
        "blue_thing/2.png",
        "red_thing/0.png",
    ]
    assert sorted(pictures.spread(None)) == sorted(pictures.spread(99)) == list(range(7))


def test_the_class_is_the_innermost_folder_that_is_a_label():
    labels = ["Garbage Truck", "tench"]
    assert class_of("val/garbage_truck/1.jpg", labels) == 0
    assert class_of("tench/garbage_truck/1.jpg", labels) == 0
    assert class_of("tench/1.jpg", labels) == 1
    assert class_of("tench.jpg", labels) is None


def test_all_methods_by_default(model):
    from vit_model import load_model

    options = Namespace(model="m", methods=None, steps=3, draws=1, value="logit", only_correct=False)
    assert faithfulness.settings(load_model(str(model)), options)["methods"] == list(METHODS)
