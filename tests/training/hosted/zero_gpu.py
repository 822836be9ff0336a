"""`python zero_gpu.py FOLDER`: runs in slices on a stand-in for ZeroGPU, each way that a visit can go; prints what
happened as JSON. A process of its own, as forking is safe only where no pool of threads has begun."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

torch.set_num_threads(1)

from training.config import RunConfig  # noqa: E402
from training.hosted import slices  # noqa: E402
from training.loop.loop import train  # noqa: E402
from training.runs.runs import Run, RunError  # noqa: E402

FORK = multiprocessing.get_context("fork")
TIMED = ("images_per_second", "memory_bytes", "waiting")
CONFIG = RunConfig(
    recipe="scratch-tiny", model="new:scratch-vit4", width=16, depth=1, heads=2, patch_size=8,
    resolution=16, head_init="random", optimizer="adamw", lr=1e-3, batch=16, steps=12, warmup=2, clip=1.0,
    log_every=1, eval_every=5, held_out=0.1, ema=0.9, mixup=0.3, device="cpu", workers=2, compile=True,
)  # fmt: skip


class ZeroGpu:
    """What its documentation says, as a decorator: each call in a forked daemonic process, the generator in a thread
    there, what it yields by a pipe, closing waits for it. `steps`: events after which a call's deadline has come (a
    clock would make the tests depend on this machine's speed). `abort_after`: events after which a call is killed."""

    def __init__(self, steps=None, abort_after=(), quota=None):
        self.steps, self.abort_after, self.quota = steps, list(abort_after), quota
        self.asked, self.pids = [], []

    def __call__(self, function, duration):
        def call(*arguments):
            self.asked.append(duration(*arguments))
            if self.quota is not None and len(self.pids) >= self.quota:
                raise RuntimeError("You have exceeded your GPU quota")
            abort = self.abort_after.pop(0) if self.abort_after else None
            here, there = FORK.Pipe()
            process = FORK.Process(target=self._work, args=(there, function, arguments), daemon=True)
            process.start()
            there.close()
            self.pids.append(process.pid)
            events = 0
            try:
                while True:
                    kind, value = here.recv()
                    if kind == "end":
                        break
                    yield value
                    events += "event" in value
                    if abort is not None and events >= abort:
                        process.kill()
                        raise RuntimeError("GPU task aborted")
            except EOFError:
                raise RuntimeError("GPU task aborted") from None
            finally:
                process.join()

        return call

    def _work(self, pipe, function, arguments):
        left = self.steps
        if left is not None:
            slices.time = SlowClock(left)

        def iterate():
            for value in function(*arguments):
                pipe.send(("value", value))
            pipe.send(("end", None))

        with ThreadPoolExecutor() as pool:
            pool.submit(iterate).result()


class SlowClock:
    """A clock by which a deadline comes after so many looks at it: the loop looks once before each step."""

    def __init__(self, looks):
        self.looks = looks
        import training.loop.loop

        training.loop.loop.time = self
        self.real = time

    def monotonic(self):
        import inspect

        caller = inspect.currentframe().f_back
        if caller.f_code.co_name == "_go":
            self.looks -= 1
            return float("inf") if self.looks < 0 else 0.0
        return self.real.monotonic()

    def strftime(self, *words):
        return self.real.strftime(*words)


def write_pictures(folder: Path) -> Path:
    """Two classes by colour: 48 pictures to train on, 8 to test with."""
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 4)):
        for name, channel in (("red", 0), ("blue", 2)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 160, (16, 16, 3), dtype=np.uint8)
                pixels[..., channel] += 60
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


def curve(run):
    return [
        [event.split, event.step, {name: value for name, value in event.values.items() if name not in TIMED}]
        for event in run.curve()
    ]


def visit(run, gpu, seconds=60, leave_after=None):
    """The messages of one visit; left after so many events."""
    told, events = [], 0
    steps = slices.train_in_slices(run, gpu=gpu, seconds=seconds)
    for message in steps:
        told.append({**message, "state_on_disk": run.state})
        events += message["event"] is not None
        if leave_after is not None and events >= leave_after:
            steps.close()
            break
    return told


