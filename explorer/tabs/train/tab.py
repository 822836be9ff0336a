"""The Train tab: a new run, one that is watched, all that were made, and what came of them."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from explorer.device import ZERO_GPU, best_device, on_space
from explorer.tabs.train import api as train_api
from explorer.tabs.train.history import panel as train_history
from explorer.tabs.train.new import jobs as train_jobs
from explorer.tabs.train.new.boxes import build_form
from explorer.tabs.train.new.form import Filled, Form, in_words, wire_form
from explorer.tabs.train.new.preflight.panel import Check, build_check, wire_check
from explorer.tabs.train.new.sources import UPLOAD, kept
from explorer.tabs.train.results import panel as train_results
from explorer.tabs.train.results.panel import Explorer
from explorer.tabs.train.runs.access import NOBODY, RunAccess, owner_of
from explorer.tabs.train.runs.slices import SliceButtons, build_slices, cost_of, digest, trained
from explorer.tabs.train.watch.panel import Watch, build_watch, wire_watch
from explorer.ui.errors import plain_errors
from explorer.ui.words import say, words
from training.config import ConfigError
from training.hosted.slices import SECONDS
from training.runs import bounds
from training.runs.runs import Dispatcher, Run, Runs


@dataclass(frozen=True)
class TrainTab:
    """Built inside the page's tabs; `wire` gives it life once the page is whole."""

    access: RunAccess
    item: gr.Tab
    inner: gr.Tabs
    form: Form
    check: Check
    start: gr.Button | SliceButtons  # the latter on ZeroGPU
    watch: Watch
    opened: Dependency  # of a run, in the history

    def wire(self, demo: gr.Blocks, tabs: gr.Tabs) -> None:
        wire_form(self.form, demo)
        wire_check(self.check, self.form)
        wire_watch(self.watch)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        shown = [self.inner, self.watch.choice, self.watch.view, self.watch.selected]

        @plain_errors
        def begin(request: gr.Request, *values):
            return [gr.Tabs(selected="watch"), *self.watch.show(create(self.form, request, values), request)]

        @plain_errors
        def permalink(request: gr.Request):
            """?run=ID, with ?ticket=... where a link was given away, opens that run."""
            asked = request.query_params
            if not asked.get("run"):
                return [gr.skip() for _ in range(1 + len(shown))]
            run = self.watch.find(asked["run"], request, asked.get("ticket", ""))
            return [gr.Tabs(selected="train"), gr.Tabs(selected="watch"), *self.watch.show(run, request)]

        if isinstance(self.start, SliceButtons):
            self._wire_slices(self.start, shown)
        else:
            self.start.click(begin, self.form.inputs, shown, concurrency_limit=4, trigger_mode="once", **quiet)
        self.opened.success(lambda: gr.Tabs(selected="watch"), None, self.inner, queue=False, **quiet)
        train_api.endpoints(self.access)
        demo.load(permalink, None, [tabs, *shown], **quiet)  # queued, or its error would not be shown

    def _wire_slices(self, buttons: SliceButtons, shown: list) -> None:
        """On ZeroGPU: the cost first, then the run, for as long as its visitor stays."""
        form, watch = self.form, self.watch

        def filled_by(request: gr.Request, values: tuple) -> Filled:
            form.access.check_start(request)
            try:
                return form.read(request, values)
            except ConfigError as error:
                raise ValueError(in_words(request, error)) from error

        @plain_errors
        def measure_cost(request: gr.Request, *values):
            filled = filled_by(request, values)
            slices, seconds = cost_of(filled.config, filled.rates, guest=not form.access.is_open(request))
            told = say(request, "slices_cost", slices=slices, each=SECONDS, seconds=math.ceil(seconds))
            return told, gr.Button(interactive=True), digest(filled.config, filled.rates)

        @plain_errors
        def begin_in_slices(request: gr.Request, seen: str, *values):
            filled = filled_by(request, values)
            if digest(filled.config, filled.rates) != seen:
                raise ValueError(say(request, "slices_changed"))
            yield from followed(create(form, request, values, queue=False), request)

        @plain_errors
        def go_on_in_slices(request: gr.Request, run_id: str | None):
            form.access.check_start(request)
            run = watch.find(run_id, request)
            if not form.access.is_open(request):
                bounds.VISITOR.check_resume(run, form.access.runs.list())
            yield from followed(run, request)

        def followed(run: Run, request: gr.Request):
            opening = [gr.Tabs(selected="watch"), *watch.show(run, request)]
            for told in trained(run, request):
                yield [*opening, told]
                opening = [gr.skip() for _ in opening]

        told: dict[str, Any] = {
            "api_visibility": "private",
            "show_progress": "hidden",
            "concurrency_limit": 16,
            "trigger_mode": "once",
        }
        found = [buttons.cost, buttons.start, buttons.seen]
        buttons.measure.click(measure_cost, form.inputs, found, api_visibility="private", concurrency_limit=2)
        buttons.start.click(begin_in_slices, [buttons.seen, *form.inputs], [*shown, watch.told], **told)
        watch.go_on.click(go_on_in_slices, watch.selected, [*shown, watch.told], **told)


