"""Processes are told apart by pid and start time, and a group is ended as a whole."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from training.runs import processes
from training.runs.processes import Process, spawn, start_time

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of POSIX")
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper(tmp_path):
    pid = spawn(SLEEP, tmp_path / "log.txt", {})
    yield pid
    if pid in processes._children:
        os.killpg(pid, signal.SIGKILL)
        processes._children.pop(pid).wait()


def test_this_process_lives_and_survives_a_round_trip():
    me = Process.current()
    assert me.itself and me.alive and me.here
    assert Process.from_dict(me.to_dict()) == me


def test_a_later_process_with_the_same_pid_is_another(sleeper):
    earlier = replace(Process.of(sleeper), started="an earlier time")
    assert not earlier.itself and not earlier.alive
    earlier.end(force=True)  # must not hurt whoever has the pid now
    assert start_time(sleeper) is not None


def test_a_spawned_process_leads_its_own_session_and_group(sleeper):
    assert os.getsid(sleeper) == os.getpgid(sleeper) == sleeper
    assert Process.of(sleeper).group and not Process.of(sleeper).orphans()


def test_a_zombie_is_dead_and_gets_reaped(sleeper):
    process = Process.of(sleeper)
    os.kill(sleeper, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert not process.alive
    assert sleeper not in processes._children
    with pytest.raises(ChildProcessError):
        os.waitpid(sleeper, os.WNOHANG)


def test_the_zombie_of_another_parent_is_dead(until):
    """As in a container without an init: nobody collects what a killed server leaves."""
    program = (
        "import subprocess, time; child = subprocess.Popen(['true']); print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        until(lambda: start_time(child) is None)
        os.kill(child, 0)  # still in the table of processes
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.skipif(not processes.LINUX, reason="orphans are known by /proc")
def test_children_that_outlive_their_leader_are_found_by_their_mark_and_ended(tmp_path, until, kill):
    program = "import os, time; pid = os.fork(); time.sleep(60)"
    pid = spawn([sys.executable, "-c", program], tmp_path / "log.txt", {"MARK": "a run"})
    process = Process.of(pid, "MARK=a run")
    until(lambda: len(_of_group(pid)) == 2)
    kill(pid)
    assert len(process.orphans()) == 1 and process.alive and not process.itself
    assert not replace(process, mark="MARK=another run").alive
    process.end(force=True)
    until(lambda: not process.alive)


def test_the_whole_group_is_ended(tmp_path, until):
    pid = spawn([sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"], tmp_path / "log.txt", {})
    process = Process.of(pid)
    until(lambda: not processes.LINUX or len(_of_group(pid)) == 2)
    process.end(force=False)
    until(lambda: not process.alive and not processes._group_exists(pid))


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps here")
def test_where_there_is_no_proc_ps_tells(sleeper, monkeypatch):
    monkeypatch.setattr(processes, "LINUX", False)
    process = Process.of(sleeper)
    assert process.started.split()[-1].isdigit() and process.alive and Process.of(sleeper) == process
    assert start_time(2**22 + 1) is None
    assert not replace(process, started="Thu Jan  1 00:00:00 1970").alive
    process.end(force=True)
    os.waitid(os.P_PID, sleeper, os.WEXITED | os.WNOWAIT)
    assert not process.alive and sleeper not in processes._children


@pytest.mark.parametrize(
    "values",
    [{}, {"pid": "1", "started": "x", "host": "h"}, {"pid": True, "started": "x", "host": "h"}]
    + [{"pid": pid, "started": "x", "host": "h"} for pid in (0, 1, -1, 2**40, 3.5)]
    + [{"pid": 5, "started": 7, "host": "h"}, {"pid": 5, "started": "x", "host": None}],
)
def test_garbage_is_no_process(values):
    """Above all neither pid 0 nor -1, which a signal would send to many."""
    with pytest.raises(ValueError, match="no process"):
        Process.from_dict(values)


def _of_group(group):
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if processes._stat(pid)[2:3] == [str(group)]]
