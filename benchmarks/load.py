"""`python -m benchmarks load`: many visitors with pictures of their own, over loopback.

It starts `app.py` by itself on a free port, with the bundled model. Every visitor goes round in turns: uploads a
picture that nobody sent before, and asks of it, one after the other, `/predict`, `/attention` of some layer,
`/explain`, and `/predict` again; in every third turn, instead of `/attention`, the page's own two events of a new
picture: that of the prediction bar and that of the first tab. Of eight explanations one is by a method of many passes
(integrated gradients, SmoothGrad or occlusion), seven by one of the others. An answer is checked for being of the
picture that was sent. Each visitor waits for an answer before it asks again, and `--think` seconds after it. A "full,
about N s" is counted, waited for, and asked again; what such a question took counts from its first asking. Processes
are found in /proc, so Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image

from benchmarks.memory import MIB
from benchmarks.report import Result, as_json, machine, table, versions
from benchmarks.startup import commands, free_port, running
from explorer.analysis.explain.methods import METHODS
from vit_model.picture import picture_hash, read_picture

TARGETS = {"/predict": 5.0, "/attention": 15.0, "/explain": 15.0}  # seconds at p95
PATIENCE = 120.0  # seconds for one answer; more counts as an error
FILL = "the page's tab"
SLOW_SHARE = 1 / 8  # of explanations


@dataclass
class Tally:
    """What all visitors saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    foreign: int = 0
    full: int = 0

    def answered(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=64, help="how many at the same time (default: 64)")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long they come (default: 5)")
    parser.add_argument("--think", type=float, default=0.0, help="seconds between an answer and the next question")
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    options = parser.parse_args(words)
    if not (1 <= options.visitors <= 512 and 0 < options.minutes <= 30 and 0 <= options.think <= 60):
        parser.error("expected 1 to 512 visitors, up to 30 minutes and 0 to 60 seconds to think")
    print(", ".join(f"{name} {value}" for name, value in (machine() | versions()).items()), flush=True)
    results = measured(options.visitors, options.minutes * 60, options.think)
    print("\n" + table(results), flush=True)
    if options.json:
        options.json.write_text(as_json("load", results) + "\n", encoding="utf-8")
    if missed := sum(result.met is False for result in results):
        print(f"\n{missed} of {sum(result.met is not None for result in results)} targets missed")


def measured(visitors: int, seconds: float, think: float) -> list[Result]:
    """What `visitors` saw of a server of its own within that time, and what memory it took."""
    port = free_port()
    with running(commands(port)["ours"], port):
        process = _listening(port)
        url = f"http://127.0.0.1:{port}"
        asyncio.run(_visits(url, 2, 3.0, 0.0, Tally(), "warm-up"))
        before = _resident(process, "VmRSS")
        tally, busy = Tally(), _processor_seconds(process)
        start = time.perf_counter()
        asyncio.run(_visits(url, visitors, seconds, think, tally, "visitor"))
        took, busy = time.perf_counter() - start, _processor_seconds(process) - busy
        peak, after = _resident(process, "VmHWM"), _resident(process, "VmRSS")
    for error in dict.fromkeys(tally.errors[:200]):
        print(f"error: {error}", file=sys.stderr)
    return _results(tally, visitors, think, took, busy, (before, peak, after))


def _results(
    tally: Tally, visitors: int, think: float, took: float, busy: float, memory: tuple[float, float, float]
) -> list[Result]:
    group = f"{visitors} visitors, {took:.0f} s, {think:g} s to think"
    found = []
    for name in sorted(tally.seconds, key=lambda name: (name not in TARGETS, name)):
        seconds = np.array(tally.seconds[name])
        found += [
            Result(group, f"{name}, {len(seconds)} answers: median", float(np.median(seconds)), "s"),
            Result(group, f"{name}: p95", float(np.percentile(seconds, 95)), "s", TARGETS.get(name)),
            Result(group, f"{name}: longest", float(seconds.max()), "s"),
        ]
    answers = sum(map(len, tally.seconds.values()))
    before, peak, after = memory
    return [
        *found,
        Result(group, "answers a second", answers / took, "/s"),
        Result(group, "processor time of the server for an answer", 1e3 * busy / max(answers, 1), "ms"),
        Result(group, "errors", len(tally.errors), "", 0),
        Result(group, "answers of another's picture", tally.foreign, "", 0),
        Result(group, '"full, about N s"', tally.full, ""),
        Result(group, "memory of the server before", before, "MiB"),
        Result(group, "at most", peak, "MiB"),
        Result(group, "after", after, "MiB"),
    ]


async def _visits(url: str, visitors: int, seconds: float, think: float, tally: Tally, name: str) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=visitors)
    timeout = httpx.Timeout(PATIENCE)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=timeout, trust_env=False) as client:
        config = (await client.get("/config")).json()
        fill = _filling(config)
        end = time.perf_counter() + seconds
        await asyncio.gather(
            *(_Visitor(client, fill, f"{name} {number}", think, tally).stay(end) for number in range(visitors))
        )


