"""The Results part: confusion matrix, accuracy of each class, mistakes as pictures, the sweep, what was published."""

from __future__ import annotations

import html
import io
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from explorer.session import get_model
from explorer.tabs.api import saved_npz
from explorer.tabs.errors import said_plainly
from explorer.tabs.models import ModelPicker
from explorer.tabs.store import both
from explorer.tabs.text import say, words
from explorer.tabs.train_checkpoints import checkpoint_of, choice_of, is_resnet, run_of, shown_source
from explorer.tabs.train_evaluation import SPLITS, Evaluation, read_evaluation, stamp, whole
from explorer.tabs.train_owner import Door
from explorer.tabs.train_pictures import PAGE, fits, split_of, thumbnails
from explorer.tabs.train_published import published_value, sweep_value
from explorer.viewer.results_facts import FactTable
from explorer.viewer.results_matrix import ConfusionView, confusion_value
from explorer.viewer.results_pictures import PictureGrid
from explorer.viewer.results_sweep import SweepView
from training.run import Run

QUIET = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Explorer:
    """The parts of the page that show one picture with one model: where a click on a picture leads."""

    picture: Component
    picker: ModelPicker
    tabs: gr.Tabs
    active: gr.State  # the name of the tab in sight
    tab: str = "attention"


def build(door: Door, selected: gr.State, explorer: Explorer | None = None) -> None:
    """Inside an open tab. `selected`: the id of the run to show, or None."""
    with gr.Row(elem_id="results-bar"):
        split = gr.Radio(
            [(words(f"results_{name}"), name) for name in SPLITS],
            value="val",
            label=words("results_split"),
            elem_id="results-split",
        )
        save = gr.Button(words("results_npz"), size="sm", scale=0, min_width=220, elem_id="results-npz")
        saved = gr.File(visible=False, label=words("download"), height=60, elem_id="results-file")
    matrix = ConfusionView({"stamp": "", "message": both("results_none")}, elem_id="results-matrix")
    query = gr.State(None)  # which pictures are shown: {"run", "split", "true", "predicted", "offset", "asked"}
    grid = PictureGrid(elem_id="results-pictures")
    published = FactTable(elem_id="results-published")
    sweep = SweepView(elem_id="results-sweep")
    shown = [matrix, published, sweep, query]

    def refresh(request: gr.Request, run_id: str | None, split: str, event: gr.EventData):
        told = event._data.get("stamp") if isinstance(event._data, dict) else None
        return results_values(door, request, run_id, split, told)

    def switched(request: gr.Request, run_id: str | None, split: str):
        return results_values(door, request, run_id, split, None)

    @said_plainly
    def cell(request: gr.Request, query: dict | None, event: gr.EventData):
        told = event._data if isinstance(event._data, dict) else {}
        if not query or told.get("split") != query["split"]:
            return gr.skip()
        chosen = {name: None if told.get(name) is None else whole(told[name]) for name in ("true", "predicted")}
        return query | chosen | {"offset": 0, "asked": True}

    @said_plainly
    def more(request: gr.Request, query: dict | None, event: gr.EventData):
        offset = whole(event._data.get("offset")) if isinstance(event._data, dict) else None
        return query | {"offset": max(offset or 0, 0), "asked": True} if query else gr.skip()

    def pictures(request: gr.Request, query: dict | None, progress=gr.Progress()):  # noqa: B008 - gradio's way
        return pictures_value(door, request, query, explorer is not None, _reporter(request, progress))

    @said_plainly
    def take_numbers(request: gr.Request, run_id: str | None, split: str):
        run = run_of(run_id, door, request)
        evaluation = _evaluation(run, split, request)
        return gr.File(saved_npz(f"results-{evaluation.split}", *numbers(run, evaluation)), visible=True)

    matrix.refresh(refresh, [selected, split], shown, queue=False, **QUIET)
    split.change(switched, [selected, split], shown, **QUIET)
    selected.change(switched, [selected, split], shown, **QUIET)
    matrix.cell(cell, query, query, trigger_mode="always_last", **QUIET)
    grid.more(more, query, query, trigger_mode="always_last", **QUIET)
    query.change(pictures, query, grid, api_visibility="private", show_progress="minimal", trigger_mode="always_last")
    save.click(take_numbers, [selected, split], saved, api_visibility="private", show_progress_on=saved)
    if explorer is None:
        return

    @said_plainly
    def open_picture(request: gr.Request, query: dict | None, event: gr.EventData):
        position = whole(event._data.get("position")) if isinstance(event._data, dict) else None
        return _opened(door, request, query, position, explorer)

    picker = explorer.picker
    opened = grid.show(
        open_picture,
        query,
        [explorer.picture, picker.choice, picker.name, picker.size, explorer.active, explorer.tabs],
        api_visibility="private",
        concurrency_id="model",
        show_progress="minimal",
        show_progress_on=grid,
    )
    opened.success(None, js="() => window.scrollTo({top: 0, behavior: 'smooth'})", api_visibility="private")
    picker.also_chosen_by(opened)


