"""From starting a process to the first answer over HTTP, our page and an empty one beside it; and to our page as it is
painted in a browser, its viewer ready to be hovered over."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
EMPTY = """
import sys
import torch
import gradio
with gradio.Blocks(analytics_enabled=False) as page:
    pass
page.launch(server_port=int(sys.argv[1]), ssr_mode=False, quiet=True)
"""
PATIENCE_SECONDS = 180.0


def commands(port: int) -> dict[str, list[str]]:
    return {
        "ours": [sys.executable, str(ROOT / "app.py"), "--port", str(port)],
        "empty": [sys.executable, "-c", EMPTY, str(port)],
    }


def start_seconds(rounds: int) -> dict[str, list[float]]:
    """Seconds until `python app.py`, and until torch, gradio and an empty `Blocks`, answered; alternating."""
    times: dict[str, list[float]] = {"ours": [], "empty": []}
    for _ in range(rounds):
        for name, seconds in times.items():
            port = free_port()
            seconds.append(until_answer(commands(port)[name], port))
    return times


def painted_seconds(rounds: int) -> dict[str, list[float]]:
    """Seconds from starting `python app.py`, with a browser already open: until it answered, until the browser painted
    the first content (`first paint`), and until the viewer of the example picture was drawn (`viewer drawn`). Empty
    where there is no Chromium or no playwright."""
    times: dict[str, list[float]] = {}
    with chromium() as browser:
        for _ in range(rounds if browser else 0):
            port = free_port()
            with running(commands(port)["ours"], port) as start:
                answered = time.perf_counter() - start
                opened, paint, drawn = open_until_drawn(browser, f"http://127.0.0.1:{port}")
            found = {"answer": answered, "first paint": opened - start + paint, "viewer drawn": drawn - start}
            for name, seconds in found.items():
                times.setdefault(name, []).append(seconds)
    return times


def open_until_drawn(browser, url: str, viewer: str = "#attention") -> tuple[float, float, float]:
    """(when the page was asked for, seconds from then to its first contentful paint, when the viewer was drawn)."""
    page = browser.new_page()
    opened = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(f"{viewer} [data-state=ready]", timeout=PATIENCE_SECONDS * 1e3)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    drawn = time.perf_counter()
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1e3
    page.close()
    return opened, paint, drawn


@contextmanager
def chromium() -> Iterator[object | None]:
    """A browser, or None where this machine has none."""
    named = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    path = next(named, None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def until_answer(command: list[str], port: int) -> float:
    """Seconds from starting `command` until GET / on the port gives 200. Ends the process that it started."""
    with running(command, port) as start:
        return time.perf_counter() - start


@contextmanager
def running(command: list[str], port: int) -> Iterator[float]:
    """`command` as a process that has answered GET / with 200; when it was started. The process is ended after."""
    with started(command, port) as (_, start):
        yield start


@contextmanager
def started(command: list[str], port: int) -> Iterator[tuple[subprocess.Popen, float]]:
    """As `running`, with the process itself."""
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below; a pipe that nobody reads would stop the process once it is full
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
    )
    try:
        while not answers(port):
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command[:2])} ended before it answered:\n{said.read().decode()}")
            if time.perf_counter() - start > PATIENCE_SECONDS:
                raise TimeoutError(f"{' '.join(command[:2])} did not answer within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.02)
        yield process, start
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.close()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (ConnectionError, TimeoutError):
        return False
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
