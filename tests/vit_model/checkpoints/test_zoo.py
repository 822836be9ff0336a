"""Which source a name stands for. Downloads themselves are test_hub.py's."""

import os
from pathlib import Path

import huggingface_hub.utils  # noqa: F401  (imported before a test forbids looking at the disk)
import pytest

from vit_model.checkpoints import hub, zoo
from vit_model.checkpoints.known import KNOWN
from vit_model.errors import CheckpointError, UnknownSourceError

NOT_A_NAME = [
    "",
    "   ",
    "owner",
    ".",
    "..",
    "../owner",
    "./owner",
    "/etc/passwd",
    "//host/share",
    "~/model",
    "~root/model",
    "C:\\model",
    "C:/model",
    "\\\\host\\share",
    "owner\\name",
    "owner/..",
    "owner/.name",
    "owner/name/..",
    "owner/name/../../x",
    "models/owner/name",
    "owner/a..b",
    "owner/a--b",
    "owner/name\x00",
    "owner/na me",
    "owner/name@",
    "owner/name@..",
    "owner/name@../../x",
    "owner/name@/etc",
    "owner/name@a//b",
    "owner/name@a\\b",
    "owner/name@C:x",
    "owner/name@-x",
    "https://huggingface.co/owner/name",
    "file:///etc/passwd",
    "hf-hub:",
    "hf-hub:../x",
    "hf-hub:/etc/passwd",
    "hf-hub:hf-hub:owner/name",
    "hf-hub:bundled",
    "文件/模型",
    "<img src=x>/<b>",
    "x" * 5000,
]


@pytest.fixture
def asked(monkeypatch):
    """What reaches the Hub downloads: [(repository, revision)]."""
    asked = []
    monkeypatch.setattr(hub, "download", lambda *id_, progress: asked.append(id_) or Path("from-the-hub"))
    return asked


def test_bundled_is_the_packaged_folder_whatever_the_current_folder_holds(tmp_path, monkeypatch):
    (tmp_path / "bundled").mkdir()
    monkeypatch.chdir(tmp_path)
    folder = zoo.fetch("bundled", local_paths=False)
    assert folder == Path(zoo.__file__).parents[1] / "bundled"
    names = {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize(
    ("source", "repository", "revision"),
    [
        ("owner/name", "owner/name", "main"),
        (" owner/name\n", "owner/name", "main"),
        ("owner/name@v1.0", "owner/name", "v1.0"),
        ("owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
        ("timm/vit_small_patch16_224.augreg_in21k", "timm/vit_small_patch16_224.augreg_in21k", "main"),
        ("hf-hub:timm/vit_small_patch16_224.augreg_in21k@x", "timm/vit_small_patch16_224.augreg_in21k", "x"),
    ],
)
@pytest.mark.parametrize("local_paths", [True, False])
def test_hub_ids(asked, source, repository, revision, local_paths):
    assert zoo.fetch(source, local_paths=local_paths) == Path("from-the-hub")
    assert asked == [(repository, revision)]


def test_an_existing_folder_goes_before_the_hub_unless_the_hub_is_named(asked, tmp_path, monkeypatch):
    (tmp_path / "google" / "vit").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert zoo.fetch("google/vit") == Path("google/vit")
    assert asked == []
    assert zoo.fetch("hf-hub:google/vit") == Path("from-the-hub")
    assert zoo.fetch("google/vit", local_paths=False) == Path("from-the-hub")
    assert asked == [("google/vit", "main")] * 2


def test_files_folders_and_paths_are_themselves(asked, tmp_path, monkeypatch):
    file = tmp_path / "vit.npz"
    file.write_bytes(b"")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert zoo.fetch(file) == zoo.fetch(str(file)) == zoo.fetch("~/vit.npz") == zoo.fetch(Path("~/vit.npz")) == file
    assert zoo.fetch(str(tmp_path)) == tmp_path
    assert asked == []


@pytest.mark.parametrize("source", NOT_A_NAME)
def test_names_that_are_no_hub_id_never_reach_the_disk_when_paths_are_off(asked, source, monkeypatch):
    def touched(*_, **__):
        raise AssertionError("the disk was touched")

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink"):
            patch.setattr(os, name, touched)
        patch.setattr("builtins.open", touched)
        with pytest.raises(UnknownSourceError) as caught:
            zoo.fetch(source, local_paths=False)
    assert 'expected "bundled", or a Hub id such as "google/vit-base-patch16-224"' in str(caught.value)
    assert "Paths on the server are not accepted here" in str(caught.value)
    assert asked == []


@pytest.mark.parametrize("source", [name for name in NOT_A_NAME if name not in (".", "..", "/etc/passwd")])
def test_names_of_nothing_list_what_a_source_can_be(asked, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        zoo.fetch(source)
    assert "an existing checkpoint folder or .safetensors, .npz, .pth or .bin file, got " in str(caught.value)
    assert repr(source[:200]) in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert asked == []


def test_a_path_object_is_refused_when_paths_are_off(tmp_path):
    with pytest.raises(UnknownSourceError, match="Paths on the server are not accepted here"):
        zoo.fetch(tmp_path, local_paths=False)


def test_a_path_object_is_never_a_hub_id(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownSourceError, match=r"expected .* got 'owner.name'"):
        zoo.fetch(Path("owner/name"))
    assert asked == []


def test_every_known_model_can_be_fetched_by_its_key(asked):
    keys = [model.key for model in KNOWN]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "bundled"
    for key in keys[1:]:
        zoo.fetch(key, local_paths=False)
    assert asked == [(key, "main") for key in keys[1:]]
    families = {model.family for model in KNOWN}
    assert families == {"Bundled", "ViT", "DeiT", "DINO", "DINOv2", "DINOv2 with registers", "ViT-MAE"}
    assert all(model.name and model.note for model in KNOWN)


def test_a_revision_of_100000_letters_is_no_revision():
    """It was asked of the Hub, and came back whole in the error's message."""
    for revision in ("x" * 100_000, "a/" * 50_000 + "a", "x" * 256):
        with pytest.raises(UnknownSourceError) as caught:
            zoo.fetch(f"google/vit-base@{revision}", local_paths=False)
        assert len(str(caught.value)) < 500
