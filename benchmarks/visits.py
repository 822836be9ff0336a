"""What visitors leave behind: bytes of the page, memory after many openings and pictures, processor time of a session.

`python -m benchmarks visits [--pictures 1000] [--openings 200] [--json FILE]` starts `python app.py` on loopback and is
its visitors. Memory comes from /proc, so Linux only.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.report import Result, as_json, table
from benchmarks.startup import commands, free_port, started

WARM_UP = 20  # calls before anything is measured: the libraries' own buffers are there from then on
FLAT_MIB = 100
TABS = ("attention", "rollout", "inside", "explain", "patches")


class Visitors:
    """Anyone on the network: whoever calls has a session of their own, unless they name one."""

    def __init__(self, address: str, process: int):
        self.address, self.process, self.pictures = address, process, np.random.default_rng(0)
        self.config = json.loads(self.get("/config"))

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path, timeout=120) as answer:
            return answer.read()

    def post(self, path: str, body: bytes, kind: str = "application/json") -> dict:
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    def picture(self) -> dict:
        """A picture that nobody has sent before, uploaded."""
        pixels, file = self.pictures.integers(0, 256, (48, 64, 3), np.uint8), io.BytesIO()
        Image.fromarray(pixels).resize((640, 480)).save(file, "JPEG")
        head = (
            b'--v\r\nContent-Disposition: form-data; name="files"; filename="p.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        kind = "multipart/form-data; boundary=v"
        (path,) = self.post("/gradio_api/upload", head + file.getvalue() + b"\r\n--v--\r\n", kind)
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def example(self) -> dict:
        values = [part["props"].get("value") for part in self.config["components"] if part["type"] == "image"]
        return next(value for value in values if value)

    def predict(self, picture: dict, session: str | None = None) -> None:
        self._run("predict", ["bundled", picture, "native", 3], session)

    def open_tab(self, name: str, picture: dict, session: str | None = None) -> None:
        """What the page asks for when a tab is opened: everything that it shows of a picture."""
        item = next(part["id"] for part in self.config["components"] if part["props"].get("elem_id") == f"tab-{name}")
        fill = next(
            one for one in self.config["dependencies"] if [item, "select"] in one["targets"] and len(one["inputs"]) > 10
        )
        values = {part["id"]: part["props"].get("value") for part in self.config["components"]}
        page = next(part["id"] for part in self.config["components"] if part["props"].get("elem_id") == "picture")
        values[page] = picture
        self._run(fill["id"], [values[one] for one in fill["inputs"]], session)

    def join(self, session: str | None = None) -> None:
        """Ask for something by the queue, and leave before the answer."""
        body = self._body("predict", ["bundled", self.example(), "native", 3], session)
        self.post("/gradio_api/queue/join", json.dumps(body).encode())

    def _run(self, name: str | int, data: list, session: str | None) -> None:
        self.post(f"/gradio_api/run/{name}", json.dumps(self._body(name, data, session)).encode())

    def _body(self, name: str | int, data: list, session: str | None) -> dict:
        named = (one["id"] for one in self.config["dependencies"] if one["api_name"] == name)
        index = name if isinstance(name, int) else next(named)
        return {"data": data, "fn_index": index, "session_hash": session or uuid.uuid4().hex}

    def resident(self) -> float:
        """MiB of the server's memory now."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def processor(self) -> float:
        """Seconds of processor time that the server has taken."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def grown(self, visit: Callable[[], object], times: int) -> float:
        """MiB by which the server has grown after so many visits."""
        before = self.resident()
        for count in range(1, times + 1):
            visit()
            if count % 100 == 0:
                print(f"  {count}: {self.resident() - before:+.0f} MiB", file=sys.stderr, flush=True)
        return self.resident() - before

    def milliseconds(self, visit: Callable[[], object], times: int) -> float:
        """Processor time of one visit."""
        began = self.processor()
        for _ in range(times):
            visit()
        return (self.processor() - began) / times * 1000


def measured(visitors: Visitors, openings: int, pictures: int) -> list[Result]:
    found = [
        Result("the page", "its config", len(visitors.get("/config")) / 1000, "kB", 500),
        Result("the page", "all of it, as the browser gets it", len(visitors.get("/")) / 1000, "kB"),
    ]
    for _ in range(WARM_UP):
        visitors.predict(visitors.example())
        visitors.get("/")
    for tab in TABS:
        visitors.open_tab(tab, visitors.example())
    example = visitors.example()
    same = visitors.milliseconds(lambda: visitors.predict(example, "same"), 50)
    fresh = visitors.milliseconds(lambda: visitors.predict(example), 50)
    found.append(Result("a session", "processor time", fresh - same, "ms", 20))
    steps = {
        f"{openings} openings of the page": (lambda: [visitors.get("/"), visitors.get("/config")], openings),
        f"{openings} joins of the queue, answers not fetched": (visitors.join, openings),
        f"{pictures} pictures of one visitor": (lambda: visitors.predict(visitors.picture(), "one"), pictures),
        f"{pictures} pictures, a visitor each": (lambda: visitors.predict(visitors.picture()), pictures),
    }
    for tab in TABS[:3]:
        steps[f"{pictures // 4} pictures in the tab {tab}, a visitor each"] = (
            lambda tab=tab: visitors.open_tab(tab, visitors.picture()),
            pictures // 4,
        )
    for name, (visit, times) in steps.items():
        print(name, file=sys.stderr, flush=True)
        found.append(Result("memory", name, visitors.grown(visit, times), "MiB", FLAT_MIB))
    found.append(Result("memory", "the server in the end", visitors.resident(), "MiB"))
    return found


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks visits", description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=1000, help="pictures that nobody has sent before")
    parser.add_argument("--openings", type=int, default=200, help="openings of the page")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    choices = parser.parse_args(words)
    port = free_port()
    with started(commands(port)["ours"], port) as (process, _):
        found = measured(Visitors(f"http://127.0.0.1:{port}", process.pid), choices.openings, choices.pictures)
    print(table(found))
    if choices.json:
        choices.json.write_text(as_json("visits", found), encoding="utf-8")