def _login() -> None:
    """The button; in its place words where the packages that Gradio's needs are not installed, for it would raise."""
    if all(find_spec(package) for package in ("authlib", "itsdangerous")):
        gr.LoginButton(words("train_login_button"), size="sm", elem_id="login")
        return
    advice = "add gradio[oauth] to this Space's requirements.txt"
    print(f"app.py: nobody can log in here: {advice}", file=sys.stderr, flush=True)
    gr.Markdown(words("train_login_missing"), elem_id="login")


def build(loopback: bool, explorer: Explorer | None) -> TrainTab:
    """`loopback`: whether the server listens to this computer alone. `explorer`: where a picture of the results opens;
    None where nothing beside this tab shows pictures."""
    access = RunAccess(Runs(), loopback)
    with gr.Tab(words("tab_train"), id="train", elem_id="tab-train") as item:
        selected = gr.State(None)  # the id of the run that all parts show; in here, as Gradio's tabs may hold only tabs
        if on_space() and "OAUTH_CLIENT_ID" in os.environ:  # set where the Space's README says hf_oauth: true
            _login()
        with gr.Tabs(selected="new", elem_id="train-tabs") as inner:
            with gr.Tab(words("train_new"), id="new", elem_id="tab-new"):
                form = build_form(access)
                check = build_check()
                start = build_slices() if ZERO_GPU else _start_button()
                train_jobs.build(form)
                with gr.Accordion(words("what"), open=False):
                    gr.Markdown(words("about_train"), elem_classes="about")
            watch = build_watch(access, selected)
            with gr.Tab(words("train_history"), id="history", elem_id="tab-history"):
                opened = train_history.build(access, selected)
            with gr.Tab(words("train_results"), id="results", elem_id="tab-results"):
                train_results.build(access, selected, explorer)
    return TrainTab(access, item, inner, form, check, start, watch, opened)


def _start_button() -> gr.Button:
    with gr.Row():
        return gr.Button(words("train_start"), variant="primary", scale=0, min_width=220, elem_id="start")


def create(form: Form, request: gr.Request | None, values: tuple, queue: bool = True) -> Run:
    """A queued run as the form says, of who asks. ValueError in the visitor's language where that cannot be."""
    form.access.check_start(request)
    try:
        filled = form.read(request, values)
    except ConfigError as error:
        raise ValueError(in_words(request, error)) from error
    runs, config, owner = form.access.runs, filled.config, owner_of(request)
    guest = not form.access.is_open(request)
    if guest:  # before an upload is kept for it
        uploaded = [
            Path(source)
            for source, name in ((config.data, filled.data), (config.model, filled.model))
            if name.startswith(UPLOAD)
        ]
        runs.check_guest(config, owner, filled.rates, more=sum(map(bounds.size_of, uploaded)))
    if filled.data.startswith(UPLOAD):
        config = replace(config, data=kept(config.data, runs))
    if filled.model.startswith(UPLOAD):
        config = replace(config, model=kept(config.model, runs))
    return runs.create(
        config,
        owner=None if owner == NOBODY else owner,
        name=filled.name or None,
        sweep=filled.rates,
        guest=guest,
        queue=queue,
    )


def dispatcher() -> Dispatcher:
    """What starts the queued runs of the page and sees stops through; a thread, for whoever serves the page."""
    return Dispatcher(Runs(), lambda device: str(best_device()) if device == "auto" else device)
