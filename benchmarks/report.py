"""What a benchmark found: a table to read, and one JSON object."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "gradio", "numpy")


@dataclass(frozen=True)
class Result:
    """One number. `unit`: x (a ratio), ms, s, MiB, % or images/s. `target`: the most it should be, None where nothing
    was asked. `paired`: for a ratio, the median over rounds of the ratio within a round."""

    group: str
    name: str
    value: float
    unit: str
    target: float | None = None
    paired: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.value <= self.target

    def to_dict(self) -> dict:
        return vars(self) | {"met": self.met}


def machine() -> dict:
    """Where the numbers were measured."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(terse=True),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def processor() -> str:
    """The processor's name; Linux keeps it in /proc, where `platform` does not look."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(results: Sequence[Result]) -> str:
    """A Markdown table for each group, in the order of the results."""
    lines: list[str] = []
    group = None
    for result in results:
        if result.group != group:
            group = result.group
            lines += [
                "",
                f"### {group}",
                "",
                "| measured | value | paired | target | met |",
                "|---|---:|---:|---:|:-:|",
            ]
        paired = "" if result.paired is None else f"{result.paired:.3g}x"
        target = "" if result.target is None else f"<= {_number(result.target, result.unit)}"
        met = {None: "", True: "yes", False: "NO"}[result.met]
        lines.append(f"| {result.name} | {_number(result.value, result.unit)} | {paired} | {target} | {met} |")
    return "\n".join(lines[1:])


def write_json(path: Path | None, benchmark: str, results: Sequence[Result]) -> None:
    """The results so far, in place of those that were there: one that is cut off leaves what it has. None: nowhere."""
    if path is not None:
        temporary = path.with_name(f"{path.name}.part")
        temporary.write_text(as_json(benchmark, results) + "\n", encoding="utf-8")
        temporary.replace(path)


def as_json(benchmark: str, results: Sequence[Result]) -> str:
    found = {
        "benchmark": benchmark,
        "machine": machine(),
        "versions": versions(),
        "results": [result.to_dict() for result in results],
    }
    return json.dumps(found, indent=1, ensure_ascii=False)


def _number(value: float, unit: str) -> str:
    text = f"{value:.3f}" if unit == "x" else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{text}x" if unit == "x" else f"{text} {unit}"
