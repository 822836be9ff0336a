"""open_dataset on folders and archives."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.data_files import animals, picture, split_animals, write_folder, write_tar, write_zip
from training.data import survey
from training.data.datasets import DataError, cache_folder, open_dataset
from training.data.picture_set import JoinedStore, PixelStore
from vit_model.messages import Message
from vit_model.picture import PictureError


@pytest.fixture
def opened(tmp_path):
    def open_(source, **choices):
        return open_dataset(str(source), cache=tmp_path / "cache", **choices)

    return open_


def told(pictures):
    """{split: {name: (class, pixels)}}."""
    return {
        kind: {
            name: (pictures.classes[label], np.asarray(split.read(index)).tolist())
            for index, (name, label) in enumerate(zip(split.names, split.labels, strict=True))
        }
        for kind, split in pictures.splits.items()
    }


def test_a_folder(tmp_path, opened):
    pictures = opened(write_folder(tmp_path / "pets", animals(3)))
    assert pictures.classes == ("cat", "dog")
    assert pictures.splits["train"].names == tuple(f"{name}/{n}.png" for name in ("cat", "dog") for n in range(3))
    assert pictures.splits["train"].labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert pictures.splits["train"].labels.dtype == np.int64
    assert pictures.splits["train"].read(0).size == (6, 8)
    assert pictures.splits["train"].read(0).mode == "RGB"


def test_a_folder_and_its_archives_are_the_same_set(tmp_path, opened):
    files = split_animals()
    folder = told(opened(write_folder(tmp_path / "pets", files)))
    assert {kind: len(split) for kind, split in folder.items()} == {"train": 6, "test": 4}
    assert told(opened(write_zip(tmp_path / "a.zip", files))) == folder
    assert told(opened(write_tar(tmp_path / "a.tar.gz", files, "w:gz"))) == folder
    wrapped = {f"pets/{name}": content for name, content in files.items()}
    assert [len(split) for split in opened(write_tar(tmp_path / "b.tar", wrapped)).splits.values()] == [6, 4]


def test_pictures_that_do_not_decode_are_left_out_by_name(tmp_path, opened):
    files = animals(3) | {
        "cat/cut.jpg": picture(9, (40, 40), "JPEG")[:-600],
        "cat/text.png": b"no picture",
        "dog/empty.gif": b"",
        "dog/phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    }
    for source in (write_folder(tmp_path / "pets", files), write_zip(tmp_path / "a.zip", files)):
        pictures = opened(source)
        assert pictures.unreadable == ("cat/cut.jpg", "cat/text.png", "dog/empty.gif", "dog/phone.heic")
        assert len(pictures.splits["train"]) == 6
        assert told(pictures)["train"].keys() == animals(3).keys()
        assert "cannot be decoded" in pictures.reasons[0]
        assert pictures.reasons[2].startswith("this file is empty")
        assert pictures.reasons[3].startswith("this is a HEIC photograph")
        assert not any(str(tmp_path) in reason for reason in pictures.reasons), "no path of this machine"


def test_a_class_without_any_readable_picture(tmp_path, opened):
    files = animals(2) | {"emu/1.png": b"broken"}
    with pytest.raises(DataError, match=r"no picture of 'emu' in the training set can be read; the first: 'emu/1.png'"):
        opened(write_folder(tmp_path / "pets", files))


def test_pictures_are_decoded_for_this_once(tmp_path, opened, monkeypatch):
    folder = write_folder(tmp_path / "pets", animals(3) | {"cat/bad.png": b"x"})
    first, reports = opened(folder), []
    monkeypatch.setattr(survey, "survey", None)
    again = opened(folder, progress=lambda *report: reports.append(report))
    assert again.unreadable == first.unreadable == ("cat/bad.png",)
    assert again.fingerprint == first.fingerprint
    assert reports == []
    assert first.reasons[0].code == again.reasons[0].code == "not_a_picture"
    assert again.reasons == first.reasons and again.reasons[0].details == first.reasons[0].details


def test_a_survey_of_an_older_version_is_read(tmp_path, opened, monkeypatch):
    """It held no codes: its reasons stay English, and nothing is decoded again."""
    folder = write_folder(tmp_path / "pets", animals(3) | {"cat/bad.png": b"x"})
    first = opened(folder)
    (kept,) = (tmp_path / "cache" / ".surveys").glob("*.npz")
    with np.load(kept) as arrays:
        older = {name: arrays[name] for name in ("sizes", "digests", "faults")}
    np.savez_compressed(kept, **older)
    monkeypatch.setattr(survey, "survey", None)
    again = opened(folder)
    assert (again.unreadable, again.reasons, again.fingerprint) == (first.unreadable, first.reasons, first.fingerprint)
    assert not isinstance(again.reasons[0], Message)


def test_a_picture_that_changes_is_looked_at_again(tmp_path, opened):
    folder = write_folder(tmp_path / "pets", animals(3))
    first = opened(folder)
    (folder / "cat/0.png").write_bytes(b"broken")
    again = opened(folder)
    assert again.unreadable == ("cat/0.png",)
    assert again.fingerprint != first.fingerprint


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_a_damaged_survey_is_made_anew(tmp_path, opened, content):
    folder = write_folder(tmp_path / "pets", animals(3) | {"cat/bad.png": b"x"})
    opened(folder)
    (kept,) = (tmp_path / "cache" / ".surveys").glob("*.npz")
    kept.write_bytes(content)
    assert opened(folder).unreadable == ("cat/bad.png",)


def test_a_cache_that_cannot_be_written(tmp_path):
    folder = write_folder(tmp_path / "pets", animals(3))
    (tmp_path / "file").write_text("")
    assert len(open_dataset(str(folder), cache=tmp_path / "file" / "cache").splits["train"]) == 6
    with pytest.raises(DataError, match=r"a.zip cannot be unpacked to .* set VIT_EXPLORER_DATA to a folder"):
        open_dataset(str(write_zip(tmp_path / "a.zip", animals())), cache=tmp_path / "file" / "cache")


def test_progress_can_stop_it(tmp_path, opened):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(write_folder(tmp_path / "pets", animals(3)), progress=stop)


def test_a_vanished_picture_is_named_without_its_path(tmp_path, opened):
    folder = write_folder(tmp_path / "pets", animals(3))
    split = opened(folder).splits["train"]
    (folder / "cat/1.png").unlink()
    with pytest.raises(PictureError) as caught:
        split.read(1)
    assert str(caught.value) == "cat/1.png: the file cannot be read: No such file or directory"


def test_links_in_a_folder_of_ones_own(tmp_path, opened):
    """People build data sets of links. Circles end."""
    real = write_folder(tmp_path / "real", animals(2))
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "cat").symlink_to(real / "cat")
    (folder / "dog").mkdir()
    (folder / "dog" / "0.png").symlink_to(real / "dog" / "0.png")
    (folder / "dog" / "circle").symlink_to(folder)
    assert opened(folder).splits["train"].names == ("cat/0.png", "cat/1.png", "dog/0.png")


def test_odd_folder_names(tmp_path, opened):
    names = ["<script>alert(1)</script>".replace("/", ""), "a b", "猫", "-rf", "%2e%2e"]
    pictures = opened(write_folder(tmp_path / "odd", {f"{name}/1.png": picture() for name in names}))
    assert pictures.classes == tuple(sorted(names))
    assert json.loads(json.dumps(pictures.classes)) == list(pictures.classes)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_folder_names_that_are_no_text(tmp_path, opened):
    folder = write_folder(tmp_path / "odd", animals(1))
    (folder / os.fsdecode(b"b\xff")).mkdir()
    (folder / os.fsdecode(b"b\xff") / "1.png").write_bytes(picture())
    pictures = opened(folder)
    assert pictures.splits["train"].read(0).size == (6, 8)
    assert len(pictures.classes) == 3
    json.dumps([pictures.classes, pictures.splits["train"].names], ensure_ascii=False).encode()


def test_sets_in_the_cache_folder_go_by_their_names(tmp_path, opened):
    write_folder(tmp_path / "cache" / "mine", animals(2))
    write_zip(tmp_path / "cache" / "other.zip", animals(3))
    assert len(opened("mine", local_paths=False).splits["train"]) == 4
    assert len(opened("other", local_paths=False).splits["train"]) == 6
    assert len(opened("other.zip", local_paths=False).splits["train"]) == 6


@pytest.mark.parametrize("name", ["..", ".surveys", "../pets", "mine/../../pets"])
def test_paths_are_refused_away_from_this_computer(tmp_path, opened, name):
    write_folder(tmp_path / "pets", animals(2))
    write_folder(tmp_path / "cache" / "mine", animals(2))
    for source in (name, str(tmp_path / "pets")):
        with pytest.raises(DataError, match="Paths of this computer are taken from its own browser only"):
            opened(source, local_paths=False)


def test_nothing_of_that_name(opened):
    with pytest.raises(DataError, match="no data set 'cifar11': it is none of shapes, cifar10, "):
        opened("cifar11")


def test_splits_travel_to_other_processes(tmp_path, opened):
    for source in (write_folder(tmp_path / "pets", animals(3)), write_zip(tmp_path / "a.zip", animals(3)), "shapes"):
        split = opened(source).splits["train"]
        copy = pickle.loads(pickle.dumps(split))
        assert np.array_equal(np.asarray(copy.read(4)), np.asarray(split.read(4)))


def test_joined_stores():
    stores = [PixelStore(np.full((n, 1, 1, 3), n, np.uint8)) for n in (2, 3)]
    joined = JoinedStore(tuple(stores), (2, 3))
    assert [np.asarray(joined.read(row)).max() for row in range(5)] == [2, 2, 3, 3, 3]
    with pytest.raises(IndexError):
        joined.read(5)


def test_where_data_is_kept(monkeypatch):
    monkeypatch.delenv("VIT_EXPLORER_DATA", raising=False)
    monkeypatch.delenv("VIT_EXPLORER_CACHE", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "vit-explorer" / "data"
    monkeypatch.setenv("VIT_EXPLORER_CACHE", "/one")
    assert cache_folder() == Path("/one/data")
    monkeypatch.setenv("VIT_EXPLORER_DATA", "/two")
    assert cache_folder() == Path("/two")
