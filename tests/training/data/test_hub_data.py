"""Data-set repositories, fetched from a small Hub on this machine by huggingface_hub's real path."""

from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http as http

from tests.training.data.data_files import animals, split_animals, write_tar, write_zip
from tests.vit_model.checkpoints.hub_server import HubServer, keep_to, point_to
from training.data import hub_data
from training.data.datasets import DataError, open_dataset, would_download

EXTRA = {"README.md": b"# Pets", ".gitattributes": b"", "data.parquet": b"PAR1", "cat/.DS_Store": b"x"}


@pytest.fixture
def server(tmp_path, monkeypatch):
    with HubServer({"datasets/owner/pets": split_animals() | EXTRA}) as server:
        keep_to(server.url, tmp_path, monkeypatch)
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


@pytest.fixture
def opened(tmp_path):
    return lambda source, **choices: open_dataset(source, cache=tmp_path / "data", **choices)


def refusal(opened, source, **choices):
    with pytest.raises(DataError) as caught:
        opened(source, **choices)
    return str(caught.value)


def test_an_image_folder(server, opened):
    seen = []
    pictures = opened("hf:owner/pets", progress=lambda *report: seen.append(report))
    assert pictures.classes == ("cat", "dog")
    assert {kind: len(split) for kind, split in pictures.splits.items()} == {"train": 6, "test": 4}
    assert pictures.splits["train"].read(0).size == (6, 8)
    assert sorted(server.fetched()) == sorted(name.rpartition("/")[2] for name in split_animals()), "and nothing else"
    needed = sum(map(len, split_animals().values()))
    downloads = [report for report in seen if report[1] == needed]
    assert downloads[-1][0] == needed
    assert [report[0] for report in downloads] == sorted(report[0] for report in downloads)


def test_it_opens_again_without_a_network(server, opened, monkeypatch):
    first = opened("hf:owner/pets")
    point_to("http://127.0.0.1:9", monkeypatch)
    again = opened("hf:owner/pets")
    assert again.fingerprint == first.fingerprint
    assert again.splits["train"].names == first.splits["train"].names


def test_it_is_known_without_a_network_what_would_be_fetched(server, opened, tmp_path, monkeypatch):
    cache = tmp_path / "data"
    assert would_download("hf:owner/pets", cache) and server.requests == []
    opened("hf:owner/pets")
    server.requests.clear()
    assert not would_download("hf:owner/pets", cache) and server.requests == []
    one = next((tmp_path).rglob("snapshots/*/*/*/*.png"))
    one.unlink()
    assert would_download("hf:owner/pets", cache)


def test_nothing_is_fetched_twice(server, opened):
    opened("hf:owner/pets")
    server.requests.clear()
    opened("hf:owner/pets")
    assert server.fetched() == []


@pytest.mark.parametrize("revision", ["main", "refs/pr/1"])
def test_revisions(server, opened, revision):
    assert len(opened(f"hf:owner/pets@{revision}").splits["train"]) == 6
    assert "has no revision 'v9'" in refusal(opened, "hf:owner/pets@v9")


def test_one_archive(server, opened, tmp_path):
    path = write_tar(tmp_path / "pets.tar.gz", split_animals(), "w:gz")
    server.models["datasets/owner/packed"] = {"pets.tar.gz": path.read_bytes(), "README.md": b""}
    assert len(opened("hf:owner/packed").splits["test"]) == 4


def test_an_archive_for_each_split(server, opened, tmp_path):
    files = {
        "data/train.zip": write_zip(tmp_path / "a", animals(3, "train/")).read_bytes(),  # with a folder of its own
        "data/validation.zip": write_zip(tmp_path / "b", animals(1, seed=9)).read_bytes(),
        "data/test.zip": write_zip(tmp_path / "c", animals(2, "all/", seed=19)).read_bytes(),
    }
    server.models["datasets/owner/packed"] = files
    pictures = opened("hf:owner/packed")
    assert {kind: len(split) for kind, split in pictures.splits.items()} == {"train": 6, "val": 2, "test": 4}
    pixels = {np.asarray(split.read(i)).tobytes() for split in pictures.splits.values() for i in range(len(split))}
    assert len(pixels) == 12


def test_archives_that_are_no_splits(server, opened, tmp_path):
    content = write_zip(tmp_path / "a", animals(1)).read_bytes()
    server.models["datasets/owner/packed"] = {"a.zip": content, "b.zip": content}
    assert "holds 2 archives; expected one, or one each called train, val and test" in refusal(
        opened, "hf:owner/packed"
    )