def _filling(config: dict) -> Callable[[dict], list[dict]]:
    """(file of the picture) -> what a browser sends, side by side, so that bar, card and the page's first tab are
    filled."""
    props = {each["id"]: each["props"] for each in config["components"]}
    named = {own.get("elem_id"): number for number, own in props.items()}
    first = props[named["tabs"]]["selected"]
    events = [
        event
        for event in config["dependencies"]
        for target in ([named["picture-file"], "change"], [named[f"wake-{first}"], "click"])
        if target in event["targets"] and named["picture"] in event["inputs"]
    ]
    filled = {output for event in events for output in event["outputs"]}
    assert len(events) == 2 and filled >= {named["scene-bar"], named["model-card"], named[first]}

    def sent(event: dict, file: dict) -> dict:
        values = [file if each == named["picture"] else props[each].get("value") for each in event["inputs"]]
        return {"data": values, "fn_index": event["id"], "trigger_id": None, "event_data": None}

    return lambda file: [sent(event, file) for event in events]


class _Visitor:
    """One who asks, waits for the answer, and asks again."""

    def __init__(self, client: httpx.AsyncClient, fill: Callable, name: str, think: float, tally: Tally):
        self.client, self.fill, self.name, self.think, self.tally = client, fill, name, think, tally
        self.random, self.session = random.Random(name), uuid4().hex

    async def stay(self, end: float) -> None:
        turn = 0
        while time.perf_counter() < end:
            data, hashed = await asyncio.to_thread(_picture, f"{self.name}, turn {turn}")
            try:
                sent = await self.client.post("/gradio_api/upload", files={"files": ("own.jpg", data, "image/jpeg")})
                sent.raise_for_status()
            except httpx.HTTPError as error:
                self.tally.errors.append(f"upload: {error!r}")
                continue
            file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}, "orig_name": "own.jpg"}
            seen, layer = ["bundled", file, "native"], self.random.randrange(6)
            slow = self.random.random() < SLOW_SHARE
            method = self.random.choice([name for name, method in METHODS.items() if method.slow == slow])
            asked = [
                ("/predict", [*seen, 3]),
                ("/attention", [*seen, layer, 0, "to"]),
                ("/explain", [*seen, method, "", "{}", ""]),
                ("/predict", [*seen, 5]),
            ]
            if turn % 3 == 2:
                asked[1] = (FILL, file)
            for name, sent in asked:
                if time.perf_counter() < end:
                    await self.ask(name, sent, hashed)
                    await asyncio.sleep(self.think)
            turn += 1

    async def ask(self, name: str, sent: object, hashed: str) -> None:
        """Ask until there is an answer."""
        start = time.perf_counter()
        while True:
            try:
                wait, answers = await (self._filled(sent) if name == FILL else self._called(name, sent))
            except (httpx.HTTPError, ValueError, KeyError) as error:
                self.tally.errors.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
                return
            if wait is None:
                break
            self.tally.full += 1
            await asyncio.sleep(wait)
        self.tally.answered(name, time.perf_counter() - start)
        for answer in answers:
            if hashed[:16] not in answer:
                self.tally.foreign += 1
                self.tally.errors.append(f"{name}: not of the picture that was sent: {answer[:200]}")

    async def _called(self, name: str, data: list) -> tuple[float | None, list[str]]:
        """(seconds to wait where the server is full, the answers)."""
        asked = await self.client.post(f"/gradio_api/call{name}", json={"data": data})
        if wait := _full(asked):
            return wait, []
        event = ""
        async with self.client.stream("GET", f"/gradio_api/call{name}/{asked.json()['event_id']}") as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event in ("complete", "error"):
                    if event == "error":
                        raise ValueError(line)
                    return None, [line]
        raise ValueError("the stream ended without an answer")

    async def _filled(self, file: dict) -> tuple[None, list[str]]:
        """The same for the page's own events, as a browser asks for them. Where the server is full for one of them,
        that one waits here."""
        bodies = self.fill(file)
        for body in bodies:
            while wait := _full(
                await self.client.post("/gradio_api/queue/join", json=body | {"session_hash": self.session})
            ):
                self.tally.full += 1
                await asyncio.sleep(wait)
        answers = []
        while len(answers) < len(bodies):  # the stream of a session ends once nothing of it waits
            before = len(answers)
            async with self.client.stream("GET", f"/gradio_api/queue/data?session_hash={self.session}") as answer:
                async for line in answer.aiter_lines():
                    message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                    if message.get("msg") == "process_completed":
                        if not message["success"]:
                            raise ValueError(line)
                        answers.append(line)
                    if message.get("msg") == "close_stream":
                        break
            if len(answers) == before:
                raise ValueError("the stream ended without an answer")
        return None, answers


def _full(answer: httpx.Response) -> float | None:
    """How long to wait, by a server that is full; None from one that takes the question."""
    if answer.status_code in (429, 503):
        return float(answer.headers.get("Retry-After", 1))
    answer.raise_for_status()
    return None


def _picture(name: str) -> tuple[bytes, str]:
    """A JPEG of 480 x 360 that no other name has, and the hash that the server finds for it."""
    drawn = np.random.default_rng(list(name.encode()))
    coarse = drawn.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((480, 360), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    data = file.getvalue()
    return data, picture_hash(read_picture(io.BytesIO(data)))


def _listening(port: int) -> int:
    """The process that listens on a port of loopback, found by its socket in /proc, so Linux only."""
    wanted = f"0100007F:{port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    (inode,) = [fields[9] for fields in lines if fields[1] == wanted and fields[3] == "0A"]
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink().name == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:  # another user's, or gone meanwhile
            continue
    raise RuntimeError(f"no process of this user listens on port {port}")


def _resident(process: int, field: str) -> float:
    """`VmRSS` (now) or `VmHWM` (the most) of a process, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / MIB
    raise ValueError(f"/proc/{process}/status has no {field}")


def _processor_seconds(process: int) -> float:
    """What a process has used of all cores until now."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
