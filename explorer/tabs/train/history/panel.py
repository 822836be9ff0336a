"""The history of runs: a table to open, rename, resume and delete them, and several of them overlaid."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from explorer.tabs.train.facts.facts import FactTable
from explorer.tabs.train.field_words import label_key
from explorer.tabs.train.history.table import RunTable
from explorer.tabs.train.runs import slices as train_slices
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import run_of
from explorer.tabs.train.runs.numbers import curve_numbers, curves_manifest
from explorer.tabs.train.runs.overlay import (
    AXES,
    COLOURS,
    MOST_RUNS,
    curves_csv,
    curves_of,
    differing,
    events_of,
    overlay_figure,
    shown_value,
)
from explorer.ui.errors import plain_errors
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.manifest import saved_npz
from explorer.ui.translation import translate_both
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.words import TEXT, say_both, words
from explorer.viewer.kit.files import written_once
from explorer.viewer.plot.plot import PlotlyView, plot_value
from training.command import public_name
from training.runs.results import read_accuracy
from training.runs.runs import Run
from vit_model.messages import rewrite

MOST_ROWS = 200
# All queued: an event that is not changes a State without its `change`.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
_FIGURE = ("overlay_title", *(f"axis_{axis}" for axis in AXES), "panel_loss", "panel_accuracy", "panel_lr")


def build(access: RunAccess, selected: gr.State) -> Dependency:
    """Build the history inside an open tab. `selected`: the id of the run that the page's other views show; opening a
    run in the table sets it. Returns that event: what follows its success finds `selected` set."""
    table = RunTable(elem_id="run-table")
    compared = gr.State([])
    due = gr.State("")  # what the overlay should be drawn from; it is drawn when this changes
    with gr.Row(visible=False, elem_id="overlay-controls") as controls:
        axis = gr.Radio(
            [(words(f"history_axis_{name}"), name) for name in AXES],
            value="step",
            label=words("history_overlay"),
            elem_id="overlay-axis",
        )
        save = gr.Button(words("history_save_csv"), size="sm", scale=0, min_width=220, elem_id="overlay-csv")
        save_npz = gr.Button(words("history_save_npz"), size="sm", scale=0, min_width=220, elem_id="overlay-npz")
        saved = gr.File(visible=False, label=words("download"), height=60, elem_id="overlay-file")
    plot = PlotlyView(height=640, elem_id="overlay")
    facts = FactTable(elem_id="overlay-facts")

    @plain_errors
    def refresh(request: gr.Request, selected: str | None, ids: list[str], axis: str, event: gr.EventData):
        value = table_value(access, request, selected)
        same = value["stamp"] == _told(event, "stamp")
        return gr.skip() if same else value, drawn_from(_runs(access, request, ids), axis)

    @plain_errors
    def opened(request: gr.Request, event: gr.EventData):
        begun = next(BEGUN)
        run = run_of(_told(event, "run"), access, request)
        return run.id if ORDER.newest(asker(request, "opened"), begun) else gr.skip()

    @plain_errors
    def rename(request: gr.Request, selected: str | None, event: gr.EventData):
        run = run_of(_told(event, "run"), access, request)
        name = _told(event, "name")
        run.rename(name if isinstance(name, str) else "")
        return table_value(access, request, selected)

    @plain_errors
    def resume(request: gr.Request, selected: str | None, event: gr.EventData):
        run = run_of(_told(event, "run"), access, request)
        access.check_start(request)
        train_slices.resume(run, access, request)
        return table_value(access, request, selected)

    @plain_errors
    def remove(request: gr.Request, selected: str | None, event: gr.EventData):
        run = run_of(_told(event, "run"), access, request)
        run.delete()
        if selected == run.id:
            return table_value(access, request, None), None
        return table_value(access, request, selected), gr.skip()

    @plain_errors
    def compare(request: gr.Request, axis: str, event: gr.EventData):
        begun, chosen = next(BEGUN), _told(event, "runs")
        ids = [run_id for run_id in chosen if isinstance(run_id, str)][:MOST_RUNS] if isinstance(chosen, list) else []
        drawn = drawn_from(_runs(access, request, ids), axis)
        return (ids, drawn) if ORDER.newest(asker(request, "compared"), begun) else gr.skip()

    @plain_errors
    def turn(request: gr.Request, ids: list[str], axis: str):
        return drawn_from(_runs(access, request, ids), axis)

    @plain_errors
    def draw(request: gr.Request, ids: list[str], axis: str):
        return overlay_values(_runs(access, request, ids), axis)

    @plain_errors
    def save_csv(request: gr.Request, ids: list[str]):
        named = [(run.name, events_of(run)) for run in _runs(access, request, ids)]
        data = "\ufeff" + curves_csv(named)  # the mark tells spreadsheets that it is UTF-8
        path = written_once(data.encode(), "vit-explorer-runs.csv")
        return gr.File(path, visible=True)

    @plain_errors
    def take_npz(request: gr.Request, ids: list[str]):
        return gr.File(saved_npz("runs", *curve_numbers(_runs(access, request, ids))), visible=True)

    table.refresh(refresh, [selected, compared, axis], [table, due], concurrency_limit=4, **QUIET)
    opening = table.open(opened, None, selected, trigger_mode="multiple", **QUIET)
    table.rename(rename, selected, table, trigger_mode="multiple", **QUIET)
    table.resume(resume, selected, table, trigger_mode="multiple", **QUIET)
    table.remove(remove, selected, [table, selected], trigger_mode="multiple", **QUIET)
    table.compare(compare, axis, [compared, due], trigger_mode="multiple", concurrency_limit=4, **QUIET)
    axis.change(turn, [compared, axis], due, **QUIET)
    due.change(draw, [compared, axis], [controls, plot, facts], trigger_mode="always_last", **QUIET)
    save.click(save_csv, compared, saved, api_visibility="private", show_progress_on=saved)
    save_npz.click(take_npz, compared, saved, api_visibility="private", show_progress_on=saved)
    return opening


def table_value(access: RunAccess, request: gr.Request, opened: str | None) -> dict[str, Any]:
    """Return the visitor's runs for `RunTable`. `stamp` is a hash of the whole value."""
    runs = access.list(request)
    rows = [row_of(run) for run in runs[:MOST_ROWS]]
    value = {"opened": opened, "rows": rows, "more": len(runs) - len(rows)}
    stamp = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
    return value | {"stamp": stamp}


