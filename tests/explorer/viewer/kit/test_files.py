"""Cache files for the browser: bounded in bytes, the oldest deleted first, none that was only just written."""

import threading
from pathlib import Path

import pytest

from explorer.viewer.kit.files import FileShelf, cached_file


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shelf(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return FileShelf(max_bytes=25, safe_seconds=60, clock=clock)


def written(shelf, clock, *letters):
    """Ten bytes of each letter, a second apart."""
    paths = []
    for letter in letters:
        clock.now += 1
        paths.append(Path(shelf.write(letter.encode() * 10, "layer.bin")))
    return paths


def test_the_oldest_go_first(shelf, clock):
    a, b = written(shelf, clock, "a", "b")
    clock.now += 100
    (c,) = written(shelf, clock, "c")
    assert [path.exists() for path in (a, b, c)] == [False, True, True]
    assert shelf.bytes == 20


def test_none_younger_than_a_minute_is_deleted(shelf, clock):
    paths = written(shelf, clock, *"abcdef")
    assert all(path.exists() for path in paths)
    clock.now += 56  # after the next second the first is 62 seconds old, the second 61, the third 60
    written(shelf, clock, "g")
    assert [path.exists() for path in paths] == [False, False, False, True, True, True]


def test_the_same_content_is_one_file_and_new_again(shelf, clock):
    a, b = written(shelf, clock, "a", "b")
    clock.now += 100
    assert written(shelf, clock, "a") == [a]
    assert shelf.bytes == 20
    written(shelf, clock, "c")
    assert (a.exists(), b.exists()) == (True, False)


def test_a_file_that_is_gone_already_is_no_fault(shelf, clock):
    a, _ = written(shelf, clock, "a", "b")
    a.unlink()
    clock.now += 100
    written(shelf, clock, "c")
    assert shelf.bytes == 20


def test_wording_of_a_bound_that_is_none():
    with pytest.raises(ValueError, match="the bound must be positive, got 0 bytes"):
        FileShelf(0)


def test_cached_file_is_what_gradio_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    made = cached_file(b"numbers", "layer.bin")
    assert Path(made["path"]).read_bytes() == b"numbers"
    assert made["meta"] == {"_type": "gradio.FileData"}


def test_a_file_that_is_written_again_is_whole_at_every_moment(tmp_path, monkeypatch):
    """Half a file was sent, or more than was promised, to whoever fetched it while it was written once more."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    shelf, data, sizes, over = FileShelf(max_bytes=2**28), bytes(2**23), set(), threading.Event()
    path = Path(shelf.write(data, "layer.bin"))
    before = path.stat()

    def watch():
        while not over.is_set():
            sizes.add(path.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(10):
        assert shelf.write(data, "layer.bin") == str(path)
    over.set()
    watcher.join()
    assert sizes == {len(data)}
    assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, len(data))
    path.write_bytes(data[:1000])  # what a server that was killed in writing left
    shelf.write(data, "layer.bin")
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["layer.bin"], "no drafts are left"
