"""The models in this package: whole, small enough for a plain push, and named in words."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
import transformers

from vit_model import load_model
from vit_model.checkpoints import zoo
from vit_model.checkpoints.known import SHIPPED

LARGE = "bundled-objects"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_opens_by_its_name_whatever_the_current_folder_holds(name, tmp_path, monkeypatch):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    model = load_model(name, local_paths=False)
    assert model.origin.source == name
    assert len(model.labels) == model.config.classes and len(set(model.labels)) == len(model.labels)
    assert model.preprocessing.size == model.config.image_size


@pytest.mark.parametrize("folder", [zoo.fetch(name) for name in SHIPPED], ids=lambda path: path.name)
def test_no_shipped_file_is_too_large_for_a_plain_push(folder):
    assert all(path.stat().st_size < 10_000_000 for path in folder.iterdir())


def test_the_checksums_are_those_of_the_files():
    folder = zoo.fetch(LARGE)
    sums = dict(line.split()[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sorted(sums) == sorted(path.name for path in folder.glob("*.safetensors"))
    for name, told in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told
    rows = hashlib.sha256(b"".join((folder / name).read_bytes() for name in sorted(sums)))
    assert rows.hexdigest() in (folder / "README.md").read_text(encoding="utf-8")


def test_classes_have_names_in_words_and_in_chinese():
    model = load_model(LARGE)
    assert not [label for label in model.labels if "_" in label or label != label.strip()]
    chinese = json.loads((zoo.fetch(LARGE) / "labels.zh.json").read_text(encoding="utf-8"))
    assert list(chinese) == [str(index) for index in range(len(model.labels))]
    assert all(chinese.values()) and len(set(chinese.values())) == len(chinese)
    assert chinese[str(model.labels.index("lion"))] == "狮子"


def test_transformers_opens_it_and_computes_the_same():
    model, folder = load_model(LARGE), zoo.fetch(LARGE)
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(x), theirs(x).logits, rtol=1e-4, atol=1e-4)
    assert tuple(theirs.config.id2label.values()) == model.labels


def test_it_names_a_lion_a_lion():
    """The model before it said French horn."""
    import gradio
    from PIL import Image

    model = load_model(LARGE)
    with Image.open(Path(gradio.__file__).parent / "media_assets/images/lion.jpg") as picture:
        probabilities = model(model.preprocess(picture)[0]).softmax(-1)[0]
    assert model.labels[int(probabilities.argmax())] == "lion" and probabilities.max() > 0.4
