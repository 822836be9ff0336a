"""The tab "Is the map true?": all methods put to the test on the picture in sight, and against random weights."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from explorer.analysis.explain.gradients import Progress
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.faithfulness.leaderboard import leaderboard
from explorer.analysis.faithfulness.sanity import sanity
from explorer.device import ZERO_GPU, steps_on_gpu
from explorer.session.scenes import ModelChoice, Scene, on_best_device, scene_of
from explorer.session.turns import TURNS
from explorer.tabs.faithfulness.values import (
    MAX_STEPS,
    SEED,
    Asked,
    Found,
    arrays_of,
    choices_of,
    csv_of,
    curve_values,
    matrix_value,
    name_of,
    sanity_value,
    step_name,
    table_value,
)
from explorer.ui.errors import plain_errors, reason_of
from explorer.ui.events.progress import follow_progress, only_changes
from explorer.ui.events.request_order import Asker, asker
from explorer.ui.events.stale_work import CURRENT_WORK, stop_handler
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.words import language_of, say, say_both, words
from explorer.viewer.plot.plot import PlotlyView
from explorer.viewer.scores.scores import ScoreTable, scores_value
from vit_model.errors import CodedError

OFFERED = 100  # classes in the list, the most probable first; any other can be typed
AT_ONCE = 2  # measurements of all visitors together
METHODS_FIRST = next(iter(METHODS))
LENT = 120  # seconds of a ZeroGPU for one measurement
MOMENT = 0.4  # seconds between two drawings
MEASURE, CHECK = "truth-measure", "truth-check"  # this tab's long work
_UNDER_WAY: dict[str | None, list[object]] = {}
"""By browser page, its measurements that run now: with the last one Stop goes."""
STOPPED = {"done": 0.0, "text": say_both("truth_stopped"), "running": False}


def build(choice: gr.State, picture: Component) -> Tab:
    """`choice` and `picture`: the page's own model and picture."""
    with gr.Tab(words("tab_truth"), id="truth", elem_id="tab-truth") as item:
        gr.Markdown(words("truth_intro"), elem_classes="about")
        with gr.Row():
            target = gr.Dropdown(
                [],
                value="",
                label=words("truth_class"),
                info=words("truth_class_info"),
                allow_custom_value=True,
                elem_id="truth-class",
            )
        with gr.Accordion(words("truth_settings"), open=False), gr.Row():
            methods = gr.Dropdown(
                [(words(f"method_{name}"), name) for name in METHODS],
                value=[],
                multiselect=True,
                label=words("truth_methods"),
                info=words("truth_methods_info"),
                elem_id="truth-methods",
            )
            steps = gr.Slider(
                4, MAX_STEPS, 20, step=1, label=words("truth_steps"), info=words("truth_steps_info"), min_width=160
            )
            values = [(words(f"truth_value_{name}"), name) for name in ("probability", "logit")]
            value = gr.Radio(values, value="probability", label=words("truth_value"), min_width=160)
        with gr.Row(elem_id="truth-buttons"):
            measure = gr.Button(words("truth_measure"), variant="primary", scale=0, min_width=220, elem_id="measure")
            check = gr.Button(words("truth_check"), scale=0, min_width=310, elem_id="truth-check")
            stop = gr.Button(words("truth_stop"), visible=False, scale=0, min_width=120, elem_id="truth-stop")
        table = ScoreTable(elem_id="truth-table")
        gr.Markdown(words("truth_how_table"), elem_classes="subdued")
        with gr.Row():
            curves = []
            for kind in ("positive", "negative"):
                with gr.Column(min_width=300):
                    curves.append(PlotlyView(elem_id=f"truth-{kind}"))
                    gr.Markdown(words(f"truth_how_{kind}"), elem_classes="subdued")
        gr.Markdown(words("truth_legend"), elem_classes="subdued")
        matrix = ScoreTable(elem_id="truth-matrix")
        gr.Markdown(words("truth_how_matrix"), elem_classes="subdued")
        checked = PlotlyView(elem_id="truth-sanity")
        gr.Markdown(words("truth_how_sanity"), elem_classes="subdued")
        with gr.Row():
            as_csv = gr.Button(words("truth_csv"), size="sm", scale=0, min_width=200, elem_id="truth-csv")
            file = gr.File(visible=False, label=words("download"), elem_id="truth-file", height=60)
    inputs = (target, methods, steps, value)
    shown = (table, *curves, matrix, checked)
    _wire(choice, picture, inputs, shown, (measure, check, stop, as_csv), file)
    return Tab("truth", item, (*shown, target, measure, check, stop), _show, _arrays, inputs)


