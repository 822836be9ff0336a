"""The Hub's routes for writing, on 127.0.0.1: who am I, create, upload (regular files and git-lfs), commit; and Jobs.
Written after what huggingface_hub 2.x sends."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = 1024  # bytes from which a file goes by git-lfs here


@dataclass
class WritableHub:
    """`tokens`: {token: login}. `repos`: {id: {"private": ..., "files": {...}}}. `refusals`: {start of a path: (status,
    words)}. `machines`: what Jobs run on, with prices. Every
    request is kept in `requests` as (method, path, authorization, JSON or bytes)."""

    tokens: dict[str, str]
    repos: dict[str, dict] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    machines: list[dict] = field(default_factory=list)
    jobs: list[dict] = field(default_factory=list)
    requests: list[tuple] = field(default_factory=list)

    def __enter__(self) -> WritableHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


def _handler(hub: WritableHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            kind = self.headers["Content-Type"] or ""
            told = json.loads(body) if kind.startswith("application") and "ndjson" not in kind and body else body
            path, token = self.path.partition("?")[0], (self.headers["Authorization"] or "").removeprefix("Bearer ")
            hub.requests.append((self.command, path, self.headers["Authorization"], told))
            refusal = next((hub.refusals[start] for start in hub.refusals if path.startswith(start)), None)
            who = hub.tokens.get(token)
            if refusal is not None:
                self._send(refusal[0], {"error": refusal[1]})
            elif path.startswith("/blobs/"):
                hub.blobs[path.removeprefix("/blobs/")] = body
                self._send(200, {})
            elif path == "/api/jobs/hardware":
                self._send(200, hub.machines)
            elif who is None:
                self._send(401, {"error": "Invalid username or password."})
            elif path == "/api/whoami-v2":
                self._send(200, {"name": who, "orgs": [{"name": f"{who}-lab"}]})
            elif path == "/api/validate-yaml":
                self._send(200, {"errors": [], "warnings": []})
            elif path == "/api/repos/create":
                self._create(who, told)
            elif path.startswith("/api/jobs/"):
                self._job(who, path.removeprefix("/api/jobs/"), told)
            elif self.command == "GET" and path.startswith("/api/models/"):
                self._look(who, path.removeprefix("/api/models/"))
            elif path.endswith("/preupload/main"):
                modes = [
                    {"path": f["path"], "uploadMode": "lfs" if f["size"] > LARGE else "regular", "shouldIgnore": False}
                    for f in told["files"]
                ]
                self._send(200, {"files": modes})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = [
                    one | {"actions": {"upload": {"href": f"{hub.url}/blobs/{one['oid']}"}}} for one in told["objects"]
                ]
                self._send(200, {"objects": objects, "transfer": "basic"})
            elif path.endswith("/commit/main"):
                self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)
            else:
                self._send(404, {"error": "not found"})

        def _create(self, who: str, told: dict) -> None:
            repo = f"{told['organization']}/{told['name']}"
            if told["organization"] not in (who, f"{who}-lab"):
                self._send(403, {"error": "You don't have the rights to create a model under this namespace"})
            elif repo in hub.repos:
                self._send(409, {"error": "You already created this model repo", "url": f"{hub.url}/{repo}"})
            else:
                hub.repos[repo] = {"private": told.get("visibility") == "private", "files": {}}
                self._send(200, {"url": f"{hub.url}/{repo}"})

        def _look(self, who: str, path: str) -> None:
            repo, write, _ = path.partition("/auth-check/write")
            if repo not in hub.repos:
                self._send(404, {"error": "Repository not found"})
            elif write and repo.split("/")[0] not in (who, f"{who}-lab"):
                self._send(403, {"error": "Forbidden"})
            else:
                self._send(200, {"id": repo, "sha": "0" * 40, "siblings": []})

        def _commit(self, repo: str, body: bytes) -> None:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.repos[repo]["files"][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    blob = hub.blobs[value["oid"]]
                    assert hashlib.sha256(blob).hexdigest() == value["oid"] and len(blob) == value["size"]
                    hub.repos[repo]["files"][value["path"]] = blob
            self._send(200, {"commitUrl": f"{hub.url}/{repo}/commit/{'0' * 40}", "commitOid": "0" * 40})

        def _job(self, who: str, namespace: str, told: dict) -> None:
            if namespace not in (who, f"{who}-lab"):
                self._send(403, {"error": "not yours"})
                return
            hub.jobs.append(told)
            self._send(
                200,
                {
                    "id": "687fb701029421ae5549d998",
                    "createdAt": "2026-01-02T03:04:05.000Z",
                    "dockerImage": told.get("dockerImage"),
                    "command": told["command"],
                    "status": {"stage": "SCHEDULING", "message": None},
                    "owner": {"id": "1", "name": namespace, "type": "user"},
                },
            )

        def _send(self, status: int, told: dict) -> None:
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            """Requests are kept in `hub.requests`, not printed."""

    return Handler
