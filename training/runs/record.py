"""The reading half of a run, from disk at every access. Standard library only.

The worker that trains writes `process.json` first and `ended.json` last; in between it is alive or it is not, which its
pid and start time tell. So a server that restarts, a second browser and a terminal all see the same.
"""

from __future__ import annotations

import codecs
import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from training.config import ConfigError, RunConfig
from training.runs.metrics import MetricEvent, fold, read_events
from training.runs.processes import Process
from training.storage.jsonfile import read_json, unreadable_message
from vit_model.messages import Message, message, message_of, read_message

State = Literal["queued", "running", "stopping", "stopped", "finished", "failed"]
ENDED = ("stopped", "finished", "failed")
SILENCE = 120  # seconds without a sign of life after which a run on another machine counts as dead
HEADER = "--- attempt"  # begins each attempt's part of log.txt
NAME_LENGTH = 120
NUMBERS = (
    *("step", "steps", "epoch", "epochs", "seconds", "seconds_left"),
    *("images_per_second", "batch", "accumulation", "memory_bytes", "resolution"),
)
_CHECKPOINT = re.compile(r"step-(\d{8,15})", re.ASCII)


@dataclass(frozen=True)
class Status:
    state: State
    reason: str = ""  # why it failed or stopped; "" where there is nothing to say


@dataclass(frozen=True)
class CheckpointInfo:
    step: int
    path: Path
    best: bool
    last: bool