def test_a_hostile_archive(server, opened, tmp_path):
    content = write_zip(tmp_path / "a", {"../../cat/1.png": b"x"}).read_bytes()
    server.models["datasets/owner/packed"] = {"a.zip": content}
    assert "leads out of it" in refusal(opened, "hf:owner/packed")


def test_parquet(server, opened):
    server.models["datasets/owner/table"] = {"data/train-0.parquet": b"PAR1", "README.md": b""}
    text = refusal(opened, "hf:owner/table")
    assert text.startswith("owner/table holds neither pictures nor archives, but files of the kinds md, parquet")
    assert "Parquet tables are not read" in text


def test_bounds(server, opened, monkeypatch):
    monkeypatch.setattr(hub_data, "MAX_FILES", 9)
    assert "owner/pets holds 10 picture files of 0.0 GB, at most 9 files" in refusal(opened, "hf:owner/pets")
    monkeypatch.setattr(hub_data, "MAX_FILES", 10)
    monkeypatch.setattr(hub_data, "MAX_BYTES", 1000)
    assert "are fetched; fetch it with" in refusal(opened, "hf:owner/pets")
    assert server.fetched() == []


@pytest.mark.parametrize("name", ["", "pets", "../x/y", "owner/pets/more", "owner/pe ts", "-o/x", "http://x/y"])
def test_odd_names(server, opened, name):
    assert refusal(opened, f"hf:{name}") == f"expected hf:owner/name, got {'hf:' + name!r}"
    assert server.requests == []


def test_names_that_lead_out(server, opened):
    files = animals(2) | {"../../cat/9.png": b"x"}
    server.models["datasets/owner/bad"] = files
    assert len(opened("hf:owner/bad").splits["train"]) == 4


def test_no_such_repository(server, opened):
    assert "has no data set 'owner/nothing', or it is private" in refusal(opened, "hf:owner/nothing")


def test_gated(server, opened):
    server.refusals["/api/datasets/owner/pets"] = (403, "GatedRepo", "Access to it is restricted")
    assert refusal(opened, "hf:owner/pets").startswith("owner/pets is gated: accept its terms on")


def test_the_server_fails_on_the_way(server, opened, monkeypatch):
    monkeypatch.setattr(http, "time", SimpleNamespace(sleep=lambda seconds: None))  # between the client's five attempts
    server.refusals["/datasets/owner/pets/resolve"] = (500, "", "out of order")
    text = refusal(opened, "hf:owner/pets")
    assert text.startswith(f"owner/pets cannot be fetched from {server.url} (")
    assert 'hf download --repo-type dataset owner/pets --local-dir FOLDER" and open FOLDER' in text


def test_no_network(server, opened, monkeypatch):
    point_to("http://127.0.0.1:9", monkeypatch)
    assert "check the network, HF_ENDPOINT and proxies" in refusal(opened, "hf:owner/pets")


def test_something_that_is_no_hub(server, opened):
    server.listing = b'{"what": "ever"}'
    assert "check HF_ENDPOINT" in refusal(opened, "hf:owner/pets")


def test_visitors_do_not_use_the_token_of_this_machine(server, opened, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    opened("hf:owner/pets", local_paths=False)
    assert {request.authorization for request in server.requests} == {None}
    server.requests.clear()
    opened("hf:owner/pets")
    assert {request.authorization for request in server.requests} == {"Bearer hf_secret"}


@pytest.mark.parametrize("kind", ["private", "gated"])
def test_a_guest_gets_nothing_that_the_hosts_token_has_brought(server, opened, kind, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_thehostsowntoken")
    getattr(server, kind)["datasets/owner/pets"] = "hf_thehostsowntoken"
    assert len(opened("hf:owner/pets").splits["train"])
    asked = len(server.requests)
    with pytest.raises(DataError):
        opened("hf:owner/pets", guest=True)
    assert {request.authorization for request in server.requests[asked:]} == {None}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(opened("hf:owner/pets").splits["train"])
    with pytest.raises(DataError):
        opened("hf:owner/pets", guest=True)


def test_a_guest_gets_public_data_from_the_cache_without_a_network(server, opened, monkeypatch):
    opened("hf:owner/pets")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert len(opened("hf:owner/pets", guest=True).splits["train"])
