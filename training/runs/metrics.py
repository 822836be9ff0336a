"""MetricEvent and the file they are appended to, one JSON line each. Standard library only."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test"]
CHUNK = 4 * 2**20  # bytes read at once: a watcher that comes late catches up in several ticks


@dataclass(frozen=True)
class MetricEvent:
    """Measurements after `step` optimiser steps: `epoch` as a fraction, `seconds` of training so far (over all
    attempts, pauses left out), and `values` such as loss (nats), accuracy (0 to 1), lr, grad_norm, images_per_second,
    memory_bytes. A value that is not finite is written as null and read as NaN."""

    step: int
    epoch: float
    seconds: float
    split: Split
    values: dict[str, float] = field(default_factory=dict)

    def to_line(self) -> str:
        values = {name: value if math.isfinite(value) else None for name, value in self.values.items()}
        return json.dumps(asdict(self) | {"values": values}, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str | bytes) -> MetricEvent:
        """Parse one line. Raises ValueError for anything else."""
        try:
            read = json.loads(line)
            values = {str(name): math.nan if value is None else float(value) for name, value in read["values"].items()}
            if read["split"] not in ("train", "val", "test"):
                raise ValueError(f"split is {read['split']!r}")
            return cls(int(read["step"]), float(read["epoch"]), float(read["seconds"]), read["split"], values)
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"not a line of events: {error!r}") from error


def append_events(path: Path, events: Iterable[MetricEvent]) -> None:
    """Append whole lines. A half-written line that a killed worker left is closed first, so it spoils only itself."""
    lines = "".join(event.to_line() for event in events).encode()
    if not lines:
        return
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                lines = b"\n" + lines
        file.write(lines)


def read_events(path: Path, offset: int = 0) -> tuple[list[MetricEvent], int]:
    """Read the whole lines from byte `offset` on; return events and the next offset. Other lines are passed over; a
    line that is still being written waits for the next call. A file shorter than `offset` is read from its beginning.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            offset = offset if 0 <= offset <= size else 0
            file.seek(offset)
            block = file.read(CHUNK)
    except FileNotFoundError:
        return [], 0
    end = block.rfind(b"\n") + 1
    if not end and len(block) == CHUNK:  # one line longer than any event: skip it
        return [], offset + CHUNK
    events = []
    for line in block[:end].splitlines():
        try:
            events.append(MetricEvent.from_line(line))
        except ValueError:
            continue
    return events, offset + end


def fold(events: Iterable[MetricEvent]) -> list[MetricEvent]:
    """Fold events into one curve in the order of steps. After a resume from an earlier checkpoint steps are
    measured again: an event takes the place of those of its split at the same and at later steps."""
    kept: dict[str, list[MetricEvent]] = {}
    for event in events:
        line = kept.setdefault(event.split, [])
        while line and line[-1].step >= event.step:
            line.pop()
        line.append(event)
    return sorted((event for line in kept.values() for event in line), key=lambda event: event.step)