def row_of(run: Run) -> dict[str, Any]:
    """Return one line of the table. A run with damaged files is shown as such; nothing else suffers."""
    status = run.status()
    progress, reason = run.progress, rewrite(status.reason, lambda text: _without_folders_of(run, text))
    row = {
        "id": run.id,
        "name": run.name,
        "recipe": "–",
        "data": "–",
        "model": "–",
        "state": status.state,
        "reason": {language: plain_reason(run, text) for language, text in translate_both(reason).items()},
        "step": progress.get("step"),
        "steps": progress.get("steps"),
        "best": run.best_accuracy,
        "test": read_accuracy(run.path, "test"),
        "started": run.created,
        "seconds": progress.get("seconds"),
        "resumable": status.state in ("stopped", "failed"),
    }
    try:
        config = run.config
    except ValueError:
        live = status.state in ("running", "stopping")
        return row | {"state": status.state if live else "damaged", "resumable": False}
    return row | {"recipe": config.recipe, "data": public_name(config.data), "model": public_name(config.model)}


def plain_reason(run: Run, reason: str) -> str:
    """Say in a line why a run failed or stopped, without the folders of this computer."""
    lines = [line for line in reason.splitlines() if line.strip()]
    return _without_folders_of(run, " ".join([lines[0], lines[-1]] if len(lines) > 1 else lines))[:300]


def _without_folders_of(run: Run, text: str) -> str:
    return without_folders(text.replace(str(run.path), run.id).replace(str(Path.home()), "~"))


def drawn_from(runs: list[Run], axis: str) -> str:
    """Return a key that changes when the overlay of these runs has to be drawn anew; empty if there is none."""
    if len(runs) < 2:
        return ""
    return json.dumps([axis, [[run.id, run.name, run.state, _size(run)] for run in runs]])


def overlay_values(runs: list[Run], axis: str) -> list:
    """Return values for the overlay's controls, figure and table; empty ones for fewer than two runs."""
    if len(runs) < 2:
        return [gr.Row(visible=False), None, None]
    captions = {name: say_both(name) for name in _FIGURE}
    figure = overlay_figure([(run.name, curves_of(run)) for run in runs], axis if axis in AXES else "step", captions)
    return [gr.Row(visible=True), plot_value(figure) | {"manifest": curves_manifest(runs)}, _differences(runs)]


def _differences(runs: list[Run]) -> dict[str, Any]:
    """Return a value for `FactTable`: the numbers that runs reached, and the fields in which they differ."""
    configs = []
    for run in runs:
        try:
            config = run.config.to_dict()
        except ValueError:
            config = {}
        configs.append(config | {name: public_name(config[name]) for name in ("data", "model") if name in config})
    reached = {
        "differ_state": [say_both(f"state_{run.state}") for run in runs],
        "differ_step": [shown_value(run.progress.get("step")) for run in runs],
        "differ_seconds": [shown_value(run.progress.get("seconds")) for run in runs],
        "differ_loss": [shown_value(_lowest_loss(run)) for run in runs],
        "differ_best": [_percent(run.best_accuracy) for run in runs],
        "differ_test": [_percent(read_accuracy(run.path, "test")) for run in runs],
    }
    rows = [[say_both(name), *values] for name, values in reached.items()]
    fields = differing(configs)
    for name, values in fields.items():
        key = label_key(name) or (f"differ_{name}" if f"differ_{name}" in TEXT["en"] else None)
        rows.append([say_both(key) if key else name, *map(shown_value, values)])
    return {
        "title": say_both("differ_title"),
        "note": say_both("differ_note" if fields else "differ_none"),
        "head": ["", *(run.name for run in runs)],
        "colours": ["", *COLOURS[: len(runs)]],
        "rows": rows,
    }


def _lowest_loss(run: Run) -> float | None:
    curve = curves_of(run).get(("val", "loss"))
    values = [] if curve is None else [value for value in curve.value if math.isfinite(value)]
    return float(min(values)) if values else None


def _runs(access: RunAccess, request: gr.Request, ids: Any) -> list[Run]:
    """Return the runs of these ids that are still there and the visitor's."""
    found = []
    for run_id in ids if isinstance(ids, list) else []:
        try:
            found.append(run_of(run_id, access, request))
        except ValueError:
            continue
    return found[:MOST_RUNS]


def _size(run: Run) -> int:
    try:
        return (run.path / "events.jsonl").stat().st_size
    except OSError:
        return 0


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"


def _told(event: gr.EventData, name: str) -> Any:
    """Read an entry of an event's data, for the caller to validate."""
    return event._data.get(name) if isinstance(event._data, dict) else None
