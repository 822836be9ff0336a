"""Run: one training run on disk, and the actions on it. Standard library only."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.config import RunConfig
from training.runs.processes import Process, python_path, spawn, without_token
from training.runs.record import ENDED, HEADER, NAME_LENGTH, Record, State, Status, is_number, printable, written
from training.storage.jsonfile import locked, write_json
from vit_model.errors import CodedError
from vit_model.files.private import private_folder
from vit_model.messages import Message, add_codes, message, read_message

PATIENCE, GRACE = 120.0, 30.0  # seconds for a checkpoint after a stop is asked for; then, after SIGTERM, until SIGKILL
MARK = "VIT_EXPLORER_RUN"  # environment variable of a worker and its children: the folder of their run
CHANGED = "data_changed.json"  # in a run's folder: it goes on once with whatever data there are
MADE = re.compile(r"\d{8}-\d{6}-[a-z0-9-]{1,40}-[0-9a-f]{6}", re.ASCII)  # ids that `Runs.create` gives


_STATES: dict[State, Message] = {
    "queued": message("state_queued", "queued"),
    "running": message("state_running", "running"),
    "stopping": message("state_stopping", "stopping"),
    "stopped": message("state_stopped", "stopped"),
    "finished": message("state_finished", "finished"),
    "failed": message("state_failed", "failed"),
}


class RunError(CodedError):
    """An action that the run's state does not allow; the message says why, and what to do instead."""


