"""A small Hugging Face Hub on 127.0.0.1: the routes by which huggingface_hub 2.x lists and fetches a model's files."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT sets, for this process."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def keep_to(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HOME set, for this process; no token, no proxy and no variable of its user's remains."""
    point_to(url, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class HubServer:
    """`models`: {id: {file: bytes}}; a data set's id is "datasets/owner/name". `with HubServer(...) as hub:` serves
    them at `hub.url` and notes `hub.requests`.

    `refusals`: {start of a path: (status, X-Error-Code, X-Error-Message)}. `cut_after`: {file: bytes}, each once: the
    connection is closed after that many bytes of a GET. `stop_after`: {file: bytes}: a GET gets no further than that
    until `go_on` is set. `private` and `gated`: {id: the token that opens it}.
    """

    models: dict[str, dict[str, bytes]]
    refusals: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    stop_after: dict[str, int] = field(default_factory=dict)
    go_on: threading.Event = field(default_factory=threading.Event)
    listing: bytes | None = None  # what the API says instead
    private: dict[str, str] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fetched(self, method: str = "GET") -> list[str]:
        """The files asked for with `method`, in order."""
        return [r.path.rsplit("/", 1)[-1] for r in self.requests if r.method == method and "/resolve/" in r.path]


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(Request(self.command, path, self.headers["Range"], self.headers["Authorization"]))
            if path.startswith("/api/models/"):
                model, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            elif path.startswith("/api/datasets/"):  # kept under "datasets/owner/name", as in the other paths
                model, _, revision = path.removeprefix("/api/").partition("/revision/")
            else:
                model, _, rest = path.removeprefix("/").partition("/resolve/")
                revision, _, name = rest.partition("/")
            files, sent = hub.models.get(model), (self.headers["Authorization"] or "").removeprefix("Bearer ")
            if model in hub.private and sent != hub.private[model]:
                files = None
            refusal = next((hub.refusals[start] for start in hub.refusals if path.startswith(start)), None)
            if refusal is not None:
                self._refuse(*refusal)
            elif files is None:
                self._refuse(401, "RepoNotFound", "Repository not found")
            elif revision not in ("main", "refs/pr/1", hub.commit):
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            elif path.startswith("/api/"):
                siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
                listing = {"id": model, "sha": hub.commit, "siblings": siblings, "private": model in hub.private}
                listing["gated"] = "auto" if model in hub.gated else False
                self._send(200, hub.listing or json.dumps(listing).encode(), {}, body)
            elif model in hub.gated and sent != hub.gated[model]:
                self._refuse(403, "GatedRepo", f"Access to model {model} is restricted")
            elif name not in files:
                self._refuse(404, "EntryNotFound", "Entry not found")
            else:
                self._file(name, files[name], body)

        def _file(self, name: str, content: bytes, body: bool) -> None:
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": hub.commit}
            if name.endswith(".safetensors"):  # as the Hub offers large files, although there is no such store here
                headers |= {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": f"{hub.url}/api/models/xet/token"}
            status, start = 200, 0
            if self.headers["Range"] is not None:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                status, headers["Content-Range"] = 206, f"bytes {start}-{len(content) - 1}/{len(content)}"
            cut = hub.cut_after.pop(name, None) if body else None
            self._send(status, content[start:], headers, body, cut, hub.stop_after.get(name, 0))

        def _refuse(self, status: int, code: str, message: str) -> None:
            self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message}, body=True)

        def _send(
            self,
            status: int,
            content: bytes,
            headers: dict[str, str],
            body: bool,
            cut: int | None = None,
            stop: int = 0,
        ) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body and stop:
                self.wfile.write(content[:stop])
                hub.go_on.wait()
            if body:
                self.wfile.write(content[stop:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_) -> None:
            """Requests are kept in `hub.requests`, not printed."""

    return Handler
