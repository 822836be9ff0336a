"""`python -m benchmarks watch`: what watching a run costs: the server's time for several browsers, one's memory.

A worker is imitated by this process: it holds the run and appends ten events a second. The server is a process of its
own, `python app.py`, whose processor time the system tells; so it runs on Linux only. Needs Chromium.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Result, as_json, machine, table, versions
from benchmarks.startup import chromium, commands, free_port, running
from training.config import RunConfig
from training.runs.metrics import MetricEvent, append_events
from training.runs.runs import Run, Runs

WATCHERS, HERTZ = 5, 10


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks watch", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    parser.add_argument("--seconds", type=float, default=60, help="how long the watchers' cost is measured")
    parser.add_argument("--minutes", type=float, default=5, help="how long one browser's memory is watched")
    options = parser.parse_args(words)
    print(", ".join(f"{name} {value}" for name, value in (machine() | versions()).items()))
    results = list(measure(options.seconds, options.minutes))
    print("\n" + table(results))
    if options.json:
        options.json.write_text(as_json("watch", results) + "\n", encoding="utf-8")


def measure(seconds: float, minutes: float) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        if browser is None:
            raise SystemExit("this benchmark needs Chromium and playwright")
        os.environ["VIT_EXPLORER_RUNS"] = folder
        run = Runs(folder).create(RunConfig(steps=10**6), name="watched", queue=False)
        run.begin()
        writer = _Writer(run)
        writer.start()
        port = free_port()
        with running(commands(port)["ours"], port):
            server = _listener(port)
            url = f"http://127.0.0.1:{port}/?run={run.id}"
            alone = _share(server, seconds)
            contexts = [browser.new_context(viewport={"width": 1280, "height": 900}) for _ in range(WATCHERS)]
            pages = [context.new_page() for context in contexts]
            for page in pages:
                page.goto(url)
                page.wait_for_selector(".live[data-state=ready]", timeout=120_000)
            time.sleep(5)
            watched = _share(server, seconds, pages)
            yield Result("Watching a run", "server with nobody watching, share of a core", 100 * alone, "%")
            yield Result(
                "Watching a run",
                f"{WATCHERS} watchers at 1 Hz, {HERTZ} events a second",
                100 * (watched - alone),
                "%",
                5,
            )
            for page in pages[1:]:
                page.close()
            yield from _memory(pages[0], minutes)
        writer.over.set()
        writer.join()
        run.end("stopped", "")


def _memory(page, minutes: float) -> Iterator[Result]:
    """Of one page's JavaScript heap, garbage collected, and its nodes: soon after the start, and after some minutes."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def now() -> tuple[float, float]:
        session.send("HeapProfiler.collectGarbage")
        found = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        return found["JSHeapUsedSize"] / 2**20, found["Nodes"]

    heap, nodes = now()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        page.wait_for_timeout(1000)
    later, later_nodes = now()
    group = f"A watching page's memory, {minutes:g} minutes, {HERTZ} events a second"
    yield Result(group, "heap at the start", heap, "MiB")
    yield Result(group, "heap at the end", later, "MiB")
    yield Result(group, "nodes of the page at the end / at the start", later_nodes / nodes, "x", 1.05)


class _Writer(threading.Thread):
    """Appends events as a worker does."""

    def __init__(self, run: Run):
        super().__init__(daemon=True)
        self.run_folder, self.over = run, threading.Event()

    def run(self) -> None:
        step = 0
        while not self.over.wait(1 / HERTZ):
            step += 1
            values = {"loss": 2 / (1 + step / 500), "lr": 1e-3, "grad_norm": 1.0, "images_per_second": 100.0}
            event = MetricEvent(step, step / 100, step / HERTZ, "train", values)
            append_events(self.run_folder.path / "events.jsonl", [event])
            if step % HERTZ == 0:
                self.run_folder.write_progress(
                    {"step": step, "steps": 10**6, "seconds": step / HERTZ, "phase": "training"}
                )


def _listener(port: int) -> int:
    """The process that listens on the port, by the socket's inode."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inode = next(row.split()[9] for row in rows if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(os.readlink(link) == f"socket:[{inode}]" for link in (entry / "fd").iterdir()):
                    return int(entry.name)
            except OSError:
                continue
    raise RuntimeError(f"nobody listens on port {port}")


def _share(process: int, seconds: float, pages=()) -> float:
    """Processor time of the process over time that passed."""

    def spent() -> float:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before, began = spent(), time.monotonic()
    while time.monotonic() < began + seconds:
        if pages:
            pages[0].wait_for_timeout(500)
        else:
            time.sleep(0.5)
    return (spent() - before) / (time.monotonic() - began)