def _wire(
    choice: gr.State,
    picture: Component,
    inputs: Sequence[Component],
    shown: Sequence[Component],
    buttons: Sequence[gr.Button],
    file: gr.File,
) -> None:
    measure, check, stop, as_csv = buttons
    seen = [choice, picture, *inputs]
    long: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
    long |= {"concurrency_id": "truth", "concurrency_limit": AT_ONCE}
    in_place: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    measure.click(_measured, seen, [*shown, stop], **long)
    check.click(_checked, seen, [*shown, stop], **long)
    stop.click(stop_handler(MEASURE, CHECK), None, None, **in_place)
    gr.on([picture.change, choice.change, *(each.change for each in inputs)], _changed, seen, None, **in_place)
    as_csv.click(_csv, seen, file, api_visibility="private", show_progress_on=file)


@plain_errors
def _measured(request: gr.Request, *seen) -> Iterator[list]:
    """The leaderboard as it grows."""
    asked = _asked(request, *seen)
    yield from _answered(asker(request, MEASURE), seen, asked, asked.found.measured, measure, _measuring)


@plain_errors
def _checked(request: gr.Request, *seen) -> Iterator[list]:
    """The weight check as it goes down."""
    asked = _asked(request, *seen)
    known = asked.found.sanity
    yield from _answered(asker(request, CHECK), seen, asked, bool(known and known.complete), _check, _checking)


def _answered(
    who: Asker,
    seen: tuple,
    asked: Asked,
    known: bool,
    work: Callable[[Asked, Progress], None],
    told: Callable[[Found], dict],
) -> Iterator[list]:
    """What the page shows every moment while `work` runs, or at once where its result is `known`."""
    page, mine = who[0], object()

    def pages() -> Iterator[list]:
        with closing(follow_progress(partial(work, asked), MOMENT)) as steps:
            _UNDER_WAY.setdefault(page, []).append(mine)
            for _ in steps:
                yield [*_shown(asked, told(asked.found)), gr.Button(visible=True)]

    try:
        ended = "" if known else (yield from CURRENT_WORK.run(who, seen, only_changes(pages())))
    finally:
        rest = [one for one in _UNDER_WAY.pop(page, []) if one is not mine]
        if rest:
            _UNDER_WAY[page] = rest
    if ended != "stale":
        yield [*_shown(asked, STOPPED if ended else None), gr.Button(visible=bool(rest))]


def _changed(request: gr.Request, *seen) -> None:
    """What is under way is of something else now."""
    for name in (MEASURE, CHECK):
        CURRENT_WORK.show(asker(request, name), seen)


@plain_errors
def _csv(request: gr.Request, choice: ModelChoice, picture: str | None, *controls) -> gr.File:
    asked = _asked(request, choice, picture, *controls)
    manifest = manifest_of(asked.scene, "truth", **arrays_of(asked)[1])
    path = save_bytes_to_cache(csv_of(asked, manifest).encode(), "vit-explorer-truth.csv", get_upload_folder())
    return gr.File(path, visible=True)


def _asked(request: gr.Request, choice: ModelChoice, picture: str | None, *controls) -> Asked:
    if not picture:
        raise ValueError(say(request, "need_picture"))
    return Asked.of(scene_of(choice, picture), *controls)


def measure(asked: Asked, progress: Progress) -> None:
    """The leaderboard of what is asked, kept as it grows. What `progress` raises ends it."""
    how = {"methods": asked.methods, "steps": asked.steps, "value": asked.value, "seed": SEED}
    _kept(asked, "board", leaderboard, _boards_on_zero_gpu, how, progress, trace=asked.scene.trace)


def _check(asked: Asked, progress: Progress) -> None:
    """The weight check of what is asked, as in `measure`."""
    _kept(asked, "sanity", sanity, _checks_on_zero_gpu, {"methods": asked.methods, "seed": SEED}, progress)


