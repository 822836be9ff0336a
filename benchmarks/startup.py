"""From starting a process to the first answer over HTTP: our page, and an empty one beside it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
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


def until_answer(command: list[str], port: int) -> float:
    """Seconds from starting `command` until GET / on the port gives 200. Ends the process that it started."""
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while not answers(port):
            if process.poll() is not None:
                raise RuntimeError(
                    f"{' '.join(command[:2])} ended before it answered:\n{process.stderr.read().decode()}"
                )
            if time.perf_counter() - start > PATIENCE_SECONDS:
                raise TimeoutError(f"{' '.join(command[:2])} did not answer within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.02)
        return time.perf_counter() - start
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


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