def results_values(door: Door, request: gr.Request, run_id: str | None, split: str, told: str | None) -> list:
    """Values for the matrix, the published numbers, the sweep and the pictures' query; skipped where `told`, the stamp
    of what the browser shows, is that of what there is."""
    split = split if split in SPLITS else SPLITS[0]
    try:
        run = run_of(run_id, door, request) if run_id else None
    except ValueError as error:
        return _nothing(f"gone {run_id}", str(error), told)
    if run is None:
        return _nothing("", say(request, "results_none"), told)
    name = run.name
    now = f"{run.id} {split} {stamp(run.path, split)} {stamp(run.path, 'test')} {_sweep_stamp(run)}"
    if now == told:
        return [gr.skip() for _ in range(4)]
    beside = [published_value(run), sweep_value(run)]
    try:
        found = read_evaluation(run.path, split)
    except ValueError as error:
        message = both("results_damaged", name=name, reason=str(error))
        return [{"stamp": now, "message": message}, *beside, None]
    if found is None:
        return [{"stamp": now, "message": both("results_not_yet", name=name)}, *beside, None]
    title = both(
        f"results_title_{split}", name=name, step=found.step, accuracy=_percent(found.accuracy), loss=_plain(found.loss)
    )
    value = confusion_value(
        found.classes,
        found.confusion,
        stamp=now,
        split=split,
        title=title,
        pictures=found.answers is not None,
        note=both("results_no_single", reason=found.missing) if found.missing else "",
    )
    query = {"run": run.id, "split": split, "true": None, "predicted": None, "offset": 0, "asked": False, "of": now}
    return [value, *beside, query if found.answers is not None else None]


def pictures_value(
    door: Door, request: gr.Request, query: dict | None, openable: bool, progress: Any = None
) -> dict[str, Any] | None:
    """What `PictureGrid` shows for a query. Faults are told in its place: the matrix stays as it is."""
    if not query:
        return None
    empty = {"total": 0, "offset": 0, "page": PAGE, "items": [], "openable": False, "asked": query["asked"]}
    title = both("results_mistakes")
    try:
        run = run_of(query["run"], door, request)
        found = _evaluation(run, query["split"], request)
        true, predicted = (_class(query[name], found) for name in ("true", "predicted"))
        title = _title(found, true, predicted)
        positions = found.answers.where(true, predicted) if found.answers is not None else np.zeros(0, np.int64)
        offset = min(query["offset"], max(len(positions) - 1, 0)) // PAGE * PAGE
        if not len(positions):
            return empty | {"title": both("results_no_mistakes") if true is None else title, "note": ""}
        try:
            pictures = split_of(run, found, progress)
        except (ValueError, OSError) as error:
            reason = str(error).replace(str(run.path), run.id)
            return empty | {"title": title, "note": both("results_no_data", reason=_without_paths(reason, run))}
    except ValueError as error:
        return empty | {"title": title, "note": str(error)}
    note = "" if fits(pictures, found.answers) else both("results_data_changed")
    if is_resnet(run):
        openable, note = False, note or both("results_resnet")
    unreadable = say(request, "results_unreadable")
    items = thumbnails(pictures, found, positions[offset:], unreadable)
    return {
        "title": title,
        "note": note,
        "openable": openable,
        "total": len(positions),
        "offset": offset,
        "page": PAGE,
        "items": items,
        "asked": query["asked"],
    }


