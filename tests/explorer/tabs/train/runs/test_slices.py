"""ZeroGPU on the page: the cost first, a run in slices while somebody listens, and nothing that would train without."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from explorer.tabs.train.runs.slices import driven, takes_paths
from tests.explorer.tabs.train.run_folders import write_pictures
from training.config import RunConfig

ROOT = Path(__file__).parents[5]

SPACES = '''
"""A stand-in for Hugging Face's package that does what its documentation says of ZeroGPU: each call of a decorated
function runs in a forked, daemonic process; what it returns or yields is pickled."""
import inspect, multiprocessing

CALLS = []

def GPU(function=None, duration=60):
    if function is None:
        return lambda decorated: GPU(decorated, duration)

    def work(pipe, arguments):
        made = function(*arguments)
        for value in made if inspect.isgenerator(made) else [made]:
            pipe.send(("value", value))
        pipe.send(("end", None))

    def values(*arguments):
        seconds = duration(*arguments) if callable(duration) else duration
        CALLS.append((function.__name__, seconds))
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, arguments), daemon=True)
        process.start()
        while (message := here.recv())[0] == "value":
            yield message[1]
        process.join()

    return values if inspect.isgeneratorfunction(function) else lambda *arguments: next(values(*arguments))
'''

VISIT = """
import json, sys, torch
torch.set_num_threads(1)
from types import SimpleNamespace
import gradio as gr, spaces
from explorer.tabs.train import tab as train
from explorer.tabs.train.runs.access import OWNER_COOKIE
from training.runs.runs import Runs

with gr.Blocks() as demo:
    with gr.Tabs() as strip:
        tab = train.build(False, None)
    tab.wire(demo, strip)
listeners = {fn.fn.__name__: fn.fn for fn in demo.fns.values() if fn.fn}
ids = {getattr(block, "elem_id", None) for block in demo.blocks.values()}
found = {"ids": sorted(ids & {"start", "slices-cost", "slices-start", "slices-go-on"})}

class Visitor(gr.Request):  # what plain_errors looks for
    def __init__(self):
        super().__init__()
        self.cookies, self.headers, self.query_params = {OWNER_COOKIE: "s" * 40}, {}, {}
        self.request = None

boxes = {"data": "upload:mine.zip", "archive": sys.argv[1],
         "width": "16", "depth": "1", "heads": "2", "patch_size": "8", "resolution": "16",
         "batch": "16", "eval_every": "5", "length": "12", "log_every": "1", "held_out": "0.1"}
names = {id(box): name for name, box in tab.form.boxes.items()}
names |= {id(tab.form.data): "data", id(tab.form.archive): "archive", id(tab.form.length): "length"}
values = [boxes.get(names.get(id(box)), box.value) for box in tab.form.inputs]
visitor = Visitor()

def refusal(name, *arguments):
    try:
        made = listeners[name](visitor, *arguments)
        list(made)
    except gr.Error as error:
        return str(error.message)

found["too early"] = refusal("begin_in_slices", "", *values)
told, button, seen = listeners["measure_cost"](visitor, *values)
found |= {"cost": told, "measured": list(spaces.CALLS)}
changed = [("13" if value == "12" else value) for value in values]
found["changed"] = refusal("begin_in_slices", seen, *changed)
found["runs before"] = len(Runs().list())
steps = list(listeners["begin_in_slices"](visitor, seen, *values))
(run,) = Runs().list()
found |= {"said": [step[-1] for step in steps], "state": run.state, "asked": spaces.CALLS[1:], "owner": run.owner}
found["api"] = refusal("start_run", "scratch-tiny", "{}", "", "k" * 30)
from explorer.tabs.train.runs.slices import resume
try:
    resume(run)
except ValueError as error:
    found["resume"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.skipif(os.name != "posix", reason="ZeroGPU forks, which Windows cannot")
def test_a_visit_on_zero_gpu(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "spaces.py").write_text(SPACES)
    write_pictures(tmp_path / "mine", ("ant", "bee"), each=20)
    archive = shutil.make_archive(str(tmp_path / "mine"), "zip", tmp_path / "mine")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "lib"), str(ROOT)]), "SPACES_ZERO_GPU": "1",
        "SPACE_ID": "ann/copy", "VIT_EXPLORER_RUNS": str(tmp_path / "runs"),
        "VIT_EXPLORER_DATA": str(tmp_path / "data"),
        "VIT_EXPLORER_ALLOW_TRAINING": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", VISIT, archive], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["ids"] == ["slices-cost", "slices-go-on", "slices-start"], "and no Start that would queue a worker"
    assert "The form has changed" in found["too early"] and "The form has changed" in found["changed"]
    assert found["measured"] == [["_measure", 60]] and "**1 slices of 60 s**" in found["cost"]
    assert found["runs before"] == 0
    assert found["state"] == "finished" and found["owner"].startswith("key:")
    assert found["asked"] == [["one_slice", 60]]
    name = "scratch-tiny"
    assert found["said"] == [
        f"{name}: preparing the data, without a GPU",
        f"{name}: waiting for a GPU for slice 1",
        f"{name}: slice 1 is training. Keep this page open.",
        f"{name}: finished. ",
    ]
    assert "start it from the page" in found["api"]
    assert found["resume"].startswith("on ZeroGPU a run goes on while a page is open")


def test_what_a_visitor_names_on_the_hub_is_never_fetched_with_the_hosts_token():
    """`local_paths` stands for the token too."""
    for data, model, paths in (
        ("shapes", "bundled", True),
        ("/runs/uploads/abc/mine.zip", "new:scratch-vit4", True),
        ("hf:ann/birds", "bundled", False),
        ("/runs/uploads/abc/mine.zip", "hf-hub:ann/private", False),
    ):
        assert takes_paths(RunConfig(steps=1, data=data, model=model)) == paths


class Steps:
    """An iterator that notes where and when it is closed."""

    def __init__(self, count, fault=None):
        self.count, self.fault, self.given = count, fault, 0
        self.closed, self.by = threading.Event(), None

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == self.count:
            raise self.fault or StopIteration
        self.given += 1
        return self.given

    def close(self):
        self.by = threading.current_thread().name
        self.closed.set()


def test_driven_steps_arrive_in_order_and_are_closed_by_their_own_thread():
    steps = Steps(5)
    assert list(driven(steps)) == [1, 2, 3, 4, 5]
    assert steps.closed.wait(10) and steps.by == "slices"


def test_a_visitor_who_leaves_does_not_wait_for_the_checkpoint():
    steps = Steps(10**9)
    going = driven(steps)
    assert next(going) == 1
    going.close()
    assert steps.closed.wait(10) and steps.given < 10


def test_steps_that_nobody_asks_for_any_more_are_given_up():
    """Gradio may keep the generator of a visitor who has left, neither asking nor closing it."""
    steps = Steps(10**9)
    going = driven(steps, patience=0.05)
    next(going)
    assert steps.closed.wait(10)
    going.close()


def test_what_goes_wrong_arrives():
    going = driven(Steps(1, ValueError("no such data")))
    assert next(going) == 1
    with pytest.raises(ValueError, match="no such data"):
        next(going)