class Record:
    """The reading half of `runs.Run`. Only `config` raises for a damaged folder; the state of such a run is "failed",
    and its reason names the file. What else is damaged reads as if it were not there."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(os.path.abspath(path))
        self.id = self.path.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    # -- what it is

    @property
    def name(self) -> str:
        name = self.read("run.json").get("name")
        return printable(name)[:NAME_LENGTH] if isinstance(name, str) and printable(name).strip() else self.id

    @property
    def owner(self) -> str | None:
        owner = self.read("run.json").get("owner")
        return owner if isinstance(owner, str) and owner else None

    @property
    def guest(self) -> bool:
        """Whether a visitor started the run: it trains without this computer's Hub token and within `bounds`."""
        return self.read("run.json").get("guest") is True

    @property
    def created(self) -> float:
        """When the run was created, in seconds since 1970."""
        created = self.read("run.json").get("created")
        return float(created) if is_number(created) else written(self.path)

    @property
    def config(self) -> RunConfig:
        """The config of run.json. Raises ConfigError for a file that is missing, damaged or invalid."""
        try:
            about = read_json(self.path / "run.json")
            if about is None:
                raise ConfigError(message("no_file_there", "there is none"))
            if not isinstance(about.get("config"), dict):
                raise ConfigError(message("no_config", "it holds no config"))
            return RunConfig.from_dict(about["config"])
        except (ValueError, TypeError, OverflowError) as error:
            reason = message_of(error)
            if reason.code == "json_unread":
                raise ConfigError(reason) from error
            raise ConfigError(unreadable_message("run.json", reason)) from error

    @property
    def sweep(self) -> tuple[float, ...]:
        """Learning rates to try before training with the best of them; () for a plain run."""
        rates = self.read("run.json").get("sweep")
        rates = rates if isinstance(rates, list) else []
        return tuple(float(rate) for rate in rates if is_number(rate) and 0 < rate <= 1000)

    @property
    def attempt(self) -> int:
        """How many times the run was begun, the present attempt included."""
        attempt = self.read("process.json").get("attempt")
        return attempt if type(attempt) is int and attempt > 0 else 0

    # -- how it stands

    @property
    def state(self) -> State:
        return self.status().state

    @property
    def reason(self) -> str:
        return self.status().reason

    def status(self) -> Status:
        """State and reason, from one reading of the folder."""
        fault, process, stop = self.fault, self.process, self.read("stop.json")
        if process is not None and self.lives(process):
            asked = (self.path / "stop.json").exists()
            return Status("stopping" if asked or (process.here and not process.itself) else "running", fault)
        if fault:
            return Status("failed", fault)
        if self.queued_since is not None:
            return Status("queued")
        ended = self.read("ended.json")
        if ended.get("state") in ENDED:
            return Status(ended["state"], read_message(ended, "reason"))
        if stop.get("terminated"):
            text = "it did not end by itself and was made to; a resume goes on from {where}"
            return Status("stopped", message("run_terminated", text, where=self._resumed()))
        if process is not None and not process.here:
            text = "nothing was heard from it for {seconds} s; it ran on {host}"
            return Status("failed", message("run_silent", text, seconds=SILENCE, host=process.host))
        if not (self.path / "process.json").exists():
            return Status("failed", message("run_never_started", "it was never started; resume it to start it"))
        where, last = self._resumed(), self._last_words()
        if last:
            text = "the training process died; a resume goes on from {where}; the last lines of its log:\n{log}"
            return Status("failed", message("run_died", text, where=where, log=last))
        return Status(
            "failed",
            message(
                "run_killed",
                "the training process died without a word: killed, out of memory, or by a power cut; a resume goes on "
                "from {where}",
                where=where,
            ),
        )

    @property
    def fault(self) -> Message:
        """The fault of run.json; "" if there is none."""
        try:
            self.config  # noqa: B018
        except ConfigError as error:
            return message_of(error)
        return Message("")

    @property
    def queued_since(self) -> float | None:
        """When the run began to wait for its device; None if it does not wait."""
        path = self.path / "queued.json"
        if not path.exists():
            return None
        since = self.read("queued.json").get("time")
        return float(since) if is_number(since) else written(path)

    @property
    def process(self) -> Process | None:
        """The process that trains the run, or did last."""
        try:
            return Process.from_dict(self.read("process.json"))
        except ValueError:
            return None

    def lives(self, process: Process) -> bool:
        """Whether its process, or anything that it left behind, lives. Another machine's processes cannot be seen:
        a file written within the last `SILENCE` seconds is a sign of life then, unless the worker said that it ended.
        """
        if process.here:
            return process.alive
        if self.read("ended.json").get("state") in ENDED:
            return False
        names = ("process.json", "progress.json", "events.jsonl", "log.txt")
        return time.time() - max(written(self.path / name) for name in names) < SILENCE

    @property
    def progress(self) -> dict[str, Any]:
        """The loop's last report: numbers by name, `phase` and `note`. Anything else in the file is left out."""
        told = self.read("progress.json")
        numbers = {name: told[name] for name in NUMBERS if is_number(told.get(name))}
        return numbers | {
            name: read_message(told, name, 200) for name in ("phase", "note") if isinstance(told.get(name), str)
        }

    def events(self, offset: int = 0) -> tuple[list[MetricEvent], int]:
        """Return the events from byte `offset` on, and the next offset; see `metrics.read_events` and `fold`."""
        try:
            return read_events(self.path / "events.jsonl", offset)
        except OSError:
            return [], offset

    def log(self, offset: int | None = None, limit: int = 2**16) -> tuple[str, int]:
        """At most `limit` bytes of log.txt from `offset` on, and where to go on from; by default the end of it. What is
        not UTF-8 is replaced; a character that is still being written waits for the next call."""
        try:
            with open(self.path / "log.txt", "rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - limit) if offset is None else offset if 0 <= offset <= size else 0
                file.seek(start)
                block = file.read(limit)
        except OSError:
            return "", 0
        if offset is None and start:  # into the midst of a character
            block = block.lstrip(bytes(range(0x80, 0xC0)))
            start = size - len(block)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(block)
        return text, start + len(block) - len(decoder.getstate()[0])

    def curve(self) -> list[MetricEvent]:
        """Every event, in the order of steps; what was measured again after a resume, once."""
        events, offset = [], 0
        while True:  # in blocks
            more, reached = self.events(offset)
            events += more
            if reached <= offset:
                return fold(events)
            offset = reached

    def checkpoints(self) -> list[CheckpointInfo]:
        """List the checkpoints by step. Folders of other names, links, and those without weights are left out."""
        found = []
        try:
            for path in (self.path / "checkpoints").iterdir():
                match = _CHECKPOINT.fullmatch(path.name)
                if match and not path.is_symlink() and (path / "model.safetensors").is_file():
                    found.append((int(match[1]), path))
        except OSError:
            return []
        best, found = self.read("best.json").get("step"), sorted(found)
        return [CheckpointInfo(step, path, step == best, step == found[-1][0]) for step, path in found]

    @property
    def best(self) -> CheckpointInfo | None:
        return next((one for one in self.checkpoints() if one.best), None)

    @property
    def last(self) -> CheckpointInfo | None:
        return next((one for one in self.checkpoints() if one.last), None)

    @property
    def best_accuracy(self) -> float | None:
        """The best accuracy on the held-out part, 0 to 1."""
        accuracy = self.read("best.json").get("accuracy")
        return float(accuracy) if is_number(accuracy) else None

    def read(self, name: str) -> dict[str, Any]:
        """Read the object in the run's JSON file `name`; {} if it is missing or damaged."""
        try:
            return read_json(self.path / name) or {}
        except ValueError:
            return {}

    def _resumed(self) -> Message:
        """Say where a resume goes on from."""
        if self.checkpoints():
            return message("last_checkpoint", "its last checkpoint")
        return message("its_beginning", "its beginning")

    def _last_words(self, lines: int = 3) -> str:
        """Return the end of the last attempt's log."""
        text = self.log(limit=8192)[0]
        text = text[text.rfind(HEADER) :] if HEADER in text else text
        said = [printable(line.rstrip().rpartition("\r")[2])[:300] for line in text.split("\n")]
        return "\n".join([line for line in said if line.strip() and not line.startswith(HEADER)][-lines:])


def is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and math.isfinite(value)


def printable(text: str) -> str:
    """Strip colours and other control characters."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\t", "    ")
    return "".join(character for character in text if character.isprintable())


def written(path: Path) -> float:
    """Return when the file was written, in seconds since 1970; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
