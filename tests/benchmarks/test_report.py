"""Timing in turns, ratios, tables and JSON: with a clock and functions of the test's own."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import memory, startup
from benchmarks.report import Result, as_json, table
from benchmarks.timing import interleaved, medians, paired_ratio, ratio

ROOT = Path(__file__).parent.parent.parent
SLOW_SERVER = """
import socket, sys, time
time.sleep(0.3)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_functions_take_turns_and_the_first_call_is_not_measured():
    clock, calls = Clock(), []

    def taking(name, *seconds):
        remaining = list(seconds)

        def function():
            calls.append(name)
            clock.now += remaining.pop(0)

        return function

    functions = {"a": taking("a", 100, 1, 3, 2), "b": taking("b", 100, 2, 2, 8)}
    times = interleaved(functions, 3, clock)
    rounds = ["".join(calls[start : start + 2]) for start in range(0, 8, 2)]
    assert rounds[0] == "ab"
    assert set(rounds[1:]) == {"ab", "ba"}, "the order is drawn in each round"
    assert times == {"a": [1, 3, 2], "b": [2, 2, 8]}
    assert medians(times) == {"a": 2, "b": 2}
    assert ratio(times, "a", "b") == 1.0
    assert paired_ratio(times, "a", "b") == 0.5  # of 1/2, 3/2 and 2/8


def test_table_says_what_was_met():
    results = [
        Result("Forward", "plain", 255.04, "ms"),
        Result("Forward", "plain / timm", 1.02, "x", 1.05, 1.015),
        Result("Memory", "prediction", 2100.0, "MiB", 2048),
    ]
    text = table(results)
    assert "### Forward" in text
    assert "| plain | 255.0 ms |  |  |  |" in text
    assert "| plain / timm | 1.020x | 1.01x | <= 1.050x | yes |" in text
    assert "| prediction | 2,100 MiB |  | <= 2,048 MiB | NO |" in text


def test_json_is_one_object_with_machine_versions_and_results():
    found = json.loads(as_json("explore", [Result("Forward", "plain / timm", 1.2, "x", 1.05, 1.1)]))
    assert found["benchmark"] == "explore"
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    expected = {"group": "Forward", "name": "plain / timm", "value": 1.2, "unit": "x", "target": 1.05, "paired": 1.1}
    assert found["results"] == [expected | {"met": False}]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_counts_what_is_gone_again():
    def needing_much():  # straight from the system: what was freed before may be what an allocation gets
        with mmap.mmap(-1, 64 * memory.MIB) as pages:
            pages.write(b"x" * (64 * memory.MIB))

    base = memory.resident_bytes("VmRSS")
    _, during = memory.peak_of(needing_much, base)
    _, after = memory.peak_of(lambda: None, base)
    assert during > 60
    assert after < during - 30


def test_start_is_measured_until_the_first_answer_and_the_process_is_ended():
    port = startup.free_port()
    assert startup.until_answer([sys.executable, "-c", SLOW_SERVER, str(port)], port) > 0.3
    assert not startup.answers(port)


SLOW_PAGE = """
<p>first</p><div id=attention></div>
<script>setTimeout(() => { attention.innerHTML = "<i data-state=ready>drawn</i>"; }, 400)</script>
"""


def test_painted_is_later_than_the_first_paint(browser, tmp_path):
    (tmp_path / "page.html").write_text(SLOW_PAGE)
    opened, paint, drawn = startup.open_until_drawn(browser, (tmp_path / "page.html").as_uri())
    assert 0 < paint < drawn - opened
    assert drawn - opened > 0.4


def test_a_page_that_ends_before_it_answers_is_an_error_with_its_words():
    with pytest.raises(RuntimeError, match=r"(?s)ended before it answered.*no such model"):
        startup.until_answer([sys.executable, "-c", "raise SystemExit('no such model')"], startup.free_port())


def test_unknown_benchmarks_are_told_the_names():
    found = subprocess.run([sys.executable, "-m", "benchmarks", "speed"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "explore" in found.stderr
