"""Downloads against a small Hub on this machine: huggingface_hub's real path, from its HTTP client to its cache."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from tests.vit_model.checkpoints.hub_server import HubServer, keep_to, point_to
from vit_model import errors
from vit_model.checkpoints import hub, zoo

WEIGHTS = os.urandom(25_000_000)
CONFIG, PREPROCESSOR = b'{"model_type": "vit"}', b'{"size": 224}'
MODEL = {
    ".gitattributes": b"",
    "README.md": b"# A model",
    "config.json": CONFIG,
    "flax_model.msgpack": b"other weights",
    "model.safetensors": WEIGHTS,
    "preprocessor_config.json": PREPROCESSOR,
    "pytorch_model.bin": b"the same weights again",
}
SMALL = {"config.json": CONFIG, "model.safetensors": b"weights"}


@pytest.fixture
def server():
    with HubServer({"owner/vit": MODEL, "owner/small": SMALL}) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(server, tmp_path, monkeypatch):
    """What HF_ENDPOINT and HF_HOME would have set; `test_environment_variables` sets those themselves."""
    keep_to(server.url, tmp_path, monkeypatch)
    huggingface_hub.close_session()
    yield
    huggingface_hub.close_session()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def unfinished(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.incomplete"))


def message(kind: type[errors.HubError], source: str) -> str:
    with pytest.raises(kind) as caught:
        zoo.fetch(source)
    assert type(caught.value) is kind
    return str(caught.value)


# What is fetched


def test_only_the_needed_files_are_fetched_and_bytes_are_reported_on_the_way(server):
    reports = []
    folder = zoo.fetch("owner/vit", progress=lambda *report: reports.append(report))
    wanted = {"config.json": CONFIG, "preprocessor_config.json": PREPROCESSOR, "model.safetensors": WEIGHTS}
    assert contents(folder) == wanted
    assert server.fetched() == list(wanted)

    total = sum(map(len, wanted.values()))
    done = [report[0] for report in reports]
    assert {report[1] for report in reports} == {total}
    assert done == sorted(done)
    assert done[-1] == total
    assert len({n for n in done if len(CONFIG) + len(PREPROCESSOR) < n < total}) >= 2, "bytes within the large file"
    assert {report[2] for report in reports} == set(wanted)


def test_each_file_is_named_before_its_first_byte_and_then_at_least_every_two_megabytes():
    reports = []
    zoo.fetch("owner/vit", progress=lambda *report: reports.append(report))
    total, before = sum(map(len, (CONFIG, PREPROCESSOR, WEIGHTS))), len(CONFIG) + len(PREPROCESSOR)
    assert reports[0] == (0, total, "config.json")
    assert (before, total, "model.safetensors") in reports
    done = [report[0] for report in reports]
    assert max(b - a for a, b in pairwise(done)) <= 2_000_000


def test_a_second_fetch_asks_one_question_and_loads_nothing(server):
    first = zoo.fetch("owner/vit")
    server.requests.clear()
    reports = []
    assert zoo.fetch("owner/vit", progress=lambda *report: reports.append(report)) == first
    assert [request.path for request in server.requests] == ["/api/models/owner/vit/revision/main"]
    assert reports == []


def test_a_revision_is_asked_for_and_found_again_without_a_network(server, monkeypatch):
    folder = zoo.fetch("owner/small@refs/pr/1")
    assert server.requests[0].path == "/api/models/owner/small/revision/refs/pr/1"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.fetch("owner/small@refs/pr/1") == zoo.fetch(f"owner/small@{server.commit}") == folder
    assert "is not in the cache" in message(errors.OfflineError, "owner/small")


SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("names", "fetched"),
    [
        (["pytorch_model.bin", "model.safetensors", "config.json"], ["config.json", "model.safetensors"]),
        ([hub.SHARD_INDEX, *SHARDS, "pytorch_model.bin"], [*SHARDS, hub.SHARD_INDEX]),
        ([hub.SHARD_INDEX, *SHARDS, "model.safetensors"], ["model.safetensors"]),
        ([hub.SHARD_INDEX, *SHARDS[:1], "pytorch_model.bin"], ["pytorch_model.bin"]),
        ([hub.SHARD_INDEX, *SHARDS[1:]], []),
        (SHARDS, []),
        ([hub.SHARD_INDEX], []),
        (["config.json", "preprocessor_config.json", "tf_model.h5"], []),
        (["onnx/model.safetensors", "config.json"], []),
        ([], []),
    ],
)
def test_files_to_fetch(names, fetched):
    assert list(hub.files_to_fetch(names)) == fetched


def test_sharded_and_pickled_weights_are_fetched(server):
    server.models["owner/sharded"] = {"config.json": CONFIG, hub.SHARD_INDEX: b"{}", SHARDS[0]: b"a", SHARDS[1]: b"b"}
    server.models["owner/pickled"] = {"config.json": CONFIG, "pytorch_model.bin": b"pickle", "tf_model.h5": b"no"}
    assert contents(zoo.fetch("owner/sharded")) == server.models["owner/sharded"]
    assert contents(zoo.fetch("owner/pickled")) == {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}


# Broken connections, several threads, no symbolic links


def test_a_cut_connection_is_resumed_where_it_broke(server, tmp_path):
    server.cut_after["model.safetensors"] = 12_000_000
    reports = []
    folder = zoo.fetch("owner/vit", progress=lambda *report: reports.append(report))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    asked = [r.range for r in server.requests if r.method == "GET" and r.path.endswith("model.safetensors")]
    assert asked == [None, f"bytes={12_000_000 // 2**20 * 2**20}-"]
    total = len(WEIGHTS) + len(CONFIG) + len(PREPROCESSOR)
    assert reports[-1][:2] == (total, total)
    assert max(report[0] for report in reports) == total
    assert unfinished(tmp_path) == []


def test_two_threads_fetch_the_same_model_once(server, tmp_path):
    barrier, folders = threading.Barrier(2), []

    def fetch():
        barrier.wait()
        folders.append(zoo.fetch("owner/vit", progress=lambda *_: None))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 2
    assert folders[0] == folders[1]
    assert (folders[0] / "model.safetensors").read_bytes() == WEIGHTS
    assert server.fetched().count("model.safetensors") == 1
    assert unfinished(tmp_path) == []


def test_without_symbolic_links(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    folder = zoo.fetch("owner/small")
    assert contents(folder) == SMALL
    assert not any(path.is_symlink() for path in folder.iterdir())
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.fetch("owner/small") == folder


# Without a network


def test_environment_variables(server, tmp_path):
    """HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE as a user sets them, for a process of its own."""

    def fetch(source: str, **variables: str) -> subprocess.CompletedProcess:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        variables = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), **variables}
        code = (
            "import sys; from vit_model import errors; from vit_model.checkpoints import zoo\n"
            "try: print(zoo.fetch(sys.argv[1], progress=lambda *report: None))\n"
            "except errors.CheckpointError as error: print(type(error).__name__, error)"
        )
        root = Path(zoo.__file__).parents[2]
        command = [sys.executable, "-c", code, source]
        return subprocess.run(command, cwd=root, env=kept | variables, capture_output=True, text=True, check=True)

    online = fetch("owner/small", HF_TOKEN="hf_secret")
    folder = Path(online.stdout.strip())
    assert folder.is_relative_to(tmp_path / "home")
    assert contents(folder) == SMALL
    about_the_model = [request for request in server.requests if "owner/small" in request.path]
    assert {request.authorization for request in about_the_model} == {"Bearer hf_secret"}

    server.requests.clear()
    assert fetch("owner/small", HF_HUB_OFFLINE="1").stdout == online.stdout
    refused = fetch("owner/vit", HF_HUB_OFFLINE="1").stdout
    assert refused.startswith("OfflineError owner/vit is not in the cache")
    assert server.requests == []


def test_no_token_is_sent_when_there_is_none(server):
    zoo.fetch("owner/small")
    assert {request.authorization for request in server.requests} == {None}


def test_a_token_is_sent_when_there_is_one(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    zoo.fetch("owner/small")
    assert {request.authorization for request in server.requests} == {"Bearer hf_secret"}


def test_offline_with_an_empty_cache_says_how_to_fetch_by_hand(server, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    text = message(errors.OfflineError, "owner/vit@v2")
    assert f"owner/vit is not in the cache {tmp_path / 'cache'}, and HF_HUB_OFFLINE is set" in text
    assert '"hf download owner/vit --revision v2 --local-dir FOLDER"' in text
    assert "open FOLDER: a folder works as well as a Hub id" in text
    assert server.requests == []


def test_offline_with_a_filled_cache_works(server, monkeypatch):
    folder = zoo.fetch("owner/small")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.requests.clear()
    assert zoo.fetch("owner/small") == folder
    assert server.requests == []


@pytest.mark.parametrize(
    "refusal", [(503, "", "Service Unavailable"), (429, "", "slow down"), (401, "RepoNotFound", "")]
)
def test_a_hub_that_refuses_does_not_take_the_cache_away(server, refusal):
    folder = zoo.fetch("owner/small")
    server.refusals["/"] = refusal
    assert zoo.fetch("owner/small") == folder


def test_a_network_that_is_down(monkeypatch):
    folder = zoo.fetch("owner/small")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        point_to(url, monkeypatch)
        assert zoo.fetch("owner/small") == folder
        text = message(errors.OfflineError, "owner/vit")
    assert text.startswith(f"{url} cannot be reached (")
    assert '"hf download owner/vit --local-dir FOLDER"' in text


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    assert hub.TIMEOUT_SECONDS <= 10
    monkeypatch.setattr(hub, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_to(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        assert "cannot be reached (timed out)" in message(errors.OfflineError, "owner/vit")


def test_a_newer_version_that_broke_off_leaves_the_older_one_in_use(server, monkeypatch):
    old = zoo.fetch("owner/small")
    server.commit = server.commit[::-1]
    server.models["owner/small"] = SMALL | {"config.json": b"{}", "model.safetensors": b"new weights"}
    server.refusals[f"/owner/small/resolve/{server.commit}/model.safetensors"] = (403, "", "no")
    message(errors.HubServerError, "owner/small")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.fetch("owner/small") == old
    assert contents(old) == SMALL

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server.refusals.clear()
    new = zoo.fetch("owner/small")
    assert contents(new)["model.safetensors"] == b"new weights"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.fetch("owner/small") == new


# Errors


def test_a_repository_that_does_not_exist(server):
    text = message(errors.RepositoryNotFoundError, "owner/nothing")
    assert f"{server.url} has no model 'owner/nothing', or it is private" in text
    assert "check the spelling" in text


def test_a_revision_that_does_not_exist(server):
    zoo.fetch("owner/small")
    text = message(errors.RevisionNotFoundError, "owner/small@v9")
    assert "owner/small has no revision 'v9'" in text
    assert 'leave "@v9" out' in text


@pytest.mark.parametrize("stage", ["/api/models/owner/small", "/owner/small/resolve/"])
def test_a_gated_repository(server, stage):
    """The Hub lists most gated repositories to anyone, and refuses their files."""
    server.refusals[stage] = (403, "GatedRepo", "Access to model owner/small is restricted")
    text = message(errors.GatedRepositoryError, "owner/small")
    assert f"accept its licence on {server.url}/owner/small" in text
    assert "set HF_TOKEN" in text
    assert '"hf download owner/small --local-dir FOLDER"' in text


def test_a_wrong_token(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    server.refusals["/"] = (401, "", "Invalid credentials in Authorization header")
    text = message(errors.HubServerError, "owner/small")
    assert "refused the access token (401); correct HF_TOKEN" in text
    assert "hf_expired" not in text


def test_a_repository_without_usable_weights_lists_what_is_there(server):
    server.models["owner/flax"] = {"config.json": CONFIG, "flax_model.msgpack": b"", "a.txt": b""}
    text = message(errors.NoWeightsError, "owner/flax")
    assert "expected model.safetensors" in text
    assert "in owner/flax, found a.txt, config.json, flax_model.msgpack" in text
    assert server.fetched() == []


def test_a_server_error(server):
    server.refusals["/"] = (500, "", "Internal Error")
    text = message(errors.HubServerError, "owner/small")
    assert f"{server.url} answered 500 (Internal Error) to the question for owner/small; try again later" in text


@pytest.mark.parametrize(
    "answer", [b"<html>Please log in to the hotel's network</html>", b"[]", b'{"id": "owner/small"}']
)
def test_an_endpoint_that_is_no_hub(server, answer):
    server.listing = answer
    assert "check HF_ENDPOINT" in message(errors.HubServerError, "owner/small")


def test_an_answer_that_only_another_server_gives(server):
    server.refusals["/"] = (404, "", "no such page")
    text = message(errors.HubServerError, "owner/small")
    assert "answered 404 (no such page) to the question for owner/small; check HF_ENDPOINT" in text


def test_a_model_that_is_too_large(server):
    with pytest.raises(errors.DownloadTooLargeError, match=re.escape("download of 25.0 MB, more than the 10.0 MB")):
        hub.download("owner/vit", max_bytes=10_000_000)
    assert server.fetched("HEAD") == []


def test_too_little_room_is_seen_beforehand(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    text = message(errors.DiskFullError, "owner/vit")
    assert "owner/vit needs 25.0 MB" in text
    assert f"the cache folder {tmp_path / 'cache'} has 1.0 MB free; make room, set HF_HOME" in text
    assert '"hf download owner/vit --local-dir FOLDER"' in text
    assert server.fetched("HEAD") == []
    assert contents(zoo.fetch("owner/small")) == SMALL


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full, a device that is always full")
def test_a_disk_that_fills_up_while_downloading(server, tmp_path, monkeypatch):
    open_ = Path.open
    full = Path("/dev/full")
    monkeypatch.setattr(
        Path, "open", lambda path, *mode, **more: open_(full if path.suffix == ".incomplete" else path, *mode, **more)
    )
    text = message(errors.DiskFullError, "owner/vit")
    assert f"the disk of the cache folder {tmp_path / 'cache'} became full while config.json was downloaded" in text
    monkeypatch.setattr(Path, "open", open_)
    assert (zoo.fetch("owner/vit") / "model.safetensors").read_bytes() == WEIGHTS


def test_a_cache_folder_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    text = message(errors.HubError, "owner/small")
    assert f"the cache folder {tmp_path / 'file' / 'cache'} cannot be used (Not a directory); set HF_HOME" in text
