"""The pre-flight panel of the form: the data report with an augmented batch, and a few dry steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.tabs.train.new.form import Filled, Form, in_words
from explorer.tabs.train.new.preflight import dry_run as train_probe
from explorer.tabs.train.new.preflight.dry_run import LIMIT_SECONDS, ProbeError, Progress
from explorer.tabs.train.new.preflight.view import TrainCheckView, picture_files
from explorer.tabs.train.runs.access import owner_of
from explorer.ui.errors import plain_errors, reason_of
from explorer.ui.translation import translate
from explorer.ui.words import language_of, say, words
from training.command import public_name
from training.config import ConfigError, largest_batch
from vit_model.messages import CODED, read_messages

AT_ONCE = 2  # trial processes of all visitors together
_ASKING: set[str | None] = set()  # visitors who have one


@dataclass(frozen=True)
class Check:
    look: gr.Button
    attempt: gr.Button
    use: gr.Button
    view: TrainCheckView
    offer: gr.State  # what `use` puts into the boxes "batch" and "accumulation"


def build_check() -> Check:
    with gr.Row(elem_id="check-buttons"):
        look = gr.Button(words("train_report_button"), scale=0, min_width=180, elem_id="look-at-data")
        attempt = gr.Button(words("train_preflight_button"), scale=0, min_width=180, elem_id="try-step")
        use = gr.Button("", visible=False, scale=0, min_width=220, elem_id="use-batch")
    view = TrainCheckView(elem_id="train-check")
    return Check(look, attempt, use, view, gr.State())


def wire_check(check: Check, form: Form) -> None:
    at_once = {"concurrency_id": "probe", "concurrency_limit": AT_ONCE, "trigger_mode": "once"}
    shown: dict[str, Any] = {"api_visibility": "private", "show_progress": "full", "show_progress_on": check.view}

    @plain_errors
    def look(request: gr.Request, *values, progress=gr.Progress()):  # noqa: B008 - gradio's way
        config = _config(form, request, values)
        found = _asked("data", config, form, request, progress)
        found["name"] = public_name(config["data"])
        language = language_of(request)
        for record, name in ((found, "notes"), (found["unreadable"], "reasons")):
            record[name] = [translate(text, language) for text in read_messages(record, name)]
            record.pop(name + CODED, None)
        for sample, file in zip(found["samples"], _files(found["samples"]), strict=True):
            sample["file"] = file
            del sample["picture"]
        batch = _asked("batch", config, form, request, progress)
        files = picture_files(batch.pop("pictures"))
        count, offered, offer = found["parts"]["train"]["count"], gr.Button(visible=False), None
        if config["batch"] > count:
            most = largest_batch(count, config["accumulation"])
            offer = most, config["accumulation"] if most % config["accumulation"] == 0 else 1
            found["notes"].append(say(request, "train_batch_exceeds", batch=config["batch"], count=count))
            offered = gr.Button(say(request, "train_use_batch", batch=most), visible=True)
        return {"data": found, "batch": batch | {"files": files}}, offered, offer

    @plain_errors
    def attempt(request: gr.Request, *values, progress=gr.Progress()):  # noqa: B008 - gradio's way
        config = _config(form, request, values)
        found = _asked("step", config, form, request, progress)
        parts, given = found["batch_parts"], config["accumulation"]
        offered = gr.Button(say(request, "train_use_parts", parts=parts), visible=parts != given)
        return {"step": found, "accumulation": given}, offered, (config["batch"], parts)

    answer = [check.view, check.use, check.offer]
    check.look.click(look, form.inputs, answer, **at_once, **shown)
    check.attempt.click(attempt, form.inputs, answer, **at_once, **shown)
    used = check.use.click(
        lambda offer: (*map(str, offer), gr.Button(visible=False)) if offer else [gr.skip()] * 3,
        check.offer,
        [form.boxes["batch"], form.boxes["accumulation"], check.use],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    form.recheck(used)


def _config(form: Form, request: gr.Request, values: tuple) -> dict[str, Any]:
    """Read the form of a visitor who may use this computer."""
    form.access.check_start(request)
    try:
        filled: Filled = form.read(request, values)
    except ConfigError as error:
        raise ValueError(in_words(request, error)) from error
    return filled.config.to_dict()


def _asked(
    kind: train_probe.Kind, config: dict, form: Form, request: gr.Request, progress: gr.Progress
) -> dict[str, Any]:
    """The answer of a process of its own, whose progress the page shows on the way."""
    doing, language = say(request, f"train_checking_{kind}"), language_of(request)
    progress(None, desc=doing)
    guest = not form.access.is_open(request)
    owner = owner_of(request) if guest else None
    if owner in _ASKING:
        raise ValueError(say(request, "train_check_one"))
    asked: Iterator = train_probe.ask(kind, config, guest=guest)
    try:
        if owner:
            _ASKING.add(owner)
        for told in asked:
            if not isinstance(told, Progress):
                return told
            part = told.done / told.total if told.total > 0 else None
            progress(part, desc=f"{doing}: {translate(told.text, language)}" if told.text else doing)
    except ProbeError as error:
        if error.long:
            raise ValueError(say(request, "train_check_long", minutes=LIMIT_SECONDS // 60)) from error
        raise ValueError(say(request, "train_check_failed", reason=reason_of(error, language_of(request)))) from error
    finally:
        _ASKING.discard(owner)
        asked.close()
    raise AssertionError("a probe ends with an answer or an error")


def _files(samples: list[dict]) -> list[dict]:
    return picture_files([sample["picture"] for sample in samples])