class Run(Record):
    """The run in a folder. Its state, and all else that `Record` tells, is read from disk. States: "queued" (waits for
    its device), "running", "stopping" (a stop is asked for, or what a dead worker left behind is still ending),
    "stopped", "finished", "failed". What changes a state holds a lock of the folder, so that any number of servers and
    terminals may use it at once."""

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        config: RunConfig,
        *,
        owner: str | None = None,
        name: str | None = None,
        sweep: Sequence[float] = (),
        guest: bool = False,
        queue: bool = False,
    ) -> Run:
        """Create a run in a folder that is missing or empty; RunError otherwise. `owner`: an opaque word, see `Runs`.
        `sweep`: learning rates that are tried first. `guest`: trained without this computer's Hub token. `queue`: wait
        for a `Dispatcher` to start it."""
        run = cls(path)
        for rate in sweep:
            config.having(lr=rate)  # ConfigError for one that cannot be
        try:
            private_folder(run.path)
            empty = not run.path.is_symlink() and not any(run.path.iterdir())
        except (FileExistsError, NotADirectoryError):
            empty = False
        except OSError as error:
            raise RunError(
                message(
                    "runs_unwritable",
                    "the folder {folder} cannot be written ({reason}); set VIT_EXPLORER_RUNS, or --out, to one that "
                    "this user may write",
                    folder=run.path.parent,
                    reason=error.strerror or error,
                )
            ) from error
        if not empty:
            text = "{path} is there already and not empty; choose another folder, or resume the run in it"
            raise RunError(message("run_folder_taken", text, path=path))
        about: dict[str, Any] = {"id": run.id, "name": _name(name or run.id), "owner": owner, "created": time.time()}
        about["config"] = config.having(data=_absolute(config.data), model=_absolute(config.model)).to_dict()
        write_json(
            run.path / "run.json",
            about | ({"sweep": list(sweep)} if sweep else {}) | ({"guest": True} if guest else {}),
            private=True,
        )
        if queue:
            write_json(run.path / "queued.json", {"time": time.time()})
        return run

    # -- actions of a watcher

    def start(self) -> None:
        """Train the run in a process of its own, output to log.txt. RunError if it is damaged or a process has it."""
        with self._locked():
            self._start()

    def start_queued(self) -> bool:
        """Start the run if it still waits in the queue."""
        with self._locked():
            queued = self.state == "queued"
            if queued:
                self._start()
        return queued

    def resume(self, *, data: str | None = None, changed_data: bool = False) -> None:
        """Queue it again, to go on from its last checkpoint. `data`: where its data are now. `changed_data`: go on
        though they are not those that it was made from. RunError unless it has stopped or failed."""
        with self._locked():
            self._must_be_resumable()
            self._prepare_data(data, changed_data)
            (self.path / "stop.json").unlink(missing_ok=True)
            write_json(self.path / "queued.json", {"time": time.time()})

    def prepare_resume(self, *, data: str | None = None, changed_data: bool = False) -> None:
        """Note how a resume treats the data, as `resume` does, in the process that trains the run, after `begin`."""
        with self._locked():
            self._prepare_data(data, changed_data)

    def ask_stop(self, reason: str = "") -> None:
        """Ask the worker to write a checkpoint and end; a queued run is stopped at once. `reason`: what to say of it
        once it has stopped. RunError if it has ended."""
        with self._locked():
            state = self.state
            if state in ENDED:
                text = "{name} is not running: it is {state}"
                raise RunError(message("run_not_running", text, name=self.name, state=_STATES[state]))
            if state == "queued":
                text = "stopped while it waited in the queue"
                self.end("stopped", message("stopped_in_queue", text))
                (self.path / "queued.json").unlink(missing_ok=True)
            elif not (self.path / "stop.json").exists():
                asked = {"time": time.time()} | ({"reason": reason} if reason else {})
                write_json(self.path / "stop.json", add_codes(asked))

    def press_stop(self, patience: float = PATIENCE, grace: float = GRACE) -> bool:
        """Look once at a run that was asked to stop: `patience` seconds after that, SIGTERM goes to its process group,
        and `grace` seconds later SIGKILL. True once nothing of it lives. Never waits, so a timer may call it; what has
        been done is in stop.json, so any server may go on with it."""
        with self._locked():
            process = self.process
            if process is None or not self.lives(process):
                return True
            if not process.here:
                return False  # its worker reads stop.json; from here nothing more can be done
            if not process.itself:  # what a dead worker left behind
                process.end(force=True)
                return not process.alive
            if not (self.path / "stop.json").exists():
                return False
            asked, now = self.read("stop.json"), time.time()
            since = asked["time"] if is_number(asked.get("time")) else written(self.path / "stop.json")
            terminated = asked.get("terminated")
            if not is_number(terminated):
                if now - since >= patience:
                    write_json(self.path / "stop.json", asked | {"terminated": now})
                    process.end(force=False)
            elif now - terminated >= grace:
                process.end(force=True)
            return not process.alive

    def stop(self, timeout: float = PATIENCE, grace: float = GRACE) -> Status:
        """Stop it, and return once nothing of it lives: ask, wait `timeout` seconds for its checkpoint, SIGTERM to its
        process group, wait `grace` seconds, SIGKILL. RunError if it has ended already, or does not end after all."""
        self.ask_stop()
        deadline = time.monotonic() + timeout + grace + 30
        while not self.press_stop(timeout, grace):
            process = self.process
            if time.monotonic() > deadline and process is not None:
                text = "{name} does not end; end process {pid} on {host} there"
                raise RunError(message("run_endless", text, name=self.name, pid=process.pid, host=process.host))
            time.sleep(0.05)
        return self.status()

    def rename(self, name: str) -> None:
        with self._locked():
            if not (about := self.read("run.json")):
                raise RunError(self.fault)
            write_json(self.path / "run.json", about | {"name": _name(name)}, private=True)

    def delete(self) -> None:
        """Remove the folder and all in it. RunError while it runs, or if the folder is not that of a run."""
        ours = MADE.fullmatch(self.id) or (self.path / "run.json").is_file()
        if self.path.is_symlink() or not self.path.is_dir() or not ours:
            text = "{name} does not look like a run, so it is not deleted"
            raise RunError(message("not_a_run", text, name=self.id))
        with self._locked():
            if self.state in ("running", "stopping"):
                text = "{name} is running; stop it before you delete it"
                raise RunError(message("run_in_use", text, name=self.name))
            doomed = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(4)}")
            (self.path / "queued.json").unlink(missing_ok=True)
            if os.name != "nt":  # which renames no folder with an open file in it, such as the lock
                self.path.rename(doomed)  # at once, so that nobody meets half a run
        shutil.rmtree(doomed if doomed.exists() else self.path)

    # -- actions of the worker

    def begin(self, *, shared: bool = False) -> None:
        """Take hold of the run for this process. RunError if another has it. Done twice, it changes nothing. `shared`:
        this process does other things too; it is never ended to stop the run, and takes hold of it once only."""
        with self._locked():
            me, held = Process.current(self._mark if os.environ.get(MARK) == str(self.path) else ""), self.process
            if held is not None and (held.pid, held.started) == (me.pid, me.started) and not (shared or held.shared):
                return
            self._must_be_free()
            self._write_process(replace(me, shared=shared), self.attempt + 1)
            for name in ("ended.json", "stop.json", "queued.json"):
                (self.path / name).unlink(missing_ok=True)

    def end(self, state: State, reason: str = "", *, goes_on: bool = False) -> None:
        """Record the end, as the worker's last act: "finished", "stopped" or "failed", and why. The run has ended once
        its process has; `goes_on`: the process has other things to do, so the run has ended now."""
        assert state in ENDED, state
        write_json(self.path / "ended.json", add_codes({"state": state, "reason": reason, "time": time.time()}))
        if goes_on:
            write_json(self.path / "process.json", {"attempt": self.attempt})

    def stop_requested(self) -> bool:
        return (self.path / "stop.json").exists()

    @property
    def stop_reason(self) -> str:
        """Return the reason that was given for the stop."""
        return read_message(self.read("stop.json"), "reason")

    def write_progress(self, progress: dict[str, Any]) -> None:
        write_json(self.path / "progress.json", add_codes(progress), durable=False)

    # -- under the lock

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked(self.path / ".lock"):
                if not self.path.is_dir():  # deleted while we waited
                    raise FileNotFoundError
                yield
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.path.is_dir():
                raise
            raise RunError(message("no_run_in", "there is no run in {path}", path=self.path)) from error

    def _start(self) -> None:
        self._must_be_free()
        if self.fault:
            raise RunError(self.fault)
        attempt = self.attempt + 1
        with open(self.path / "log.txt", "ab") as log:
            log.write(f"{HEADER} {attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n".encode())
        environment = {MARK: str(self.path), "PYTHONPATH": python_path(), "PYTHONUTF8": "1"}
        if self.guest:
            environment |= without_token()
        try:
            pid = spawn(worker_command(self.path), self.path / "log.txt", environment)
        except OSError as error:
            self.end("failed", message("not_started", "no process could be started: {reason}", reason=error))
            (self.path / "queued.json").unlink(missing_ok=True)
            return
        # Written by the starter, under the lock for which the worker's own `begin` waits: it is running from now on.
        try:
            self._write_process(Process.of(pid, self._mark), attempt)
        except ProcessLookupError:  # it died at once: log.txt tells why
            write_json(self.path / "process.json", {"attempt": attempt})
        for name in ("ended.json", "stop.json", "queued.json"):
            (self.path / name).unlink(missing_ok=True)

    def _prepare_data(self, data: str | None, changed_data: bool) -> None:
        if data is not None:
            config = self.config.having(data=_absolute(data))  # ConfigError for one that cannot be
            write_json(self.path / "run.json", self.read("run.json") | {"config": config.to_dict()})
        if changed_data:
            write_json(self.path / CHANGED, {"accepted": True})
        else:
            (self.path / CHANGED).unlink(missing_ok=True)

    def _must_be_free(self) -> None:
        process = self.process
        if process is None or not self.lives(process):
            return
        if process.here and not process.itself:
            process.end(force=True)  # what a dead worker left behind
            return
        text = "{name} is running already, as process {pid} on {host}; stop it first"
        raise RunError(message("run_taken", text, name=self.id, pid=process.pid, host=process.host))

    def _must_be_resumable(self) -> None:
        state = self.state
        if self.fault:
            raise RunError(self.fault)
        if state == "finished":
            raise RunError(finished_message(self.name))
        if state not in ("stopped", "failed"):
            text = "{name} is {state}; only a run that stopped or failed can be resumed"
            raise RunError(message("run_not_resumable", text, name=self.name, state=_STATES[state]))

    def _write_process(self, process: Process, attempt: int) -> None:
        write_json(self.path / "process.json", process.to_dict() | {"attempt": attempt})

    @property
    def _mark(self) -> str:
        return f"{MARK}={self.path}"


def finished_message(name: str) -> Message:
    """What to say to who wants a run that has finished to go on."""
    text = "{name} has finished; to train longer, start a new run with more steps"
    return message("run_finished", text, name=name)


def worker_command(path: Path) -> list[str]:
    """Return the command that `Run.start` runs. -P: a folder `training` where the server was started must not be taken
    for ours."""
    return [sys.executable, "-P", "-u", "-m", "training", "resume", str(path)]


def _name(name: str) -> str:
    return printable(" ".join(str(name).split()))[:NAME_LENGTH].strip() or "unnamed"


def _absolute(source: str) -> str:
    """Make a data set's or model's path absolute, since a resume may start elsewhere; other names stay."""
    kind, colon, rest = source.partition(":")
    if colon and kind == "resnet18":
        return f"{kind}:{_absolute(rest)}"
    path = Path(source).expanduser()
    return str(path.resolve()) if (os.sep in source or path.suffix or path.is_absolute()) and path.exists() else source
