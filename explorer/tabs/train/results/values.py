"""Values of the Results part's components, for one visitor's run."""

from __future__ import annotations

import json
import math
from typing import Any

import gradio as gr
import numpy as np

from explorer.tabs.train.results.confusion.confusion import confusion_value
from explorer.tabs.train.results.pictures.pictures import PAGE, fits, split_of, thumbnails
from explorer.tabs.train.results.published import published_value, sweep_value
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import is_resnet, run_of
from explorer.tabs.train.runs.evaluation import Evaluation, read_evaluation
from explorer.tabs.train.runs.numbers import result_numbers
from explorer.ui.errors import reason_of
from explorer.ui.translation import translate_both
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.words import language_of, say, say_both
from training.command import public_name
from training.data.datasets import cache_folder, would_download
from training.runs.results import SPLITS, read_object, stamp
from training.runs.run import Run
from vit_model.messages import message_of, rewrite


def results_values(access: RunAccess, request: gr.Request, run_id: str | None, split: str, told: str | None) -> list:
    """Return values for the matrix, the published numbers, the sweep and the pictures' query; skip them if `told`, the
    stamp of the browser's values, is up to date."""
    split = split if split in SPLITS else SPLITS[0]
    try:
        run = run_of(run_id, access, request) if run_id else None
    except ValueError as error:
        return _nothing(f"gone {run_id}", str(error), told)
    if run is None:
        return _nothing("", say(request, "results_none"), told)
    name = run.name
    reported = (run.path / "data.json").exists()
    now = f"{run.id} {split} {reported} {stamp(run.path, split)} {stamp(run.path, 'test')} {_sweep_stamp(run)}"
    if now == told:
        return [gr.skip() for _ in range(4)]
    beside = [published_value(run), sweep_value(run)]
    try:
        found = read_evaluation(run.path, split)
    except ValueError as error:
        reason = translate_both(without_folders(message_of(error)))
        return [{"stamp": now, "message": say_both("results_damaged", name=name, reason=reason)}, *beside, None]
    if found is None:
        return [{"stamp": now, "message": say_both(_missing(run, split), name=name)}, *beside, None]
    title = say_both(
        f"results_title_{split}", name=name, step=found.step, accuracy=_percent(found.accuracy), loss=_plain(found.loss)
    )
    value = confusion_value(
        found.classes,
        found.confusion,
        stamp=now,
        split=split,
        title=title,
        pictures=found.answers is not None,
        note=say_both("results_no_single", reason=translate_both(found.missing)) if found.missing else "",
    )
    query = {"run": run.id, "split": split, "true": None, "predicted": None, "offset": 0, "asked": False}
    query |= {"fetch": False, "of": now}
    value |= {"manifest": result_numbers(run, found)[1]}
    return [value, *beside, query if found.answers is not None else None]


def opens_on(access: RunAccess, request: gr.Request, run_id: str | None, split: str) -> str:
    """Choose the split on which to open a run's results: the one in sight, unless only the other can have any."""
    try:
        run = run_of(run_id, access, request)
    except ValueError:
        return split
    if split == "val" and _holds_nothing_out(run):
        return "test"
    return "val" if split == "test" and not stamp(run.path, "test") and stamp(run.path, "val") else split


def pictures_value(
    access: RunAccess, request: gr.Request, query: dict | None, openable: bool, progress: Any = None
) -> dict[str, Any] | None:
    """Return a value for `PictureGrid` by a query. A fault is shown in its place, and the matrix stays as it is."""
    if not query:
        return None
    empty = {"total": 0, "offset": 0, "page": PAGE, "items": [], "openable": False, "asked": query["asked"]}
    title = say_both("results_mistakes")
    try:
        run = run_of(query["run"], access, request)
        found = evaluation_of(run, query["split"], request)
        true, predicted = (_class(query[name], found) for name in ("true", "predicted"))
        title = _title(found, true, predicted)
        positions = found.answers.where(true, predicted) if found.answers is not None else np.zeros(0, np.int64)
        offset = min(query["offset"], max(len(positions) - 1, 0)) // PAGE * PAGE
        missing = len(positions) > 0 and not query["fetch"] and would_download(run.config.data)
        if missing:  # a look at results should not fetch gigabytes unasked
            note = say_both("results_not_here", data=public_name(run.config.data))
            return empty | {"title": title, "note": note, "fetch": True}
        if not len(positions):
            return empty | {"title": say_both("results_no_mistakes") if true is None else title, "note": ""}
        try:
            pictures = split_of(run, found, progress)
        except (ValueError, OSError) as error:
            reason = translate_both(_without_paths(message_of(error), run))
            return empty | {"title": title, "note": say_both("results_no_data", reason=reason)}
    except ValueError as error:
        return empty | {"title": title, "note": reason_of(error, language_of(request))}
    note = "" if fits(pictures, found.answers) else say_both("results_data_changed")
    if is_resnet(run):
        openable, note = False, note or say_both("results_resnet")
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


def evaluation_of(run: Run, split: str, request: gr.Request) -> Evaluation:
    found = read_evaluation(run.path, split)
    if found is None:
        raise ValueError(say(request, _missing(run, split), name=run.name))
    return found


def _class(number: Any, found: Evaluation) -> int | None:
    """Validate a class that a browser sent."""
    if number is None:
        return None
    if type(number) is not int or not 0 <= number < len(found.classes):
        raise ValueError(f"there are {len(found.classes)} classes, from 0; got {str(number)[:40]}")
    return number


def _title(found: Evaluation, true: int | None, predicted: int | None) -> dict[str, str]:
    if true is None:
        return say_both("results_mistakes")
    if predicted is None:
        return say_both("results_class", true=found.classes[true])
    key = "results_right" if true == predicted else "results_cell"
    return say_both(key, true=found.classes[true], predicted=found.classes[predicted])


def _nothing(now: str, message: str, told: str | None) -> list:
    if now == told:
        return [gr.skip() for _ in range(4)]
    return [{"stamp": now, "message": message}, None, None, None]


def _sweep_stamp(run: Run) -> str:
    try:
        return json.dumps([run.path.joinpath("sweep.json").stat().st_mtime_ns, run.state])
    except OSError:
        return run.state


def _missing(run: Run, split: str) -> str:
    """Say why a run has no results on a split, and whether there can be any."""
    whole, untested = _holds_nothing_out(run), _has_no_test(run)
    if whole and untested:
        return "results_nothing_to_measure"
    if split == "test":
        return "results_no_test" if untested else "results_not_yet"
    return "results_nothing_held_out" if whole else "results_not_yet"


def _has_no_test(run: Run) -> bool:
    """Return whether the data have no test set: by the data report, or else by a run that ended without reading one."""
    if stamp(run.path, "test"):
        return False
    try:
        parts = (read_object(run.path / "data.json") or {}).get("parts")
    except ValueError:
        parts = None
    return "test" not in parts if isinstance(parts, dict) else run.state == "finished"


def _holds_nothing_out(run: Run) -> bool:
    if stamp(run.path, "val"):  # the data set has a held-out part of its own
        return False
    try:
        return run.config.held_out == 0 or bool(run.sweep)
    except ValueError:
        return False


def _without_paths(reason: str, run: Run) -> str:
    """Phrase a fault of the data for visitors, without paths."""
    try:
        source = run.config.data
    except ValueError:
        source = ""

    def plain(text: str) -> str:
        text = text.replace(str(run.path), run.id)
        return (text.replace(source, public_name(source)) if source else text).replace(str(cache_folder()), "~")

    return without_folders(rewrite(reason, plain))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%" if math.isfinite(share) else "-"


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"
