"""The published sets, against small imitations of them in torchvision's layout, opened by torchvision too."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import CIFAR10, CIFAR100, Flowers102, OxfordIIITPet

from tests.training.data.data_files import add, picture
from training.data.datasets import DataError, open_dataset
from training.data.published import published


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def publisher(monkeypatch):
    """{address: content}; what is not in it cannot be reached."""
    shelf = {}

    def fetch(url, path, wanted, progress=None):
        if path.exists() and md5(path.read_bytes()) == wanted:
            return path
        if url not in shelf:
            raise DataError(f"the download of {url} failed")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(shelf[url])
        assert md5(shelf[url]) == wanted
        if progress is not None:
            progress(1, 1, path.name)
        return path

    monkeypatch.setattr(published, "fetch", fetch)
    return shelf


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return out.getvalue()


@pytest.fixture(params=[CIFAR10, CIFAR100])
def cifar(request, publisher, monkeypatch):
    """torchvision's class, its checksums those of an imitation with 3 pictures a file."""
    kind, files = request.param, {}
    names = [f"class {n}" for n in range(10)]
    key = "labels" if kind is CIFAR10 else "fine_labels"
    for at, attribute in enumerate(("train_list", "test_list")):
        listed = []
        for number, (name, _) in enumerate(getattr(kind, attribute)):
            seed = 10 * at + number
            data = np.random.default_rng(seed).integers(0, 256, (3, 3072), dtype=np.uint8)
            files[name] = pickle.dumps({"data": data, key: [seed % 10, 1, 2]})
            listed.append([name, md5(files[name])])
        monkeypatch.setattr(kind, attribute, listed)
    files[kind.meta["filename"]] = pickle.dumps({kind.meta["key"]: names})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5(files[kind.meta["filename"]])})
    archive = tar_of({f"{kind.base_folder}/{name}": content for name, content in files.items()})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    publisher[kind.url] = archive
    return kind


def test_cifar(cifar, publisher, tmp_path):
    source, seen = cifar.__name__.lower(), []
    pictures = open_dataset(source, cache=tmp_path, progress=lambda *report: seen.append(report))
    assert seen == [(1, 1, cifar.filename)]
    assert pictures.classes == tuple(f"class {n}" for n in range(10))
    for name, split in pictures.splits.items():
        theirs = cifar(tmp_path, train=name == "train")
        assert len(split) == len(theirs) > 0
        for index, (theirs_picture, label) in enumerate(theirs):
            assert split.labels[index] == label
            assert np.array_equal(np.asarray(split.read(index)), np.asarray(theirs_picture))
    assert not (tmp_path / cifar.filename).exists(), "the archive is not kept beside what it held"
    publisher.clear()
    assert len(open_dataset(source, cache=tmp_path).splits["train"]) == len(pictures.splits["train"])


