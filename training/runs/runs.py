"""Runs: the runs in a folder, who may see them, and which of them starts next. Standard library only."""

from __future__ import annotations

import contextlib
import hmac
import math
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from training.config import RunConfig
from training.runs import bounds
from training.runs.record import CheckpointInfo, State, Status, written
from training.runs.run import MADE, Run, RunError
from training.storage.jsonfile import locked
from vit_model.messages import message

__all__ = ["CheckpointInfo", "Dispatcher", "Run", "RunError", "Runs", "State", "Status"]

LOOK_SECONDS = 5.0  # between two looks at what visitors' runs take
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)  # folders that a person may have named


class Runs:
    """The runs in `folder`, by default VIT_EXPLORER_RUNS or "runs" here. It may not exist yet.

    A run belongs to an owner: an opaque word, such as a login or the secret of a browser. Where one is given, only its
    runs are seen; None sees them all and is for loopback.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None):
        self.folder = Path(os.path.abspath(folder or os.environ.get("VIT_EXPLORER_RUNS") or "runs"))

    def create(
        self,
        config: RunConfig,
        *,
        owner: str | None = None,
        name: str | None = None,
        sweep: Sequence[float] = (),
        guest: bool = False,
        queue: bool = True,
    ) -> Run:
        """Create a run with an id of its own, which `dispatch` starts when its device is free. BoundError for a
        `guest`, who is a visitor, where it would take more of this computer than `bounds.VISITOR` allows."""
        recipe = re.sub(r"[^a-z0-9]+", "-", config.recipe.lower()).strip("-")[:40].strip("-") or "run"
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{recipe}-{secrets.token_hex(3)}"
        with self._counted() if guest else contextlib.nullcontext():
            if guest:
                self.check_guest(config, owner, sweep)
            return Run.create(
                self.folder / run_id, config, owner=owner, name=name or recipe, sweep=sweep, guest=guest, queue=queue
            )

    def resume(self, run: Run, *, guest: bool = False, **changes: Any) -> None:
        """Resume a run. BoundError for a `guest` whose run would take more than is allowed."""
        with self._counted() if guest else contextlib.nullcontext():
            if guest:
                bounds.VISITOR.check_resume(run, self.list())
            run.resume(**changes)

    def check_guest(self, config: RunConfig, owner: str | None, sweep: Sequence[float] = (), more: int = 0) -> None:
        """Raise BoundError if a visitor may not have this run. `more`: bytes that were uploaded for it."""
        bounds.VISITOR.check_config(config, sweep)
        bounds.VISITOR.check_owner(self.folder, self.list(), owner, more=more)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Hold the lock under which runs are counted, or two requests of a visitor would both be the last that is
        allowed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".guests.lock"):
            yield

    def list(self, owner: str | None = None) -> list[Run]:
        """List the runs, newest first: folders with an id as `create` gives it, or with a run.json; no links."""
        try:
            names = [entry.name for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        runs = (Run(self.folder / name) for name in names if self._counts(name))
        seen = [run for run in runs if _may_see(run, owner)]
        return sorted(seen, key=lambda run: (run.created, run.id), reverse=True)

    def get(self, run_id: str, owner: str | None = None) -> Run:
        """Return one run. RunError, in the same words, if there is none or it is another owner's."""
        if isinstance(run_id, str) and _GIVEN.fullmatch(run_id) and self._counts(run_id):
            run = Run(self.folder / run_id)
            if run.path.is_dir() and not run.path.is_symlink() and _may_see(run, owner):
                return run
        text = "there is no run {name}; it may have been deleted"
        raise RunError(message("no_run", text, name=repr(str(run_id)[:80])))

    def dispatch(self, device_of: Callable[[str], str] = str) -> list[Run]:
        """Start the queued runs whose device is free, one a device, and return them. Owners take turns, and of one
        owner's runs the oldest comes first. `device_of` says which device a config's "auto" is. Two servers on one
        folder take turns: while another does this, nothing is done."""
        if not self.folder.is_dir():
            return []
        with locked(self.folder / ".lock", wait=False) as mine:
            if not mine:
                return []
            states: list[tuple[Run, State]] = [(run, run.state) for run in self.list()]
            live = [run for run, state in states if state in ("running", "stopping")]
            if any(run.fault for run in live):  # what it occupies cannot be told
                return []
            busy = {_device(run, device_of) for run in live}
            started = []
            for run in in_turn([run for run, state in states if state == "queued"], states):
                device = _device(run, device_of)
                if device not in busy and run.start_queued():
                    busy.add(device)
                    started.append(run)
            return started

    def _counts(self, name: str) -> bool:
        return bool(MADE.fullmatch(name) or (_GIVEN.fullmatch(name) and (self.folder / name / "run.json").is_file()))


class Dispatcher(threading.Thread):
    """A thread that, every `seconds`, starts queued runs, stops visitors' runs that take more than they may, and sees
    stops through to the end, also those asked for before a restart of the server. `close` ends it; the runs go on."""

    def __init__(self, runs: Runs, device_of: Callable[[str], str] = str, seconds: float = 1.0):
        super().__init__(name="training dispatcher", daemon=True)
        self.runs, self.device_of, self.seconds = runs, device_of, seconds
        self._closed = threading.Event()
        self._looked = -math.inf

    def run(self) -> None:
        said = ""
        while not self._closed.wait(self.seconds):
            try:
                self.tick()
                said = ""
            except (OSError, ValueError) as error:  # a full disk, a run that was just edited: better in a while
                if str(error) != said:
                    said = str(error)
                    print(f"runs in {self.runs.folder}: {said}", flush=True)

    def tick(self) -> None:
        runs = self.runs.list()
        look = time.monotonic() - self._looked >= LOOK_SECONDS
        for run in runs:
            state = run.state
            if state == "stopping":
                run.press_stop()
            elif look and state == "running" and run.guest and (reason := bounds.VISITOR.overrun(run, runs)):
                run.ask_stop(reason)
        if look:
            self._looked = time.monotonic()
        self.runs.dispatch(self.device_of)

    def close(self) -> None:
        self._closed.set()
        self.join()


def in_turn(queue: Sequence[Run], states: Sequence[tuple[Run, State]]) -> list[Run]:
    """Sort waiting runs into the order in which they start: one of each owner, then the next of each; first the owner
    whose last turn is the longest ago. `states`: of all runs."""
    ahead: Counter[str | None] = Counter()
    turns: dict[str | None, float] = {}
    for run, state in states:
        turns[run.owner] = max(turns.get(run.owner, 0.0), written(run.path / "process.json"))
        ahead[run.owner] += state in ("running", "stopping")
    placed = []
    for run in sorted(queue, key=lambda run: run.queued_since or 0):
        placed.append(((ahead[run.owner], turns.get(run.owner, 0.0), run.queued_since or 0), run))
        ahead[run.owner] += 1
    return [run for _, run in sorted(placed, key=lambda one: one[0])]


def _may_see(run: Run, owner: str | None) -> bool:
    if owner is None:
        return True
    return run.owner is not None and hmac.compare_digest(run.owner.encode(), owner.encode())


def _device(run: Run, device_of: Callable[[str], str]) -> str:
    device = device_of(run.config.device)
    return "cuda:0" if device == "cuda" else device
