"""The terminal's view of runs, and the log that a run in the foreground keeps. Standard library only."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import IO, Any

from training.runs.record import HEADER
from training.runs.results import read_accuracy
from training.runs.run import MARK
from training.runs.runs import Run


@contextlib.contextmanager
def logged(run: Run) -> Iterator[None]:
    """Copy what is printed to the run's log.txt, unless `Run.start` has put this process's output there already."""
    if os.environ.get(MARK) == str(run.path):
        yield
        return
    with open(run.path / "log.txt", "a", encoding="utf-8", errors="replace", buffering=1) as log:
        log.write(f"{HEADER} {run.attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n")
        with contextlib.redirect_stdout(_Both(sys.stdout, log)), contextlib.redirect_stderr(_Both(sys.stderr, log)):
            yield


class _Both:
    """A stream that writes to a terminal and a file; everything else is the terminal's."""

    def __init__(self, terminal: IO[str], log: IO[str]):
        self._terminal, self._log = terminal, log

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):  # a full disk is the run's trouble, not that of its words
            self._log.write(text)
        return self._terminal.write(text)

    def flush(self) -> None:
        self._terminal.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def percent(run: Run) -> str:
    """Format the accuracy that counts: on the test set once that was read, else the best on the held-out part."""
    tested = read_accuracy(run.path, "test")
    if tested is not None:
        return f"{tested:.2%} test"
    return "-" if run.best_accuracy is None else f"{run.best_accuracy:.2%} held out"


def age(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