def numbers(run: Run, found: Evaluation) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The results as arrays, and where they come from."""
    arrays = {"confusion": found.confusion, "per_class_accuracy": found.per_class, "classes": np.array(found.classes)}
    if found.answers is not None:
        arrays |= vars(found.answers)
    config = run.config.to_dict()
    manifest = {
        "run": run.id,
        "name": run.name,
        "split": found.split,
        "step": found.step,
        "accuracy": found.accuracy if math.isfinite(found.accuracy) else None,
        "loss": found.loss if math.isfinite(found.loss) else None,
        "confusion": "rows true, columns predicted",
        "config": config | {name: shown_source(config[name]) for name in ("data", "model")},
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return arrays, manifest


def _opened(door: Door, request: gr.Request, query: dict | None, position: int | None, explorer: Explorer) -> list:
    """The picture and the model of one answer, for the explorer. All of it is loaded before anything changes."""
    if not query:
        raise ValueError(say(request, "results_none"))
    run = run_of(query["run"], door, request)
    found = _evaluation(run, query["split"], request)
    if found.answers is None or position is None or not 0 <= position < len(found.answers.index):
        raise ValueError(say(request, "results_gone"))
    picture = split_of(run, found).read(int(found.answers.index[position]))
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise ValueError(say(request, "results_open_missing"))
    key = next((f"step-{one.step}" for one in checkpoints if one.step == found.step), None)
    if key is None:
        key = "best" if found.split == "val" and run.best else "last"
    choice = choice_of(run, checkpoint_of(run, key, request), request)
    get_model(choice)
    if not key.startswith("step-"):
        gr.Info(html.escape(say(request, "results_open_other", step=found.step, name=choice.name), quote=False))
    file = io.BytesIO()
    picture.convert("RGB").save(file, "PNG", compress_level=1)
    path = save_bytes_to_cache(file.getvalue(), "picture.png", get_upload_folder())
    picker = explorer.picker
    return [
        path,
        choice,
        picker.showing(picker.runs.name(run, key), request),
        "native",
        explorer.tab,
        gr.Tabs(selected=explorer.tab),
    ]


def _evaluation(run: Run, split: str, request: gr.Request) -> Evaluation:
    found = read_evaluation(run.path, split)
    if found is None:
        raise ValueError(say(request, "results_not_yet", name=run.name))
    return found


def _class(number: Any, found: Evaluation) -> int | None:
    """A class that a browser asked for."""
    if number is None:
        return None
    if type(number) is not int or not 0 <= number < len(found.classes):
        raise ValueError(f"there are {len(found.classes)} classes, from 0; got {str(number)[:40]}")
    return number


def _title(found: Evaluation, true: int | None, predicted: int | None) -> dict[str, str]:
    if true is None:
        return both("results_mistakes")
    if predicted is None:
        return both("results_class", true=found.classes[true])
    key = "results_right" if true == predicted else "results_cell"
    return both(key, true=found.classes[true], predicted=found.classes[predicted])


def _nothing(now: str, message: str, told: str | None) -> list:
    if now == told:
        return [gr.skip() for _ in range(4)]
    return [{"stamp": now, "message": message}, None, None, None]


def _sweep_stamp(run: Run) -> str:
    try:
        return json.dumps([run.path.joinpath("sweep.json").stat().st_mtime_ns, run.state])
    except OSError:
        return run.state


def _without_paths(reason: str, run: Run) -> str:
    try:
        source = run.config.data
    except ValueError:
        return reason
    return reason.replace(source, shown_source(source))


def _reporter(request: gr.Request, progress: gr.Progress):
    reading = say(request, "results_reading")

    def report(done: int, total: int, text: str) -> None:
        progress(done / total if total else None, desc=f"{reading}: {text}" if text else reading)

    return report


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%" if math.isfinite(share) else "-"


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"