def main(folder: Path) -> dict:
    found: dict = {}
    config = CONFIG.having(data=str(write_pictures(folder / "pictures")))
    whole = Run.create(folder / "whole", config)
    with no_backward_here():
        found |= in_slices(folder, config, whole)
    plain = Run.create(folder / "plain", config)
    found["plain"] = [m["phase"] for m in visit(plain, lambda function, seconds: function)][-1], curve(plain)
    return found


@contextmanager
def no_backward_here():
    """This process runs no backward pass: on a machine with CUDA, those that it forks then could not run any."""
    backward, here = torch.autograd.backward, os.getpid()

    def elsewhere(*arguments, **words):
        assert os.getpid() != here, "a process that has run a backward pass forks none that can, where there is CUDA"
        return backward(*arguments, **words)

    torch.autograd.backward = elsewhere
    try:
        yield
    finally:
        torch.autograd.backward = backward


def train_apart(run, config):
    """Train in a process of its own."""

    def work():
        for _ in train(run, config):
            pass

    process = FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0


def in_slices(folder: Path, config: RunConfig, whole: Run) -> dict:
    found: dict = {}
    train_apart(whole, config.having(workers=0, compile=False))
    found["whole"] = curve(whole)

    run = Run.create(folder / "sliced", config)
    gpu = ZeroGpu(steps=5)
    told = visit(run, gpu)
    found["sliced"] = {
        "curve": curve(run),
        "told": told,
        "state": run.state,
        "asked": gpu.asked,
        "others": os.getpid() not in gpu.pids and len(set(gpu.pids)),
        "log": run.log()[0],
        "data": run.read("data.json").get("parts", {}).get("train", {}).get("count"),
        "results": (run.path / "results/test.json").is_file(),
    }

    run = Run.create(folder / "killed", config)
    told = visit(run, ZeroGpu(steps=6, abort_after=[2, 7]))
    found["killed"] = {"curve": curve(run), "told": told, "log": run.log()[0]}

    run = Run.create(folder / "left", config)
    visit(run, ZeroGpu(steps=50), leave_after=3)
    found["left"] = {"state": run.state, "reason": run.reason, "last": run.last.step, "process": run.process is None}
    told = visit(run, ZeroGpu(steps=50))
    found["left"] |= {"curve": curve(run), "end": told[-1], "attempt": run.attempt}

    run = Run.create(folder / "quota", config)
    told = visit(run, ZeroGpu(steps=4, quota=2))
    found["quota"] = {"end": told[-1], "state": run.state, "last": run.last.step}
    found["quota"]["after"] = visit(run, ZeroGpu(steps=4))[-1]["state"]
    found["quota"]["curve"] = curve(run)

    run = Run.create(folder / "stopped", config)
    steps = slices.train_in_slices(run, gpu=ZeroGpu(steps=50))
    told = []
    for message in steps:
        told.append(message)
        if message["event"] and message["event"]["step"] == 2:
            try:
                next(slices.train_in_slices(run, gpu=ZeroGpu()))
            except RunError as error:
                found["twice"] = str(error)
            run.ask_stop()
            found["pressed"] = [run.press_stop(patience=0, grace=0) for _ in range(3)]  # this process must survive
    found["stopped"] = {"end": told[-1], "state": run.state, "last": run.last.step}

    run = Run.create(folder / "short", config)
    told = visit(run, ZeroGpu(steps=0))
    found["short"] = {"end": told[-1], "slices": told[-1]["slice"], "state": run.state}

    run = Run.create(folder / "broken", config.having(batch=4096))
    found["broken"] = {"end": visit(run, ZeroGpu())[-1], "state": run.state}

    run = Run.create(folder / "nowhere", config.having(data="/nowhere"))
    gpu = ZeroGpu()
    found["nowhere"] = {"end": visit(run, gpu)[-1], "asked": gpu.asked}

    run = Run.create(folder / "sweep", config.having(steps=4, eval_every=2), sweep=(1e-3, 1e-2))
    told = visit(run, ZeroGpu(steps=3))
    found["sweep"] = {"end": told[-1], "told": run.read("sweep.json"), "last": run.last.step}
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
