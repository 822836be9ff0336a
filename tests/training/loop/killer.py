"""`python killer.py RUN_DIR KILLS SEED`: trains the run in forked processes and kills each with SIGKILL, half of them
while a checkpoint is being written, the others at any moment; then lets one finish. Prints one line a kill."""

import os
import random
import signal
import sys
import time

import torch

from training.loop.worker import work
from training.runs.runs import Run

torch.set_num_threads(1)  # so that forking is safe: no pool of threads has begun
run, kills, moments = Run(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
checkpoints = run.path / "checkpoints"


def writing() -> bool:
    return checkpoints.is_dir() and any(path.name.startswith(".step-") for path in checkpoints.iterdir())


def attempt() -> int:
    child = os.fork()
    if child == 0:
        log = os.open(run.path / "log.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1), os.dup2(log, 2)
        os._exit(work(run))
    return child


def told() -> int:
    """Events so far: counts steps, so that the moments do not depend on how fast this machine is."""
    events = run.path / "events.jsonl"
    return events.read_bytes().count(b"\n") if events.exists() else 0


for kill in range(kills):
    before, began, child = told(), time.monotonic(), attempt()
    in_writing, steps, wait = kill % 2 == 0, moments.randrange(6), moments.uniform(0, 0.4)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        far = told() >= before + steps if steps else time.monotonic() >= began + wait  # no step: perhaps in loading
        if far and (writing() or not in_writing):
            time.sleep(moments.choice([0, 0, 0.001, 0.003]))
            caught = writing()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print(f"killed {'in writing' if caught else 'elsewhere'}", flush=True)
            break
    else:
        print("it ended before it was killed", flush=True)
        sys.exit(3)
child = attempt()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
