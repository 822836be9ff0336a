"""Uploaded checkpoints: what is taken, what is refused and how, and how long the files stay."""

import errno
import io
import os
import time
from pathlib import Path

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from gradio.utils import get_upload_folder

from explorer.session.scenes import get_model
from explorer.ui.model_picker import ModelPicker
from explorer.ui.visitors import uploads
from explorer.ui.visitors.uploads import EXPIRY_SECONDS, uploaded_checkpoint
from vit_model import VisionTransformer, ViTConfig, save_model

COMPANIONS = ("config.json", "preprocessor_config.json")
SERVED_FOLDER = get_upload_folder()  # of the page that the tests share; each test here has one of its own


@pytest.fixture(autouse=True)
def upload_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return tmp_path / "gradio"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """{file: bytes} of a small model."""
    torch.manual_seed(0)
    config = ViTConfig(image_size=16, patch_size=8, width=16, depth=1, heads=2, classes=2)
    folder = tmp_path_factory.mktemp("saved")
    save_model(VisionTransformer(config, labels=["cat", "dog"]).eval(), folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def upload(folder, **files):
    """Paths of files as Gradio keeps them, each in a folder of its own."""
    paths = []
    for number, (name, content) in enumerate(files.items()):
        path = folder / f"{number}{hash(content):x}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(str(path))
    return paths


def load(files):
    """What a click on Load gives: the choice, or the message."""
    with gr.Blocks():
        picker = ModelPicker("bundled", local_paths=False)
    try:
        return picker._own(None, files, "", "native", gr.Progress())
    except gr.Error as error:
        return error.message


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.zeros(3, np.float32))
    return buffer.getvalue()


def test_files_of_one_checkpoint_are_linked_together_and_load(saved, upload_folder):
    files = upload(upload_folder, **saved)
    choice, shown = load(files)
    assert choice.name == shown == "model.safetensors"
    assert get_model(choice).labels == ("cat", "dog")
    folder, _ = uploaded_checkpoint(files, None)
    assert str(folder) == choice.source
    assert folder.is_relative_to(get_upload_folder())
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", *COMPANIONS}
    weights = next(file for file in files if file.endswith(".safetensors"))
    assert os.path.samefile(weights, folder / "model.safetensors")


def test_where_files_cannot_be_linked_they_are_copied(saved, upload_folder, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    folder, _ = uploaded_checkpoint(upload(upload_folder, **saved), None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == saved


def test_folders_expire_unless_the_same_is_uploaded_again(saved, upload_folder):
    old, _ = uploaded_checkpoint(upload(upload_folder, **saved), None)
    files = upload(upload_folder, **saved | {"config.json": saved["config.json"] + b" "})
    used, _ = uploaded_checkpoint(files, None)
    past = time.time() - EXPIRY_SECONDS
    os.utime(used, (past + 60, past + 60))
    assert uploaded_checkpoint(files, None)[0] == used
    assert used.stat().st_mtime > past + 600
    assert old.is_dir()

    os.utime(old, (past - 60, past - 60))
    uploaded_checkpoint(files, None)
    assert not old.exists()
    assert list(used.parent.iterdir()) == [used]


def test_another_request_that_was_faster_is_no_error(saved, upload_folder, monkeypatch):
    files, link = upload(upload_folder, **saved), uploads._link

    def slow_link(path, target):
        monkeypatch.setattr(uploads, "_link", link)
        uploaded_checkpoint(files, None)
        link(path, target)

    monkeypatch.setattr(uploads, "_link", slow_link)
    folder, _ = uploaded_checkpoint(files, None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == saved
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "There is no file in the box"),
        ({"config.json": b"{}"}, "exactly one weights file (.safetensors or .npz), with at most its config.json"),
        ({"a.safetensors": b"a", "b.safetensors": b"b"}, "got a.safetensors, b.safetensors"),
        ({"a.safetensors": b"a", "b.npz": b"b"}, "got a.safetensors, b.npz"),
        ({"a.safetensors": b"a", "training.py": b"b"}, "got a.safetensors, training.py"),
        ({"model.safetensors": b""}, "model.safetensors is empty"),
        ({"model.safetensors": b"", "config.json": b"{}"}, "model.safetensors is empty"),
        ({"vit.npz": npz(), "config.json": b"{}"}, "no Vision Transformer that is known here"),
        ({"vit.npz": npz(), "config.json": b'{"model_type": "swin"}'}, "a Swin Transformer"),
        ({"vit.npz": npz(), "config.json": b"{"}, "config.json is not valid JSON"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_other_sets_of_files_are_refused_in_words(upload_folder, files, words):
    said = load(upload(upload_folder, **files))
    assert "Could not do that: " in said
    assert words in said


def test_two_files_of_one_name_are_refused(saved, upload_folder):
    files = upload(upload_folder, **saved)
    twice = upload(upload_folder / "again", **{"config.json": b"{}"})
    assert "got " in load(files + twice)


def test_a_name_that_climbs_out_stays_in_the_upload_folder(served, saved, upload_folder):
    files = {"files": ("../../../escaped.safetensors", saved["model.safetensors"])}
    (path,) = httpx.post(f"{served}gradio_api/upload", files=files).json()
    assert Path(path).resolve().is_relative_to(SERVED_FOLDER)
    config = upload(upload_folder, **{"config.json": saved["config.json"]})
    folder, name = uploaded_checkpoint([path, *config], None)
    assert name == "escaped.safetensors"
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json"}
