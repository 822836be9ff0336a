"""Stands in for a training process: takes hold of the run, counts steps, heeds stops. `python fake_worker.py RUN_DIR`.

VIT_FAKE: words that change it. "deaf" heeds neither stop.json nor SIGTERM; "slow" writes its last checkpoint once a
file `hurry` is there; "crash" fails with a word; "child" leaves a child behind that ignores SIGTERM; "quick" finishes
at once; "lingers" stays after it has said that it ended, until a file `leave` is there.
"""

import json
import os
import signal
import subprocess
import sys
import time

from training.runs.metrics import MetricEvent, append_events
from training.runs.runs import Run

run, words = Run(sys.argv[1]), os.environ.get("VIT_FAKE", "").split()
run.begin()
print("begun", os.getpid(), flush=True)
print("token", repr(os.environ.get("HF_TOKEN")), os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN"), flush=True)
asked = []
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in words else lambda *_: asked.append(1))
if "crash" in words:
    print("loading\nthe \x1b[31mdata\x1b[0m were not there", b"\xff".decode("latin1"), flush=True)
    os._exit(3)
if "child" in words:
    ignoring = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('child', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    (run.path / "child").write_text(str(child.pid))
past = run.path / "step"
step = int(past.read_text()) if past.exists() else 0
with open(run.path / "attempts", "a") as file:
    file.write(f"{os.getpid()} {time.monotonic()}\n")
while not ("quick" in words or ("deaf" not in words and (asked or run.stop_requested()))):
    step += 1
    append_events(run.path / "events.jsonl", [MetricEvent(step, step / 10, step / 20, "train", {"loss": 1 / step})])
    run.write_progress({"step": step, "steps": 1000})
    past.write_text(str(step))
    time.sleep(0.02)
while "slow" in words and not (run.path / "hurry").exists():
    time.sleep(0.02)
folder = run.path / "checkpoints" / f"step-{step:08d}"
folder.mkdir(parents=True, exist_ok=True)
for name in ("config.json", "model.safetensors", "preprocessor_config.json", "state.json"):
    (folder / name).write_text(json.dumps({"step": step}))
with open(run.path / "attempts", "a") as file:
    file.write(f"end {time.monotonic()}\n")
run.end("finished" if "quick" in words else "stopped")
while "lingers" in words and not (run.path / "leave").exists():
    time.sleep(0.02)
