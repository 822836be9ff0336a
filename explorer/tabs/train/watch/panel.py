"""Watch: one run as it goes, chosen from those in sight; a link with ?run=ID opens it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.device import ZERO_GPU
from explorer.tabs.train.new.sources import data_source
from explorer.tabs.train.runs import slices as train_slices
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.watch.view import TrainLiveView
from explorer.ui.errors import plain_errors
from explorer.ui.translation import translate_both
from explorer.ui.words import say, words
from training.runs.runs import Run

MOST_CHOICES = 200


@dataclass(frozen=True)
class Watch:
    access: RunAccess
    item: gr.Tab
    selected: gr.State
    choice: gr.Dropdown
    refresh: gr.Button
    view: TrainLiveView
    go_on: gr.Button  # in slices, on ZeroGPU alone
    told: gr.Markdown  # how that goes
    place: gr.Textbox  # where its data are now
    changed: gr.Checkbox  # whether it goes on with changed data
    with_data: gr.Button

    def show(self, run: Run, request: gr.Request | None) -> list:
        """Values for `choice`, `view` and `selected` that open this run, which is no choice where a link opened it."""
        choice = gr.Dropdown(self.choices(request), value=run.id, allow_custom_value=True)
        return [choice, opened(self.access, run, request), run.id]

    def choices(self, request: gr.Request | None) -> list[tuple[str, str]]:
        return [(described(run, request), run.id) for run in self.access.list(request)[:MOST_CHOICES]]

    def find(self, run_id: Any, request: gr.Request | None, ticket: Any = "") -> Run:
        """The run, or ValueError in the visitor's language."""
        try:
            return self.access.get(run_id, request, ticket=ticket if isinstance(ticket, str) else "")
        except LookupError as error:
            raise ValueError(say(request, "train_gone")) from error

    def resume(
        self, value: dict | None, request: gr.Request | None, place: str | None = None, changed: bool = False
    ) -> list:
        """The live view's run goes on, for who may see it, if by its link, and use this computer; then `show`.
        `place`: where its data are now; `changed`: whether it goes on with them though they have changed."""
        value = value or {}
        other = bool(place or changed)  # a link is for watching, stopping and resuming a run as it is
        run = self.find(value.get("run"), request, None if other else value.get("ticket"))
        self.access.check_start(request)
        named = (place or "").strip()
        data = data_source(named, None, self.access.is_open(request), request) if named else None
        train_slices.resume(run, self.access, request, data=data, changed_data=bool(changed))
        return self.show(run, request)


def build_watch(access: RunAccess, selected: gr.State) -> Watch:
    """`selected`: the id of the run that all views of the tab show, or None."""
    with gr.Tab(words("train_watch"), id="watch", elem_id="tab-watch") as item:
        with gr.Row(elem_id="watch-bar"):
            choice = gr.Dropdown(
                [],
                value=None,
                label=words("train_runs"),
                info=words("train_runs_info"),
                allow_custom_value=True,  # choices that were set at run time are lost by a restart of the server
                scale=4,
                min_width=300,
                elem_id="watch-run",
            )
            refresh = gr.Button(words("train_refresh"), size="sm", scale=0, min_width=150, elem_id="watch-refresh")

        go_on = gr.Button(words("slices_go_on"), visible=ZERO_GPU, size="sm", elem_id="slices-go-on")
        told = gr.Markdown(elem_id="slices-status")
        view = TrainLiveView(find=access.find, told=translate_both, elem_id="live")
        with gr.Accordion(words("train_data_title"), open=False, visible=not ZERO_GPU, elem_id="watch-data"):
            gr.Markdown(words("train_data_info"), elem_classes="subdued")
            place = gr.Textbox(
                label=words("train_data_place"),
                info=words("train_data_place_info"),
                max_lines=1,
                elem_id="watch-data-place",
            )
            changed = gr.Checkbox(False, label=words("train_data_changed"), elem_id="watch-data-changed")
            with_data = gr.Button(words("train_data_resume"), size="sm", elem_id="watch-data-resume")
    return Watch(access, item, selected, choice, refresh, view, go_on, told, place, changed, with_data)


def wire_watch(watch: Watch) -> None:
    quiet: dict[str, Any] = {
        "api_visibility": "private",
        "show_progress": "hidden",
    }  # queued, or their errors would not be shown

    shown = [watch.choice, watch.view, watch.selected]

    @plain_errors
    def choose(request: gr.Request, run_id: str | None):
        return watch.show(watch.find(run_id, request), request) if run_id else [gr.skip() for _ in shown]

    @plain_errors
    def follow(request: gr.Request, run_id: str | None, value: dict | None):
        """Another view has opened a run, or closed the one in sight. `selected` is not written: while this is on its
        way another run may be opened, and its own `change` comes after."""
        if run_id == (value or {}).get("run"):
            return [gr.skip(), gr.skip()]
        if run_id:
            return watch.show(watch.find(run_id, request), request)[:2]
        return [gr.Dropdown(watch.choices(request), value=None), None]

    def look(request: gr.Request, run_id: str | None, value: dict | None):
        """The list as it is now; the newest run where none is in sight yet."""
        choices = watch.choices(request)
        if run_id or (value or {}).get("run") or not choices:  # `follow` shows what another view has opened
            return [gr.Dropdown(choices), gr.skip(), gr.skip()]
        return watch.show(watch.find(choices[0][1], request), request)

    def renamed(request: gr.Request):
        """The choices name the state of each run."""
        return gr.Dropdown(watch.choices(request))

    @plain_errors
    def resume(request: gr.Request, value: dict | None):
        return watch.resume(value, request)

    in_turn = {"concurrency_id": "watch", "concurrency_limit": 1}  # what was chosen last comes last
    # Not `always_last`: a later choice, kept back, would be read when this one has been put in its place
    watch.choice.input(choose, watch.choice, shown, trigger_mode="multiple", **in_turn, **quiet)
    watch.selected.change(follow, [watch.selected, watch.view], shown[:2], **in_turn, **quiet)
    for event in (watch.refresh.click, watch.item.select):
        event(look, [watch.selected, watch.view], shown, queue=False, **quiet)

    @plain_errors
    def resume_with(request: gr.Request, value: dict | None, place: str | None, changed: bool):
        return [*watch.resume(value, request, place, changed), "", False]

    watch.view.resume(resume, watch.view, shown, **quiet)
    given = [watch.view, watch.place, watch.changed]
    watch.with_data.click(resume_with, given, [*shown, watch.place, watch.changed], trigger_mode="once", **quiet)
    watch.view.moved(renamed, None, watch.choice, queue=False, **quiet)


def opened(access: RunAccess, run: Run, request: gr.Request | None) -> dict:
    """The live view's value for who may see this run."""
    return {
        "run": run.id,
        "ticket": access.ticket(run),
        "secret": not access.is_open(request),
        "state": run.state,
        "seq": time.time_ns(),
    }


def described(run: Run, request: gr.Request | None) -> str:
    created = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.created))
    return say(request, "train_run_choice", name=run.name, state=say(request, f"state_{run.state}"), created=created)
