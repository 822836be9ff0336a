"""Tests that run in a process of their own: those marked `other_device`, whose stand-in device ends all training on
CUDA in the process that registers it (PyTorch issue 161129).

Those of a module run together in one process, which begins with the first of them; each reports its own result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

MARK = "other_device"
REPORTS = "VIT_EXPLORER_TESTS_REPORTS"  # of the process itself: the file that its results go to
RESULTS = pytest.StashKey[dict[str, dict[str, list]]]()


def is_own_process() -> bool:
    """Whether this process was started for such tests."""
    return REPORTS in os.environ


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In the ordinary process: report what came of the test in its own."""
    if pyfuncitem.get_closest_marker(MARK) is None or is_own_process():
        return None
    by_module = pyfuncitem.session.stash.setdefault(RESULTS, {})
    module = str(pyfuncitem.path)
    if module not in by_module:
        by_module[module] = _run(pyfuncitem.session, module)
    reports = by_module[module].get(pyfuncitem.nodeid)
    if not reports:
        pytest.fail(
            f"its process ended before this test had a result:\n{by_module[module]['output'][0]}", pytrace=False
        )
    for outcome, text in reports:
        if outcome == "failed":
            pytest.fail(text, pytrace=False)
        if outcome == "skipped":
            pytest.skip(text)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In its own process: write each result as a line."""
    if is_own_process() and (report.when == "call" or report.outcome != "passed"):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        with open(os.environ[REPORTS], "a", encoding="utf-8") as file:
            file.write(json.dumps([report.nodeid, report.outcome, text]) + "\n")


def _run(session: pytest.Session, module: str) -> dict[str, list]:
    """Results of the module's marked tests that this session has chosen, by their names; "output": what was printed."""
    chosen = [each.nodeid for each in session.items if str(each.path) == module and each.get_closest_marker(MARK)]
    results: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        reports = Path(folder) / "reports.jsonl"
        outer = ("PYTEST_XDIST", "PYTEST_CURRENT", "PYTEST_ADDOPTS")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
        options = "addopts=-q --strict-markers --import-mode=importlib"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", options, *chosen]
        ended = subprocess.run(
            command,
            cwd=session.config.rootpath,
            env=environment | {REPORTS: str(reports)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        for line in reports.read_text("utf-8").splitlines() if reports.exists() else ():
            name, outcome, text = json.loads(line)
            results.setdefault(name, []).append((outcome, text))
    return results | {"output": [ended.stdout[-5000:]]}
