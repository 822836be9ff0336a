"""`python -m benchmarks gpu`: everything that needs a GPU, in one command within 8 minutes.

First, alone and one after another, the rows of explore, explain and train on the GPU; then tests/gpu. Each part is a
process of its own, is ended when its time is over, and keeps what it has measured until then. What a part needs and
this machine lacks is left out, with a word about it. Exits with 1 where a part failed or was cut off.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from benchmarks.report import Result, machine, table, versions
from vit_model.device import SETTING

ROOT = Path(__file__).parent.parent
SECONDS = 470.0  # of the 480 allowed: the rest is for this process's own start and report
TAIL = 3000  # characters of what a failed part said
RESULT = re.compile(r"^(tests/\S.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)\b", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One process. `until`: the share of all time at whose end it is cut off; what it leaves is the next part's."""

    name: str
    until: float
    needs: tuple[str, ...]
    words: tuple[str, ...]
    tiny: tuple[str, ...] = ()


PARTS = (
    Part("explore", 0.18, ("timm", "transformers"), ("--quick", "--only", "forward", "--only", "picture"), ("--tiny",)),
    Part(
        "explain",
        0.32,
        ("timm", "transformers", "captum"),
        ("--quick", "--only", "single", "--only", "many", "--only", "occlusion"),
        ("--tiny",),
    ),
    Part("train", 0.65, ("timm", "transformers", "accelerate"), ("--gpu",), ("--tiny",)),
    Part("tests", 1.0, ("pytest",), ()),
)
OF_THE_PAGE = ("gradio", "gradio_client", "plotly")
"""Where one of them is missing, tests of the page are skipped, and rows of a new picture are not measured."""


@dataclass
class Outcome:
    """What came of a part. `state`: finished, failed, cut off or left out, and why."""

    state: str
    reason: str = ""
    seconds: float = 0.0
    results: list[dict] = field(default_factory=list)
    tests: dict[str, str] = field(default_factory=dict)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to see that the command itself works")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    names = [part.name for part in PARTS]
    parser.add_argument("--only", choices=names, action="append", help="this part alone (may be given again)")
    parser.add_argument("--select", help="of the tests those that pytest -k selects by this")
    options = parser.parse_args(words)
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA GPU here; --device cpu --tiny shows whether the command itself works")
    device = torch.cuda.get_device_name() if options.device != "cpu" else "cpu"
    about = machine() | versions() | {"device": device, "cuda": torch.version.cuda}
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    began, outcomes = time.monotonic(), {}
    for part in PARTS:
        if options.only and part.name not in options.only:
            continue
        print(f"\n## {part.name}", flush=True)
        left = part.until * options.seconds - (time.monotonic() - began)
        if options.only:
            left = options.seconds - (time.monotonic() - began)
        outcomes[part.name] = run(part, options.device, options.tiny, options.select, left)
        print(in_words(outcomes[part.name]), flush=True)
        report = {"benchmark": "gpu", "about": about, "seconds": round(time.monotonic() - began, 1)}
        report |= {"parts": {name: asdict(outcome) for name, outcome in outcomes.items()}}
        if options.json:  # after each part: what ends this process leaves the parts before
            options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n" + summary(outcomes, time.monotonic() - began))
    sys.exit(int(any(outcome.state in ("failed", "cut off") for outcome in outcomes.values())))


def run(part: Part, device: str, tiny: bool, select: str | None, seconds: float) -> Outcome:
    """The part in a process of its own, for at most so many seconds."""
    if missing := lacking(part.needs):
        return Outcome("left out", f"{', '.join(missing)} not installed")
    if seconds <= 0:
        return Outcome("cut off", "no time was left for it")
    with tempfile.TemporaryDirectory() as folder:
        results, said = Path(folder) / "results.json", Path(folder) / "said.txt"
        command = [sys.executable, "-m", "benchmarks", part.name, "--device", device, "--json", str(results)]
        words, unmeasured = part.words, lacking(OF_THE_PAGE)
        if unmeasured and part.name == "explore":
            words = part.words[: part.words.index("picture") - 1]
        command += [*words, *(part.tiny if tiny else ())]
        environment = os.environ | {SETTING: device, "HF_HUB_OFFLINE": "1"}
        if part.name == "tests":
            chosen = ["-k", select] if select else []
            command = [sys.executable, "-m", "pytest", "-v", "-ra", "--tb=short", "-p", "no:cacheprovider"]
            command += ["-o", "addopts=--strict-markers --import-mode=importlib", *chosen, "tests/gpu"]
            environment |= {"VIT_EXPLORER_GPU_TESTS": device, "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        code = run_for(command, environment, said, seconds)
        outcome = Outcome("finished", seconds=round(time.monotonic() - began, 1))
        text = said.read_text("utf-8", errors="replace")
        if code is None:
            outcome.state, outcome.reason = "cut off", f"after {seconds:.0f} s; what there is until then is kept"
        elif code:
            outcome.state, outcome.reason = "failed", text[-TAIL:]
        if results.exists():
            outcome.results = json.loads(results.read_text("utf-8"))["results"]
        if part.name == "tests":
            outcome.tests = {name.strip(): result.lower() for name, result in RESULT.findall(text)}
        if unmeasured and part.name in ("explore", "tests"):
            what = "tests of the page skipped" if part.name == "tests" else "rows of a new picture left out"
            outcome.reason = f"{what}: {', '.join(unmeasured)} not installed\n{outcome.reason}".strip()
        return outcome


def run_for(command: Sequence[str], environment: dict[str, str], said: Path, seconds: float) -> int | None:
    """Exit code of the command, what it prints written to `said`; None where it, and all that it had started, was
    ended because its time was over."""
    with open(said, "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def lacking(modules: Sequence[str]) -> list[str]:
    """Those of the modules that are not installed."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def in_words(outcome: Outcome) -> str:
    rows = [Result(**{name: value for name, value in each.items() if name != "met"}) for each in outcome.results]
    parts = [table(rows)] if rows else []
    if outcome.tests:
        parts.append(", ".join(f"{count} {result}" for result, count in Counter(outcome.tests.values()).items()))
        parts += [f"- {result}: {name}" for name, result in outcome.tests.items() if result in ("failed", "error")]
    return "\n".join([*parts, f"{outcome.state} in {outcome.seconds} s {outcome.reason}".strip()])


def summary(outcomes: dict[str, Outcome], seconds: float) -> str:
    lines = ["| part | state | seconds | rows | tests passed |", "|---|---|---:|---:|---:|"]
    for name, outcome in outcomes.items():
        passed = sum(result == "passed" for result in outcome.tests.values())
        tests = f"{passed} of {len(outcome.tests)}" if outcome.tests else ""
        lines.append(f"| {name} | {outcome.state} | {outcome.seconds} | {len(outcome.results)} | {tests} |")
    return "\n".join([*lines, "", f"{seconds:.0f} s in all"])
