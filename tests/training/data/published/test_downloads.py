"""Fetching published files from a small server on this machine."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from training.data.picture_set import DataError
from training.data.published import downloads
from training.data.published.downloads import fetch

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves `content` at every path; `cut`: closes after so many bytes, once. `ranges`: whether it can go on."""

    def __init__(self):
        self.content, self.cut, self.ranges, self.status, self.asked = CONTENT, None, True, 200, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.headers["Range"])
                begin = int((self.headers["Range"] or "bytes=0-")[6:-1]) if server.ranges else 0
                body = server.content[begin:]
                partly = server.ranges and self.headers["Range"]
                self.send_response(416 if partly and not body else 206 if partly else server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.cut])
                server.cut = None

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/file.bin"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.close()


def test_a_file_comes_whole_and_once(server, tmp_path):
    seen, path = [], tmp_path / "deep" / "file.bin"
    assert fetch(server.url, path, MD5, lambda *report: seen.append(report)) == path
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT), "file.bin")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert len(seen) > 2
    fetch(server.url, path, MD5)
    assert server.asked == [None]
    assert not path.with_name("file.bin.part").exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server, tmp_path, ranges):
    server.cut, server.ranges = 300_000, ranges
    path = tmp_path / "file.bin"
    with pytest.raises(DataError, match=r"broke off after 300,000 of 1,024,000 bytes; trying again goes on from there"):
        fetch(server.url, path, MD5)
    assert not path.exists()
    seen = []
    fetch(server.url, path, MD5, lambda *report: seen.append(report))
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]
    assert seen[-1][:2] == (len(CONTENT), len(CONTENT))


def test_all_bytes_came_before_it_was_stopped(server, tmp_path):
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(CONTENT)
    fetch(server.url, path, MD5)
    assert path.read_bytes() == CONTENT


def test_another_file_than_published(server, tmp_path):
    server.content = b"something else"
    path = tmp_path / "file.bin"
    with pytest.raises(DataError) as caught:
        fetch(server.url, path, MD5)
    assert str(caught.value) == (
        f"{server.url} sent a file whose checksum is not the published one (MD5 {MD5}); try again later, or "
        f"fetch it elsewhere and put it into {tmp_path} as file.bin"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin.lock"]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"damaged")
    fetch(server.url, path, MD5)
    assert path.read_bytes() == CONTENT


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.bin"
    with pytest.raises(DataError) as caught:
        fetch(url, tmp_path / "file.bin", MD5)
    assert str(caught.value).startswith(f"the download of {url} failed (")
    assert "check the network and proxies, or fetch it elsewhere and put it into" in str(caught.value)


def test_the_server_refuses(server, tmp_path):
    server.status = 404
    with pytest.raises(DataError, match=r"failed \(Not Found\)"):
        fetch(server.url, tmp_path / "file.bin", MD5)


def test_more_than_any_such_file(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_BYTES", 500_000)
    with pytest.raises(DataError, match="sends more than 500,000 bytes"):
        fetch(server.url, tmp_path / "file.bin", MD5)


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.bin cannot be saved in .* set VIT_EXPLORER_DATA to another folder"):
        fetch(server.url, tmp_path / "file" / "file.bin", MD5)


def test_two_runs_that_need_the_same_file(server, tmp_path):
    path = tmp_path / "file.bin"
    threads = [threading.Thread(target=fetch, args=(server.url, path, MD5)) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert path.read_bytes() == CONTENT
    assert server.asked == [None]
