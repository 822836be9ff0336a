"""The Results part: confusion matrix, accuracy of each class, mistakes as pictures, the sweep, published numbers."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from explorer.session.scenes import get_model
from explorer.session.turns import check_wanted
from explorer.tabs.train.facts.facts import FactTable
from explorer.tabs.train.results import download as train_takeaway
from explorer.tabs.train.results.confusion.confusion import ConfusionView
from explorer.tabs.train.results.pictures.pictures import split_of
from explorer.tabs.train.results.pictures.view import PictureGrid
from explorer.tabs.train.results.sweep.sweep import SweepView
from explorer.tabs.train.results.values import evaluation_of, opens_on, pictures_value, results_values
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import checkpoint_of, choice_of, run_of
from explorer.tabs.train.runs.evaluation import Evaluation
from explorer.tabs.train.runs.numbers import result_numbers, sweep_numbers
from explorer.ui.errors import plain_errors
from explorer.ui.manifest import saved_npz
from explorer.ui.model_picker import ModelPicker
from explorer.ui.translation import translate
from explorer.ui.words import language_of, say, say_both, words
from explorer.viewer.kit.files import written_once
from training.runs.results import SPLITS, whole
from training.runs.run import Run

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Explorer:
    """The parts of the page that show one picture by one model, which a click on a picture opens."""

    picture: Component
    picker: ModelPicker
    tabs: gr.Tabs
    tab: str = "attention"


def build(access: RunAccess, selected: gr.State, explorer: Explorer | None = None) -> None:
    """Build the Results part inside an open tab. `selected`: the id of the run to show, or None."""
    with gr.Row(elem_id="results-bar"):
        split = gr.Radio(
            [(words(f"results_{name}"), name) for name in SPLITS],
            value="val",
            label=words("results_split"),
            elem_id="results-split",
        )
        save = gr.Button(words("results_npz"), size="sm", scale=0, min_width=220, elem_id="results-npz")
        saved = gr.File(visible=False, label=words("download"), height=60, elem_id="results-file")
    matrix = ConfusionView({"stamp": "", "message": say_both("results_none")}, elem_id="results-matrix")
    query = gr.State(None)  # which pictures are shown: {"run", "split", "true", "predicted", "offset", "asked",
    # "fetch": whether its data may be downloaded for them}
    grid = PictureGrid(elem_id="results-pictures")
    published = FactTable(elem_id="results-published")
    sweep = SweepView(elem_id="results-sweep")
    saved_sweep = gr.File(visible=False, label=words("download"), height=60, elem_id="sweep-file")
    train_takeaway.build(access, selected)
    shown = [matrix, published, sweep, query]

    def refresh(request: gr.Request, run_id: str | None, split: str, event: gr.EventData):
        told = event._data.get("stamp") if isinstance(event._data, dict) else None
        return results_values(access, request, run_id, split, told)

    def switched(request: gr.Request, run_id: str | None, split: str):
        return results_values(access, request, run_id, split, None)

    def opened_run(request: gr.Request, run_id: str | None, split: str):
        opened = opens_on(access, request, run_id, split)
        values = results_values(access, request, run_id, opened, None)
        return opened if opened != split else gr.skip(), *values

    @plain_errors
    def cell(request: gr.Request, query: dict | None, event: gr.EventData):
        told = event._data if isinstance(event._data, dict) else {}
        if not query or told.get("split") != query["split"]:
            return gr.skip()
        chosen = {name: None if told.get(name) is None else whole(told[name]) for name in ("true", "predicted")}
        return query | chosen | {"offset": 0, "asked": True}

    @plain_errors
    def more(request: gr.Request, query: dict | None, event: gr.EventData):
        offset = whole(event._data.get("offset")) if isinstance(event._data, dict) else None
        return query | {"offset": max(offset or 0, 0), "asked": True} if query else gr.skip()

    @plain_errors
    def fetch(query: dict | None):
        return query | {"fetch": True, "asked": True} if query else gr.skip()

    @plain_errors
    def pictures(request: gr.Request, query: dict | None, progress=gr.Progress()):  # noqa: B008 - gradio's way
        return pictures_value(access, request, query, explorer is not None, _reporter(request, progress))

    @plain_errors
    def take_numbers(request: gr.Request, run_id: str | None, split: str):
        run = run_of(run_id, access, request)
        evaluation = evaluation_of(run, split, request)
        return gr.File(saved_npz(f"results-{evaluation.split}", *result_numbers(run, evaluation)), visible=True)

    @plain_errors
    def take_sweep(request: gr.Request, run_id: str | None):
        found = sweep_numbers(run_of(run_id, access, request))
        return gr.File(saved_npz("sweep", *found), visible=True) if found else gr.skip()

    matrix.refresh(refresh, [selected, split], shown, concurrency_limit=4, **QUIET)  # queued, for `query.change`
    # Not its `change`: `opened_run` would be followed by it
    split.input(switched, [selected, split], shown, trigger_mode="always_last", **QUIET)
    selected.change(opened_run, [selected, split], [split, *shown], **QUIET)
    matrix.cell(cell, query, query, trigger_mode="multiple", **QUIET)
    grid.more(more, query, query, trigger_mode="multiple", **QUIET)
    grid.fetch(fetch, query, query, trigger_mode="once", **QUIET)
    query.change(pictures, query, grid, api_visibility="private", show_progress="minimal", trigger_mode="always_last")
    save.click(take_numbers, [selected, split], saved, api_visibility="private", show_progress_on=saved)
    sweep.npz(take_sweep, selected, saved_sweep, api_visibility="private", show_progress_on=saved_sweep)
    if explorer is None:
        return

    @plain_errors
    def open_picture(request: gr.Request, query: dict | None, event: gr.EventData):
        position = whole(event._data.get("position")) if isinstance(event._data, dict) else None
        return _opened(access, request, query, position, explorer)

    picker = explorer.picker
    opened = grid.show(
        open_picture,
        query,
        [explorer.picture, picker.choice, picker.name, picker.size, explorer.tabs],
        api_visibility="private",
        concurrency_id="model",
        show_progress="minimal",
        show_progress_on=grid,
    )
    opened.success(None, js="() => window.scrollTo({top: 0, behavior: 'smooth'})", api_visibility="private")
    picker.also_chosen_by(opened)


def _opened(
    access: RunAccess, request: gr.Request, query: dict | None, position: int | None, explorer: Explorer
) -> list:
    """Open the picture and the model of one answer in the explorer. All of it is loaded before anything changes."""
    if not query:
        raise ValueError(say(request, "results_none"))
    run = run_of(query["run"], access, request)
    found = evaluation_of(run, query["split"], request)
    if found.answers is None or position is None or not 0 <= position < len(found.answers.index):
        raise ValueError(say(request, "results_gone"))
    picture = split_of(run, found).read(int(found.answers.index[position]))
    key = _answering(run, found, request)
    choice = choice_of(run, checkpoint_of(run, key, request), request)
    get_model(choice)
    if checkpoint_of(run, key, request).step != found.checkpoint:
        other = say(request, "results_open_other", step=found.checkpoint, name=choice.name)
        gr.Info(html.escape(other, quote=False), title=say(request, "toast_info"))
    file = io.BytesIO()
    picture.convert("RGB").save(file, "PNG", compress_level=1)
    path = written_once(file.getvalue(), "picture.png")
    picker = explorer.picker
    return [
        path,
        choice,
        picker.showing(picker.runs.name(run, key), request),
        "native",
        gr.Tabs(selected=explorer.tab),
    ]


def _answering(run: Run, found: Evaluation, request: gr.Request) -> str:
    """Name the checkpoint that gave these answers, or the nearest one that is left."""
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise ValueError(say(request, "results_open_missing"))
    if any(one.step == found.checkpoint for one in checkpoints):
        return f"step-{found.checkpoint}"
    return "best" if run.best else "last"


def _reporter(request: gr.Request, progress: gr.Progress):
    reading, language = say(request, "results_reading"), language_of(request)

    def report(done: int, total: int, text: str) -> None:
        check_wanted()
        progress(done / total if total else None, desc=f"{reading}: {translate(text, language)}" if text else reading)

    return report