def test_cifar_is_unpickled_only_with_the_published_checksum(cifar, publisher, tmp_path):
    source = cifar.__name__.lower()
    open_dataset(source, cache=tmp_path)
    file = tmp_path / cifar.base_folder / cifar.test_list[0][0]
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR.")
    open_dataset(source, cache=tmp_path)
    assert md5(file.read_bytes()) == cifar.test_list[0][1], "fetched again"
    publisher.clear()
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR.")
    with pytest.raises(DataError, match="the download of"):
        open_dataset(source, cache=tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def pet_files(publisher, monkeypatch):
    files = {f"{name}_{n}": picture(n, format_="JPEG") for name in ("Abyssinian", "german_shepherd") for n in (1, 2, 3)}
    images = tar_of({f"images/{name}.jpg": content for name, content in files.items()} | {"images/a.mat": b"x"})
    lines = [f"{name} {1 + (name[0] == 'g')} 1 1" for name in files]
    annotations = tar_of(
        {
            "annotations/trainval.txt": "\n".join(lines[:2] + lines[3:5]).encode(),
            "annotations/test.txt": "\n".join([lines[2], lines[5]]).encode(),
        }
    )
    addresses = [url for url, _ in OxfordIIITPet._RESOURCES]
    contents = (images, annotations)
    publisher.update(zip(addresses, contents, strict=True))
    monkeypatch.setattr(
        OxfordIIITPet, "_RESOURCES", tuple((url, md5(data)) for url, data in zip(addresses, contents, strict=True))
    )
    return files


def test_pets(pet_files, publisher, tmp_path):
    pictures = open_dataset("pets", cache=tmp_path)
    assert pictures.classes == ("Abyssinian", "German Shepherd")
    for name, split in pictures.splits.items():
        theirs = OxfordIIITPet(tmp_path, split="trainval" if name == "train" else name)
        assert tuple(theirs.classes) == pictures.classes
        assert [label for _, label in theirs] == split.labels.tolist()
        for index, (theirs_picture, _) in enumerate(theirs):
            assert np.array_equal(np.asarray(split.read(index)), np.asarray(theirs_picture))
    assert pictures.splits["test"].names == ("images/Abyssinian_3.jpg", "images/german_shepherd_3.jpg")
    publisher.clear()
    assert len(open_dataset("pets", cache=tmp_path).splits["train"]) == 4


def test_a_pet_that_does_not_decode(pet_files, tmp_path):
    open_dataset("pets", cache=tmp_path)
    (tmp_path / "oxford-iiit-pet" / "images" / "Abyssinian_2.jpg").write_bytes(b"broken")
    pictures = open_dataset("pets", cache=tmp_path)
    assert pictures.unreadable == ("images/Abyssinian_2.jpg",)
    assert pictures.splits["train"].labels.tolist() == [0, 1, 1]


def test_flowers(publisher, tmp_path, monkeypatch):
    count = 102 * 3
    label_file, part_file = io.BytesIO(), io.BytesIO()
    labels = np.arange(count)[None, :] % 102 + 1
    savemat(label_file, {"labels": labels.astype(np.uint8)}, do_compression=True)
    order = np.arange(count, 0, -1, dtype=np.uint16)[None, :]
    parts = {"trnid": order[:, :102], "valid": order[:, 102:204], "tstid": order[:, 204:]}
    savemat(part_file, parts, do_compression=True)
    images = tar_of({f"jpg/image_{n:05d}.jpg": picture(n, format_="JPEG") for n in range(1, count + 1)})
    contents = {"image": images, "label": label_file.getvalue(), "setid": part_file.getvalue()}
    listed = {kind: (name, md5(contents[kind])) for kind, (name, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", listed)
    publisher.update({Flowers102._download_url_prefix + listed[kind][0]: data for kind, data in contents.items()})

    pictures = open_dataset("flowers102", cache=tmp_path)
    assert pictures.classes == tuple(Flowers102.classes)
    assert set(pictures.splits) == {"train", "val", "test"}
    for name, split in pictures.splits.items():
        theirs = Flowers102(tmp_path, split=name)
        assert len(split) == len(theirs) == 102
        assert [label for _, label in theirs] == split.labels.tolist()
        assert np.array_equal(np.asarray(split.read(3)), np.asarray(theirs[3][0]))


def test_unpacks_with_a_python_before_3_11_4(tmp_path, monkeypatch):
    """Debian 12's 3.11.2 knows no filters."""

    def extractall(tar, path):
        for member in tar:
            (Path(path) / member.name).parent.mkdir(exist_ok=True)
            (Path(path) / member.name).write_bytes(tar.extractfile(member).read())

    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    (tmp_path / "set.tar").write_bytes(tar_of({"inside/a.txt": b"a"}))
    published._extract(tmp_path / "set.tar", tmp_path, "inside")
    assert (tmp_path / "inside" / "a.txt").read_bytes() == b"a" and not (tmp_path / "set.tar").exists()


@pytest.mark.parametrize("source", ["cifar10", "cifar100", "pets", "flowers102"])
def test_a_download_that_fails_says_what_to_do(source, tmp_path, monkeypatch):
    """Against a proxy that does not answer, so that nothing leaves this machine."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # made once, with the proxies of then, for all later tests
    with pytest.raises(DataError) as caught:
        open_dataset(source, cache=tmp_path)
    text = str(caught.value)
    assert text.startswith("the download of https://www.")
    assert f"fetch it elsewhere and put it into {tmp_path}" in text


def test_a_file_put_there_by_hand_is_used(cifar, publisher, tmp_path):
    Path(tmp_path / cifar.filename).write_bytes(publisher.pop(cifar.url))
    assert len(open_dataset(cifar.__name__.lower(), cache=tmp_path).splits["test"]) == 3
