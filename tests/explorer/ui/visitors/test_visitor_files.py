"""No visitor reads a file of the host: every event and endpoint that takes a file, in every spelling that was thought
of. What takes a file is found by walking the page's config, so that a new one cannot be forgotten."""

import io
import os
import socket
import uuid
from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.visitors.visitor_files import VisitorFileError, check_files, visitor_path
from vit_model.files.regular import FileError, open_regular

MARKED = {"meta": {"_type": "gradio.FileData"}}
WORDS = "expected a file that was uploaded to this page"
FILES = ("image", "file")
CANARY = b"a secret that no answer may hold"


def png(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """Files of the host, one of which is a perfect picture."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret.txt").write_bytes(CANARY)
    (folder / "secret.png").write_bytes(png("red"))
    return folder


@pytest.fixture(scope="module")
def visitor(served):
    """A visitor's connection: through a proxy, so nothing of this computer is theirs to name."""
    with httpx.Client(base_url=served, headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def uploaded(visitor):
    answer = visitor.post("/gradio_api/upload", files={"files": ("photo.png", png("blue"))})
    return answer.json()[0]


@pytest.fixture(scope="module")
def config(visitor):
    return visitor.get("/config").json()


@pytest.fixture(scope="module")
def spellings(secrets, uploaded):
    """{what: path} of files that no visitor may name."""
    cache = Path(get_upload_folder())
    secret, picture = secrets / "secret.txt", secrets / "secret.png"
    own = Path(uploaded)
    link, folder_link = cache / "a-link.png", cache / "a-linked-folder"
    for made, target in ((link, picture), (folder_link, secrets)):
        if not made.is_symlink():
            made.symlink_to(target)
    yield {
        "a text": str(secret),
        "a picture": str(picture),
        "nothing there": str(secrets / "none.png"),
        "a folder": str(secrets),
        "a word of the system": "/etc/passwd",
        "a device": "/dev/zero",
        "a process": "/proc/self/environ",
        "a descriptor": "/proc/self/fd/0",
        "the checkout": os.path.abspath("README.md"),
        "relative": "README.md",
        "relative to its parent": os.path.relpath(picture),
        "up from the cache": f"{cache}/../{picture.name}",
        "up from an upload": f"{own.parent}/../../../../../../../../{picture}",
        "a roundabout way to an upload": f"{own.parent}/../{own.parent.name}/{own.name}",
        "a doubled slash": f"{own.parent}//{own.name}",
        "a link": str(link),
        "through a linked folder": str(folder_link / "secret.png"),
        "the cache": str(cache),
        "a name like the cache's": f"{cache}-else/x.png",
        "the web": "https://example.com/x.png",
        "this server": "http://127.0.0.1:9/x.png",
        "a file address": f"file://{picture}",
        "the home": "~/.ssh/id_rsa",
        "a zero byte": f"{own}\0.png",
        "a long name": "/" + "a" * 5000,
        "a share": "\\\\host\\share\\x.png",
    }
    link.unlink()
    folder_link.unlink()


def spelt(path: str) -> list[dict]:
    """One path as a client may send it."""
    return [
        {"path": path},
        {"path": path} | MARKED,
        {"path": path, "url": "/gradio_api/file=x", "orig_name": "x.png", "size": 3} | MARKED,
        {"path": path, "is_stream": True} | MARKED,
        {"path": path, "meta": {"_type": "else"}},
    ]


def run(visitor: httpx.Client, dependency: dict, data: list, session: str) -> httpx.Response:
    sent = {"data": data, "fn_index": dependency["id"], "session_hash": session}
    return visitor.post("/gradio_api/run/predict", json=sent)


def test_the_walk_finds_what_takes_files(config):
    types = {component["id"]: component["type"] for component in config["components"]}
    taking = [
        dependency["api_name"]
        for dependency in config["dependencies"]
        if dependency["backend_fn"] and {types[number] for number in dependency["inputs"]} & set(FILES)
    ]
    assert {"predict", "attention", "explain", "faithfulness"} <= set(taking)
    assert len(taking) > 20


def test_no_event_or_endpoint_takes_a_file_of_the_host(visitor, config, spellings, secrets):
    types = {component["id"]: component["type"] for component in config["components"]}
    session, tried, alike = uuid.uuid4().hex, 0, {}
    before = {path for path in Path(get_upload_folder()).rglob("*") if path.is_file()}
    dependencies = [dependency for dependency in config["dependencies"] if dependency["backend_fn"]]
    for dependency in dependencies:  # many events fill the same from the same: these share the work
        alike.setdefault(str((dependency["inputs"], dependency["outputs"])), []).append(dependency["id"])
    for dependency in dependencies:
        same = alike[str((dependency["inputs"], dependency["outputs"]))]
        own, share = same.index(dependency["id"]), len(same)
        for place, number in enumerate(dependency["inputs"]):
            if types[number] == "state":  # what a client sends there is thrown away
                continue
            if types[number] in FILES:
                hostile = [sent for path in spellings.values() for sent in spelt(path)]
                hostile = hostile[own::share] or hostile[:1]
            else:  # no place for a file, so any one will do, as deep as it goes
                hostile = [{"value": [{"deep": spelt(str(secrets / "secret.png"))[1]}]}] * (place % share == own)
            for sent in hostile:
                data = [None] * len(dependency["inputs"])
                data[place] = [sent] if types[number] == "file" and tried % 2 else sent
                answer = run(visitor, dependency, data, session)
                tried += 1
                assert answer.status_code >= 400, (dependency["api_name"], sent)
                assert answer.json()["error"].startswith(WORDS), (dependency["api_name"], sent, answer.text)
    assert tried > 1000
    after = {path for path in Path(get_upload_folder()).rglob("*") if path.is_file()} - before
    assert not [path for path in after if path.read_bytes() in (CANARY, png("red"))]


def test_a_refusal_tells_no_file_from_another(visitor, config, spellings):
    """Not whether it is there, nor of what kind it is."""
    predict = next(each for each in config["dependencies"] if each["api_name"] == "predict")
    session = uuid.uuid4().hex
    answers = {
        run(visitor, predict, ["bundled", sent, "native", 3], session).text
        for path in spellings.values()
        for sent in spelt(path)
    }
    assert len(answers) == 1


def test_texts_are_no_way_to_a_file(visitor, config, secrets):
    """A path typed where a text belongs, in everything that gives files or pictures."""
    types = {component["id"]: component["type"] for component in config["components"]}
    session, path = uuid.uuid4().hex, str(secrets / "secret.png")
    before = {file for file in Path(get_upload_folder()).rglob("*") if file.is_file()}
    asked = 0
    for dependency in config["dependencies"]:
        gives = {types[number] for number in dependency["outputs"]} & {*FILES, "state"}
        if not (dependency["backend_fn"] and gives) or dependency["api_name"].startswith("fill"):
            continue
        data = [None if types[number] in (*FILES, "state") else path for number in dependency["inputs"]]
        answer = run(visitor, dependency, data, session)
        asked += 1
        assert CANARY.decode() not in answer.text
    assert asked > 10
    after = {file for file in Path(get_upload_folder()).rglob("*") if file.is_file()} - before
    assert not [file for file in after if file.read_bytes() in (CANARY, png("red"))]


def test_own_uploads_and_the_pages_examples_are_opened(visitor, config, uploaded):
    predict = next(each for each in config["dependencies"] if each["api_name"] == "predict")
    example = next(c["props"]["value"] for c in config["components"] if c["props"].get("elem_id") == "picture")
    for sent in ({"path": uploaded} | MARKED, {"path": uploaded}, example):
        answer = run(visitor, predict, ["bundled", sent, "native", 3], uuid.uuid4().hex)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"][0]["top"]) == 3


def test_an_upload_that_has_expired_is_said_to_have(visitor, config):
    gone = str(Path(get_upload_folder()) / ("0" * 64) / "photo.png")
    predict = next(each for each in config["dependencies"] if each["api_name"] == "predict")
    answer = run(visitor, predict, ["bundled", {"path": gone} | MARKED, "native", 3], uuid.uuid4().hex)
    assert "the file is no longer here; choose or upload it again" in answer.json()["error"]


def test_the_pages_own_folders_are_not_listed_or_served(visitor, secrets):
    for path in (secrets / "secret.txt", "/etc/passwd", "/dev/zero", Path(get_upload_folder()), "README.md"):
        assert visitor.get(f"/gradio_api/file={path}").status_code in (403, 404)


@pytest.mark.parametrize("sent", [None, [], "/etc/passwd", 3, {"path": None}, {"path": ""}, {"paths": "/etc/passwd"}])
def test_what_names_no_file_passes(sent):
    check_files(sent)


def test_files_are_found_however_deep():
    sent = {"path": "/etc/passwd"}
    for _ in range(50_000):
        sent = [sent]
    with pytest.raises(VisitorFileError, match=WORDS):
        check_files(sent)


@pytest.mark.parametrize("path", [3, ["/etc/passwd"], {"path": "/etc/passwd"}, True, b"/etc/passwd"])
def test_a_path_is_a_text(path):
    with pytest.raises(VisitorFileError, match=WORDS):
        visitor_path(path)


def test_a_cache_that_is_itself_a_link_is_one_folder(tmp_path, monkeypatch):
    (tmp_path / "real" / "a").mkdir(parents=True)
    (tmp_path / "real" / "a" / "x.png").write_bytes(png("red"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "link"))
    for root in ("real", "link"):
        assert visitor_path(str(tmp_path / root / "a" / "x.png")) == tmp_path / root / "a" / "x.png"
    (tmp_path / "real" / "b").symlink_to(tmp_path)
    with pytest.raises(VisitorFileError):
        visitor_path(str(tmp_path / "link" / "b" / "x.png"))


def test_only_plain_files_of_bounded_size_are_opened(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"12345")
    with open_regular(plain, 5) as file:
        assert file.read() == b"12345"
    with pytest.raises(FileError, match="has 5 bytes, at most 4 are read"):
        open_regular(plain, 4)
    with pytest.raises(FileError, match="no longer here"):
        open_regular(tmp_path / "none", 5)
    with pytest.raises(FileError, match="cannot be opened"):
        open_regular(f"{plain}\0", 5)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices by POSIX's names")
def test_devices_pipes_and_folders_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path, "/dev/zero", "/dev/tty", tmp_path / "socket"):
            with pytest.raises(FileError, match=r"plain file|cannot be opened"):
                open_regular(path, 10**9)


def test_a_picture_is_judged_by_size_before_it_is_read(tmp_path):
    large = tmp_path / "large.png"
    with open(large, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(FileError, match="at most 134,217,728 are read"):
        scene_of(ModelChoice(), large)
