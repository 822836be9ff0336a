"""Runs and the processes that train them: real ones, started, stopped, killed and found again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.training.conftest import FAKE
from training.runs import processes
from training.runs.metrics import fold
from training.runs.processes import start_time
from training.runs.runs import Dispatcher, Run, RunError, Runs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of POSIX")


@pytest.fixture
def going(runs, config, until):
    """going(words) -> a run whose fake worker has made some steps."""

    def start(words=""):
        run = runs.create(config, queue=False)
        os.environ["VIT_FAKE"] = words
        try:
            run.start()
        finally:
            del os.environ["VIT_FAKE"]
        assert run.state == "running", "from the moment it was started"
        until(lambda: run.progress.get("step", 0) > 2)
        return run

    return start


def write(path, value):
    path.write_text(json.dumps(value))


def test_a_run_is_started_watched_stopped_and_resumed(going, until):
    run = going()
    events, offset = run.events()
    until(lambda: run.events(offset)[0])
    more, _ = run.events(offset)
    assert [event.step for event in events + more] == list(range(1, len(events + more) + 1))
    assert run.log()[0].startswith("--- attempt 1, ") and "begun" in run.log()[0]
    status = run.stop()
    assert (status.state, status.reason) == ("stopped", "") and not run.process.alive
    assert run.last.step == run.progress["step"] and run.checkpoints()[-1].path.is_dir()
    run.resume()
    assert run.state == "queued" and run.queued_since is not None
    assert run.start_queued() and not run.start_queued()
    assert run.state == "running" and run.attempt == 2 and not (run.path / "ended.json").exists()
    until(lambda: run.progress["step"] > run.last.step)
    assert run.stop().state == "stopped"
    steps = [event.step for event in fold(run.events()[0])]
    assert steps == list(range(1, len(steps) + 1))


def test_it_is_stopping_until_nothing_of_it_lives(going, until):
    run = going("slow lingers")
    run.ask_stop()
    assert run.state == "stopping" and not (run.path / "ended.json").exists()
    (run.path / "hurry").touch()
    until((run.path / "ended.json").exists)
    assert run.state == "stopping" and run.process.alive, "it has said that it ended, but it has not"
    (run.path / "leave").touch()
    until(lambda: run.press_stop())
    assert run.state == "stopped"


def test_a_finished_worker_that_lingers_is_running_still(runs, config, monkeypatch, until):
    run = runs.create(config, queue=False)
    monkeypatch.setenv("VIT_FAKE", "quick lingers")
    run.start()
    until((run.path / "ended.json").exists)
    assert run.state == "running"
    (run.path / "leave").touch()
    until(lambda: run.state == "finished")


def test_a_deaf_worker_is_terminated_and_then_killed_with_its_children(going, until):
    run = going("deaf child")
    child = int((run.path / "child").read_text())
    status = run.stop(timeout=0.2, grace=0.2)
    assert status.state == "stopped" and "was made to" in status.reason and "its beginning" in status.reason
    until(lambda: start_time(child) is None)
    with pytest.raises(ChildProcessError):
        os.waitpid(run.process.pid, os.WNOHANG)  # reaped: no zombie is left
    run.resume()
    assert run.state == "queued"


def test_a_stop_that_a_killed_server_began_is_seen_through_by_the_next(going, until):
    """What has been done is on disk, so `press_stop` goes on where another process left off."""
    run = going("deaf")
    run.ask_stop()
    write(run.path / "stop.json", {"time": time.time() - 500, "terminated": time.time() - 100})
    later = Dispatcher(Runs(run.path.parent))
    later.tick()
    until(lambda: run.state == "stopped")


def test_patience_counts_from_the_request(going):
    run = going("deaf")
    run.ask_stop()
    assert not run.press_stop(patience=60) and "terminated" not in run.read("stop.json")
    write(run.path / "stop.json", {"time": time.time() - 61})
    assert not run.press_stop(patience=60, grace=60) and run.read("stop.json")["terminated"] <= time.time()
    assert run.process.itself


@pytest.mark.skipif(not processes.LINUX, reason="orphans are known by /proc")
def test_a_killed_worker_that_left_a_child_is_stopping_until_that_is_gone(going, kill, until):
    run = going("child")
    kill(run.process.pid)
    child = int((run.path / "child").read_text())
    assert start_time(child) is not None and run.state == "stopping"
    Dispatcher(Runs(run.path.parent)).tick()
    until(lambda: start_time(child) is None)
    assert run.state == "failed"


def test_a_killed_worker_is_a_failed_run_with_the_end_of_its_log(going, kill):
    run = going()
    with open(run.path / "log.txt", "ab") as log:
        log.write(b"one\r50 %\rhalf \xff\xe4 done\nloss \x1b[31mnan\x1b[0m\n\n")
    kill(run.process.pid)
    status = Run(run.path).status()
    assert status.state == "failed" and status.reason.startswith(
        "the training process died; a resume goes on from its beginning; the last lines of its log:\n"
    )
    assert status.reason.endswith("half �� done\nloss nan")


def test_a_second_attempt_does_not_fail_with_the_words_of_the_first(going, kill, monkeypatch):
    run = going()
    with open(run.path / "log.txt", "a") as log:
        log.write("words of the first attempt\n")
    kill(run.process.pid)
    assert "words of the first attempt" in run.reason
    silent = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr("training.runs.run.worker_command", lambda path: silent)
    run.start()
    kill(run.process.pid)
    assert run.state == "failed" and "without a word" in run.reason and run.attempt == 2


def test_a_worker_that_crashes_tells_why(runs, config, monkeypatch, until):
    run = runs.create(config, queue=False)
    monkeypatch.setenv("VIT_FAKE", "crash")
    run.start()
    until(lambda: run.state == "failed")
    assert "the data were not there" in run.reason and "\x1b" not in run.reason


def test_a_worker_that_cannot_be_started_is_a_failed_run(runs, config, monkeypatch):
    run = runs.create(config)
    monkeypatch.setattr("training.runs.run.worker_command", lambda path: ["/nonexistent/python"])
    assert run.start_queued()
    assert run.state == "failed" and run.reason.startswith("no process could be started: ")


def test_a_pid_that_was_given_away_is_not_taken_for_the_worker(going):
    """The stranger must be neither believed nor signalled."""
    run = going()
    stranger = run.process
    write(run.path / "process.json", replace(stranger, started="before the last boot").to_dict() | {"attempt": 1})
    assert run.state == "failed"
    with pytest.raises(RunError, match="is not running: it is failed"):
        run.stop()
    assert run.press_stop() and stranger.itself
    write(run.path / "process.json", stranger.to_dict() | {"attempt": 1})
    assert run.stop().state == "stopped"


def test_one_run_has_one_process(going):
    run = going()
    for act in (run.start, run.begin):
        with pytest.raises(RunError, match=rf"is running already, as process {run.process.pid} on "):
            act()
    for act, words in ((run.resume, "only a run that stopped or failed"), (run.delete, "stop it before you delete it")):
        with pytest.raises(RunError, match=words):
            act()
    assert run.state == "running" and run.attempt == 1


def test_a_run_on_another_machine_lives_by_its_signs_of_life(going):
    run = going()
    process = run.process
    run.stop()
    (run.path / "ended.json").unlink()
    (run.path / "stop.json").unlink()
    elsewhere = replace(process, host="another machine", started="then").to_dict()
    write(run.path / "process.json", elsewhere | {"attempt": 1})
    assert run.state == "running"
    with pytest.raises(RunError, match="on another machine; stop it first"):
        run.begin()
    run.ask_stop()
    assert run.state == "stopping" and not run.press_stop(patience=0, grace=0)
    for file in run.path.iterdir():
        os.utime(file, (1e9, 1e9))
    assert run.state == "failed" and "nothing was heard from it for 120 s; it ran on another machine" in run.reason


RACE = """
import sys, time
from training.runs import run
from training.runs.runs import Runs
run.worker_command = lambda path: [sys.executable, sys.argv[2], str(path)]
spawn = run.spawn
run.spawn = lambda *arguments: time.sleep(0.3) or spawn(*arguments)  # time enough for the other to do the same
runs, until = Runs(sys.argv[1]), time.monotonic() + float(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
while time.monotonic() < until:
    runs.dispatch()
"""


def test_two_servers_start_every_run_once_and_never_two_on_a_device(runs, config, monkeypatch, until):
    made = [runs.create(config.having(device=device)) for device in ("cpu", "cpu", "cpu", "cuda", "cuda:0")]
    monkeypatch.setenv("VIT_FAKE", "quick")
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(runs.folder), str(FAKE), "60"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for server in servers:
            server.stdout.readline()
        for server in servers:
            server.stdin.write("go\n")
            server.stdin.flush()
        until(lambda: all(run.state == "finished" for run in made))
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    spans = {}
    for run in made:
        begun, ended = ((run.path / "attempts").read_text()).splitlines()
        assert run.attempt == 1 and begun.split()[0] == str(run.process.pid)
        device = "cpu" if run.config.device == "cpu" else "cuda:0"
        spans.setdefault(device, []).append((float(begun.split()[1]), float(ended.split()[1])))
    for taken in spans.values():
        taken.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(taken))


def test_a_server_killed_while_it_holds_the_lock_does_not_hold_up_the_next(runs, config):
    program = f"""
import time
from pathlib import Path
from training.storage.jsonfile import locked
with locked(Path({str(runs.folder)!r}) / ".lock"):
    print("held", flush=True)
    time.sleep(60)
"""
    run = runs.create(config)
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    assert runs.dispatch() == [] and run.state == "queued"
    holder.kill()
    holder.communicate()
    assert runs.dispatch() == [run] and run.state == "running"


def test_a_restarted_server_finds_its_worker_and_stops_it(runs, config, until):
    """The first server is another process, killed; to the second the worker is no child."""
    run = runs.create(config)
    server = subprocess.Popen(
        [sys.executable, "-c", RACE, str(runs.folder), str(FAKE), "60"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    server.stdin.write("go\n")
    server.stdin.flush()
    until(lambda: run.state == "running" and run.progress.get("step", 0) > 2)
    server.send_signal(signal.SIGKILL)
    server.communicate()
    step, again = run.progress["step"], Runs(runs.folder).get(run.id)
    until(lambda: again.progress["step"] > step)
    assert again.state == "running" and again.stop().state == "stopped"


def test_the_dispatcher_starts_what_is_queued_and_ends_with_its_server(runs, config, until):
    dispatcher = Dispatcher(runs, seconds=0.02)
    dispatcher.start()
    run = runs.create(config)
    until(lambda: run.state == "running")
    run.ask_stop()
    until(lambda: run.state == "stopped")
    dispatcher.close()
    assert not dispatcher.is_alive() and dispatcher.daemon


def test_the_dispatcher_survives_a_folder_that_is_no_folder(tmp_path, capsys, until):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / ".lock").mkdir()
    dispatcher = Dispatcher(Runs(tmp_path / "runs"), seconds=0.01)
    dispatcher.start()
    said = []
    until(lambda: said.append(capsys.readouterr().out) or "".join(said))
    assert dispatcher.is_alive()
    dispatcher.close()
    assert "".join(said).count("\n") == 1, "said once, not every second"


def test_killed_at_any_moment_and_resumed_it_keeps_counting(runs, config, kill, until):
    run = runs.create(config)
    for attempt in range(1, 6):
        assert run.start_queued()
        until(lambda: (run.path / "attempts").exists())
        time.sleep(0.03 * attempt)
        kill(run.process.pid)
        until(lambda: run.state == "failed")
        run.resume()
    assert run.attempt == 5
    steps = [event.step for event in fold(run.events()[0])]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("guest", [True, False])
def test_a_guests_worker_has_no_token_of_this_computer(runs, config, until, monkeypatch, guest):
    monkeypatch.setenv("HF_TOKEN", "hf_host")
    monkeypatch.setenv("VIT_FAKE", "quick")
    run = runs.create(config, guest=guest)
    run.start()
    until(lambda: run.state in ("stopped", "finished", "failed"))
    text, _ = run.log()
    assert ("token '' 1" in text) == guest and ("hf_host" in text) != guest
