"""Classes and splits, read off names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.layout import arrange, is_junk, unwrapped
from training.data.picture_set import DataError


def found(names, folders=()):
    """{split: {class: names}}."""
    layout = arrange(names, folders)
    return {
        kind: {
            name: [names[row] for row, label in zip(rows, labels, strict=True) if layout.classes[label] == name]
            for name in layout.classes
        }
        for kind, (rows, labels) in layout.splits.items()
    }


def refusal(names, folders=()):
    with pytest.raises(DataError) as caught:
        arrange(names, folders)
    return str(caught.value)


def test_one_folder_a_class():
    names = ["dog/b.jpg", "cat/1.png", "dog/a.JPEG", "cat/deep/down/2.webp"]
    assert found(names) == {"train": {"cat": ["cat/1.png", "cat/deep/down/2.webp"], "dog": ["dog/a.JPEG", "dog/b.jpg"]}}


def test_the_order_of_the_files_does_not_matter():
    names = ["dog/b.jpg", "cat/1.png", "dog/a.jpg", "cat/2.png"]
    one, other = arrange(names), arrange(names[::-1])
    assert [names[row] for row in one.splits["train"][0]] == [names[::-1][row] for row in other.splits["train"][0]]


@pytest.mark.parametrize("called", ["val", "valid", "validation", "test", "Testing", "VAL"])
def test_one_other_split_is_the_test_set_whatever_it_is_called(called):
    names = ["train/cat/1.png", "train/dog/1.png", f"{called}/cat/2.png", f"{called}/dog/2.png"]
    assert set(found(names)) == {"train", "test"}
    assert found(names)["test"] == {"cat": [names[2]], "dog": [names[3]]}


def test_of_two_other_splits_val_is_held_out():
    names = [f"{split}/{name}/1.png" for split in ("train", "valid", "test") for name in ("cat", "dog")]
    assert set(found(names)) == {"train", "val", "test"}
    assert found(names)["val"]["cat"] == ["valid/cat/1.png"]


def test_a_folder_that_holds_everything_is_looked_through():
    names = ["data/pets/train/cat/1.png", "data/pets/train/dog/1.png", "data/pets/test/cat/2.png"]
    names += ["data/pets/test/dog/2.png", "data/README.md"]
    assert set(found(names)) == {"train", "test"}
    assert found(["top/cat/1.png", "top/dog/1.png"])["train"]["cat"] == ["top/cat/1.png"]
    assert unwrapped(["top/cat/1.png", "top/dog/1.png"]) == ["cat/1.png", "dog/1.png"]


def test_train_alone():
    assert set(found(["train/cat/1.png", "train/dog/1.png"])) == {"train"}


def test_a_class_may_be_called_train():
    names = ["plane/1.png", "train/1.png", "test/1.png"]
    assert set(found(names)["train"]) == {"plane", "test", "train"}


def test_junk_is_not_there():
    junk = ["__MACOSX/cat/._1.png", "cat/.DS_Store", "cat/Thumbs.db", ".hidden/1.png", "dog/desktop.ini"]
    assert all(map(is_junk, junk))
    layout = arrange(["cat/1.png", "dog/1.png", *junk])
    assert layout.notes == ()
    assert layout.classes == ("cat", "dog")


def test_what_is_passed_over_is_told():
    assert arrange(["cat/1.png", "dog/1.png", "cat/labels.csv"]).notes == (
        "1 files that are no pictures, passed over: 'cat/labels.csv'",
    )
    assert "archives among them are not opened: 'more.zip'" in arrange(["cat/1.png", "dog/1.png", "more.zip"]).notes[0]
    names = ["train/cat/1.png", "train/dog/1.png", "extra/cat/1.png", "loose.png"]
    assert arrange(names).notes == ("beside the folder 'train', passed over: 'extra', 'pictures outside of folders'",)


def test_empty_class_folders_are_named():
    layout = arrange(["cat/1.png", "dog/1.png"], ["cat", "dog", "emu", "axolotl", ".git"])
    assert layout.notes == ("empty class folders, passed over: 'axolotl', 'emu'",)
    assert layout.classes == ("cat", "dog")


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "猫", "a\tb", "a..cat", "cat ", "con", "名/".strip("/")]
)
def test_odd_class_names_are_kept_as_they_are(name):
    assert name in arrange([f"{name}/1.png", "dog/1.png"]).classes


def test_accents_written_in_two_ways_are_one_class():
    two = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    assert two[0] != two[1]
    names = [f"train/{two[0]}/1.png", "train/tea/1.png", f"test/{two[1]}/1.png", "test/tea/1.png"]
    assert arrange(names).classes == (two[0], "tea")


def test_upper_and_lower_case():
    assert refusal(["Cat/1.png", "cat/2.png", "dog/1.png"]) == (
        "the class folders 'Cat' and 'cat' differ only in upper and lower case; merge them, or rename one"
    )
    assert "'STRASSE' and 'straße'" in refusal(["straße/1.png", "STRASSE/1.png"])


def test_one_class_only():
    assert refusal(["cat/1.png", "cat/2.png"]).startswith("expected at least two classes, found one only: 'cat'")
    assert "found one only: 'cat'" in refusal(["cat/1.png"], ["dog"])
    assert "found one only: 'cat'" in refusal(["train/cat/1.png", "test/cat/2.png"])


def test_no_pictures():
    assert refusal([]) == "expected pictures in one folder for each class, found no file at all."
    assert "found 2 other files ('a.txt', 'b/c.parquet')" in refusal(["a.txt", "b/c.parquet"])
    assert "Unpack the archives inside first" in refusal(["train.zip"])


def test_pictures_without_folders():
    assert "found 2 pictures without folders ('1.png', '2.png')" in refusal(["1.png", "2.png"])
    assert "the top folder holds class folders, and 1 pictures of no class ('3.png')" in refusal(
        ["cat/1.png", "dog/2.png", "3.png"]
    )


def test_splits_with_differing_classes():
    names = ["train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/emu/1.png"]
    assert refusal(names) == (
        "train and test must have the same class folders, and differ; only in train: 'dog'; only in test: 'emu'. "
        "Rename or remove what does not match"
    )


def test_two_folders_for_one_split():
    names = [f"{split}/{name}/1.png" for split in ("train", "val", "valid") for name in ("cat", "dog")]
    assert refusal(names) == "the folders 'val', 'valid' both name one split; keep one of them"


def test_one_picture_in_a_class_is_allowed():
    assert found(["cat/1.png", "dog/1.png", "dog/2.png"])["train"]["cat"] == ["cat/1.png"]


def test_long_lists_are_cut():
    text = refusal([f"train/{n}/1.png" for n in range(50)] + ["test/0/1.png", "test/1/1.png"])
    assert "and 40 more" in text
    assert len(text) < 400


PART = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)


@given(st.lists(st.lists(PART, min_size=1, max_size=4), max_size=12))
def test_any_names_give_a_layout_or_a_plain_refusal(paths):
    names = ["/".join(parts) + ".png" for parts in paths]
    try:
        layout = arrange(names)
    except DataError:
        return
    rows = [row for rows, _ in layout.splits.values() for row in rows.tolist()]
    assert len(set(rows)) == len(rows)
    assert len(layout.classes) >= 2
    for _, labels in layout.splits.values():
        assert set(labels.tolist()) == set(range(len(layout.classes)))
