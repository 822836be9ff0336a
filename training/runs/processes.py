"""Processes by pid *and* start time: a pid alone is given to another process sooner or later. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import site
import socket
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LINUX, WINDOWS = sys.platform.startswith("linux"), sys.platform == "win32"
_children: dict[int, subprocess.Popen] = {}  # what this process spawned; polled so that none stays a zombie


@dataclass(frozen=True)
class Process:
    """One process of some machine. `started` is its start time as the operating system tells it, only ever compared;
    `group`: it leads a process group of its own, so the whole group is its. `mark`: an environment variable
    ("NAME=value") that it and its children carry, by which they are known when it is gone itself; "" for none.
    `shared`: it does other things too, such as serving a page, so it is never ended for a run's sake."""

    pid: int
    started: str
    host: str
    group: bool = False
    mark: str = ""
    shared: bool = False

    @classmethod
    def of(cls, pid: int, mark: str = "") -> Process:
        """Return the process that has this pid now, on this machine. Raises ProcessLookupError if there is none."""
        started = start_time(pid)
        if started is None:
            raise ProcessLookupError(f"no process {pid}")
        group = not WINDOWS and os.getpgid(pid) == pid
        return cls(pid, started, socket.gethostname(), group, mark)

    @classmethod
    def current(cls, mark: str = "") -> Process:
        return cls.of(os.getpid(), mark)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Process:
        """Read back what `to_dict` wrote. Raises ValueError for anything else."""
        pid, started, host, group, mark = (values.get(name) for name in ("pid", "started", "host", "group", "mark"))
        if type(pid) is not int or not 1 < pid < 2**31 or not isinstance(started, str) or not isinstance(host, str):
            raise ValueError(f"no process: {str(values)[:100]}")
        shared = values.get("shared") is True
        return cls(pid, started, host, group is True, mark if isinstance(mark, str) else "", shared)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def here(self) -> bool:
        """Whether the process is of this machine, so that its life can be observed. A machine's name may change
        meanwhile."""
        return self.host == socket.gethostname() or self.itself

    @property
    def itself(self) -> bool:
        """Whether the process itself, not a later one with its pid, lives. A zombie does not: it holds nothing."""
        return start_time(self.pid) == self.started

    def orphans(self) -> list[int]:
        """Pids of its group that outlived it. Known by `mark`, which on Linux can be read; elsewhere none are found."""
        if not (LINUX and self.group and self.mark and self.here) or not _group_exists(self.pid):
            return []
        if start_time(self.pid) is not None:  # it lives, or another has its pid: the group is not an orphaned one
            return []
        pids = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
        return [pid for pid in pids if _stat(pid)[2:3] == [str(self.pid)] and self.mark in _environment(pid)]

    @property
    def alive(self) -> bool:
        """Whether the process, or any other of its group, lives."""
        return self.itself or bool(self.orphans())

    def end(self, *, force: bool) -> None:
        """Ask the process and its group to end (SIGTERM), or kill them (`force`, SIGKILL). Does nothing if it is gone,
        or shared."""
        if self.shared:
            return
        if self.itself and WINDOWS:
            if force:  # there is no asking a process without a window
                subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.pid)], capture_output=True, check=False)
            return
        number = signal.SIGKILL if force else signal.SIGTERM
        with contextlib.suppress(ProcessLookupError):
            if self.itself:
                (os.killpg if self.group else os.kill)(self.pid, number)
        for pid in self.orphans():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def without_token() -> dict[str, str]:
    """Return the environment of a process that works for a guest of this computer, without its owner's Hugging Face
    token."""
    return {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": ""}


def python_path() -> str:
    """PYTHONPATH for a Python that is to import what this one does: the checkout first, wherever it is started. Where
    we are installed, nothing is put before the standard library."""
    folders = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages())
    ours, installed = Path(__file__).resolve().parents[2], {Path(folder).resolve() for folder in folders}
    return os.pathsep.join(filter(None, [str(ours) * (ours not in installed), os.environ.get("PYTHONPATH")]))


def spawn(command: list[str], log: Path, environment: dict[str, str]) -> int:
    """Start `command` in a session of its own, so that closing a terminal or a server does not reach it; output is
    appended to `log`. Returns its pid."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            env=os.environ | environment,
        )
    _children[child.pid] = child
    return child.pid


def reap() -> None:
    """Reap our own children that have ended."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def start_time(pid: int) -> str | None:
    """Return when process `pid` of this machine started: "boot id ticks" on Linux, a date on macOS, 100 ns units on
    Windows. None if there is no such process, or only its zombie."""
    reap()
    if LINUX:
        stat = _stat(pid)
        return f"{_boot()} {stat[19]}" if stat and stat[0] not in "ZX" else None
    if WINDOWS:
        return _windows_start_time(pid)
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
    words = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
        check=False,
    ).stdout.split()
    return " ".join(words[1:]) if len(words) > 1 and not words[0].startswith("Z") else None


def _stat(pid: int) -> list[str]:
    """Read the fields of /proc/PID/stat after the name, which may hold blanks and brackets: state, parent, group,
    session, ...; the 20th is the start time in ticks since the boot. Empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rfind(")") + 1 :].split()


def _environment(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _windows_start_time(pid: int) -> str | None:
    kernel = ctypes.windll.kernel32  # pyright: ignore[reportAttributeAccessIssue] # Windows alone has it
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return None
    try:
        code, times = ctypes.c_ulong(), [ctypes.c_ulonglong() for _ in range(4)]
        known = kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        told = kernel.GetProcessTimes(ctypes.c_void_p(handle), *map(ctypes.byref, times))
        return str(times[0].value) if known and told and code.value == 259 else None  # STILL_ACTIVE
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))
