"""Training on ZeroGPU from the page: its cost is said beforehand, then slice follows slice while the page is open."""

from __future__ import annotations

import contextvars
import hashlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.device import ZERO_GPU, on_gpu
from explorer.tabs.train.runs.access import RunAccess
from explorer.ui.translation import translate
from explorer.ui.words import language_of, say, words
from training.config import RunConfig
from training.data.datasets import HUB, open_dataset
from training.hosted.slices import SECONDS, slices_needed, train_in_slices
from training.loop.build import NEW, RESNET
from training.loop.preflight import Preflight, preflight
from training.runs.runs import Run, RunError
from vit_model.checkpoints.zoo import HUB_PREFIX, fetch
from vit_model.errors import CodedError
from vit_model.messages import message, message_of

PATIENCE = 30.0  # seconds in which nobody asks for the next message before a visitor counts as gone


@dataclass(frozen=True)
class SliceButtons:
    """What stands in place of Start on ZeroGPU. `seen`: of which run the cost was told."""

    measure: gr.Button
    start: gr.Button
    cost: gr.Markdown
    seen: gr.State


def build_slices() -> SliceButtons:
    """Inside an open tab, below the form."""
    gr.Markdown(words("slices_info"), elem_classes="subdued")
    with gr.Row():
        measure = gr.Button(words("slices_measure"), variant="primary", scale=0, min_width=260, elem_id="slices-cost")
        start = gr.Button(words("slices_start"), interactive=False, scale=0, min_width=220, elem_id="slices-start")
    return SliceButtons(measure, start, gr.Markdown(elem_id="slices-told"), gr.State(""))


def cost_of(config: RunConfig, rates: tuple[float, ...] = (), guest: bool = True) -> tuple[int, float]:
    """(slices, seconds of GPU time) that the run will take; takes up to a slice to find out. ValueError with the reason
    where the run could not go."""
    local = takes_paths(config)
    open_dataset(config.data, local_paths=local, guest=guest)  # downloads cost no GPU time
    if not config.model.startswith((NEW, RESNET)):
        fetch(config.model, local_paths=local, token=False if guest else None)
    told = _dry_steps(config.having(workers=0, compile=False).to_dict(), local, guest)
    if "refused" in told:
        raise CodedError(told["refused"])
    return slices_needed(Preflight(**told["found"]), config, SECONDS, trials=len(rates))


def takes_paths(config: RunConfig) -> bool:
    """Whether files of this computer may be opened: uploads, as all else did not pass the form. Not together with what
    a visitor named on the Hub, which would be fetched with this Space's own token."""
    return not (config.data.startswith(HUB) or config.model.startswith(HUB_PREFIX))


def digest(config: RunConfig, rates: tuple[float, ...]) -> str:
    """Of what a cost was told for."""
    return hashlib.sha256(json.dumps([config.to_dict(), rates], sort_keys=True).encode()).hexdigest()


def trained(run: Run, request: gr.Request | None) -> Iterator[str]:
    """Trains the run in slices, as long as somebody listens; yields what to say of it, whenever that changes."""
    language, told = language_of(request), ""
    steps = train_in_slices(run, gpu=on_gpu, seconds=SECONDS, local_paths=takes_paths(run.config))
    for step in driven(steps):
        if step["phase"] == "ended":
            state, reason = say(request, f"state_{step['state']}"), translate(step["reason"], language)
            now = say(request, "slices_ended", name=run.name, state=state, reason=reason)
        else:
            now = say(request, f"slices_{step['phase']}", name=run.name, slice=step["slice"])
        if now != told:
            told = now
            yield now


def resume(run: Run, access: RunAccess | None = None, request: gr.Request | None = None, **changes: Any) -> None:
    """Queue a run for a process of its own; on ZeroGPU, where such a process gets no GPU, RunError says what to do.
    `access` and `request`: of the page that asks; BoundError where a visitor may not have more of this computer."""
    if ZERO_GPU:
        text = "on ZeroGPU a run goes on while a page is open: press the button below the list of runs"
        raise RunError(message("zero_gpu_resume", text))
    if access is None:
        run.resume(**changes)
    else:
        access.runs.resume(run, guest=not access.is_open(request), **changes)


def driven(steps: Iterator[Any], patience: float = PATIENCE) -> Iterator[Any]:
    """`steps`, run by a thread of their own, and closed there as soon as this generator is closed or nobody has asked
    it for the next for `patience` seconds. Closing them waits for a checkpoint: no event of a page may be kept that
    long, and Gradio does not promise to close a generator whose visitor has left."""
    told: queue.Queue = queue.Queue(1)
    left = threading.Event()

    def hand_over(kind: str, value: Any) -> None:
        late = time.monotonic() + patience
        while not left.is_set():
            try:
                told.put((kind, value), timeout=min(1.0, patience))
                return
            except queue.Full:
                if time.monotonic() > late:
                    left.set()

    def drive() -> None:
        try:
            for step in steps:
                hand_over("step", step)
                if left.is_set():
                    break
            hand_over("end", None)
        except BaseException as error:
            hand_over("error", error)
        finally:
            steps.close()

    context = contextvars.copy_context()  # by which ZeroGPU knows whose quota it is
    thread = threading.Thread(target=context.run, args=(drive,), name="slices", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = told.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        left.set()


def _measure(config: dict[str, Any], local_paths: bool, guest: bool) -> dict[str, Any]:
    try:
        return {"found": preflight(RunConfig.from_dict(config), local_paths=local_paths, guest=guest).to_dict()}
    except Exception as error:  # on the way to the page it would lose its kind
        return {"refused": message_of(error)}


_dry_steps = on_gpu(_measure, SECONDS)