def _kept(
    asked: Asked, name: str, method: Callable, lent: Callable, how: dict, progress: Progress, **local: object
) -> None:
    """Keeps each step of `method` under `name`; on ZeroGPU the steps of `lent`. `local`: what does not travel there."""
    scene = asked.scene
    with TURNS.slow(progress) as turn:
        if ZERO_GPU:
            steps = lent(scene.choice, scene.pixels.numpy(), scene.resizing, asked.target, how)
        else:
            pixels = scene.pixels.to(scene.trace.logits.device)
            steps = method(scene.model, pixels, asked.target, progress=turn, **how, **local)
        with closing(steps):
            for step in steps:
                asked.keep(**{name: step})
                turn(0, 1)  # which ends the work where it was stopped


def _boards(choice: ModelChoice, pixels: np.ndarray, resizing: tuple | None, target: int, how: dict) -> Iterator:
    model, moved = on_best_device(choice, pixels, resizing)
    yield from leaderboard(model, moved, target, **how)


def _checks(choice: ModelChoice, pixels: np.ndarray, resizing: tuple | None, target: int, how: dict) -> Iterator:
    model, moved = on_best_device(choice, pixels, resizing)
    yield from sanity(model, moved, target, **how)


_boards_on_zero_gpu, _checks_on_zero_gpu = steps_on_gpu(_boards, LENT), steps_on_gpu(_checks, LENT)


def _measuring(found: Found) -> dict:
    board = found.board
    if board is None or board.curves is None:
        text = say_both("truth_map", method=name_of((board and board.doing) or METHODS_FIRST))
    else:
        text = say_both("truth_curves", done=len(board.curves.dropped), all=board.curves.points)
    return {"done": board.done if board else 0.0, "text": text, "running": True}


def _checking(found: Found) -> dict:
    checked = found.sanity
    at = checked.planned[min(len(checked.steps), len(checked.planned) - 1)] if checked else "head"
    step, doing = step_name(at), name_of((checked and checked.doing) or METHODS_FIRST)
    text = say_both("truth_checking", step=step, method=doing)
    return {"done": checked.done if checked else 0.0, "text": text, "running": True}


def _shown(asked: Asked, progress: dict | None = None) -> list:
    found = asked.found
    plots = curve_values(asked, found)
    values = [table_value(asked, found, progress), *plots, matrix_value(asked, found), sanity_value(asked, found)]
    manifest = manifest_of(asked.scene, "truth", **choices_of(asked, found))
    return [value and value | {"manifest": manifest} for value in values]


def _show(scene: Scene, request: gr.Request, named: str | None, *controls) -> list:
    """What is known of this scene, and its classes to choose from."""
    if not scene.model.config.classes:
        told = {"done": 0.0, "text": say_both("truth_no_head"), "running": False}
        off = gr.Button(interactive=False)
        nothing = [scores_value(progress=told), None, None, None, None]
        return [
            *nothing,
            gr.Dropdown([], value="", interactive=False, allow_custom_value=True),
            off,
            off,
            gr.Button(visible=False),
        ]
    try:
        asked = Asked.of(scene, named, *controls)
    except CodedError as error:  # a class of the model before, or one that was mistyped
        said = html.escape(reason_of(error, language_of(request)), quote=False)
        gr.Warning(said, title=say(request, "toast_warning"))
        named, asked = "", Asked.of(scene, "", *controls)
    on = gr.Button(interactive=True)
    classes = gr.Dropdown(_classes(scene, request), value=named or "", interactive=True, allow_custom_value=True)
    return [*_shown(asked), classes, on, on, gr.Button(visible=False)]


def _classes(scene: Scene, request: gr.Request) -> list[tuple[str, str]]:
    """(what is shown, label or number) of the most probable classes, the predicted one first and by itself."""
    labels, shares = scene.model.labels, scene.trace.logits[0].float().softmax(-1)
    most = shares.topk(min(OFFERED, len(labels)))
    found = [(say(request, "truth_predicted", label=labels[most.indices[0]]), "")]
    for index, share in zip(most.indices.tolist(), most.values.tolist(), strict=True):
        label = labels[index]
        found.append((f"{label} ({100 * share:.1f} %)", label if labels.count(label) == 1 else str(index)))
    return found


def _arrays(scene: Scene, state: dict, *controls) -> tuple[dict, dict]:
    return arrays_of(Asked.of(scene, *controls))
