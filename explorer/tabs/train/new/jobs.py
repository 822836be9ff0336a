"""Hugging Face Jobs: the run that the form describes, on a machine of theirs, on the visitor's own account."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from explorer.tabs.train.new.form import Form, in_words
from explorer.tabs.train.results.download import token_for
from explorer.ui.errors import plain_errors
from explorer.ui.words import say, words
from training.config import ConfigError
from training.hosted import jobs

FLAVORS = ("cpu-upgrade", "t4-small", "l4x1", "a10g-small", "a10g-large", "a100-large")  # any other can be typed


def build(form: Form) -> None:
    """Build the panel inside an open tab, below the form."""
    with gr.Accordion(words("jobs_title"), open=False, elem_id="jobs"):
        gr.Markdown(words("jobs_info"), elem_classes="subdued")
        with gr.Row():
            repo = gr.Textbox(label=words("jobs_repo"), info=words("take_repo_info"), max_lines=1, elem_id="jobs-repo")
            flavor = gr.Dropdown(
                list(FLAVORS),
                value=jobs.FLAVOR,
                label=words("jobs_flavor"),
                info=words("jobs_flavor_info"),
                allow_custom_value=True,
                elem_id="jobs-flavor",
            )
            timeout = gr.Textbox(
                jobs.TIMEOUT,
                label=words("jobs_timeout"),
                info=words("jobs_timeout_info"),
                max_lines=1,
                elem_id="jobs-timeout",
            )
        with gr.Row():
            private = gr.Checkbox(True, label=words("take_private"), min_width=120, elem_id="jobs-private")
            overwrite = gr.Checkbox(False, label=words("take_overwrite"), min_width=200, elem_id="jobs-overwrite")
        with gr.Row():
            look = gr.Button(words("jobs_look"), scale=0, min_width=220, elem_id="jobs-look")
            send = gr.Button(words("jobs_send"), scale=0, min_width=260, interactive=False, elem_id="jobs-send")
        seen = gr.State("")  # the request that was looked at: no other is sent
        sent = gr.Markdown(elem_id="jobs-sent")  # beside the buttons: what it costs, and then where it runs
        request_view = gr.Code(
            visible=False, language="json", label=words("jobs_request"), interactive=False, elem_id="jobs-request"
        )

    asked = [repo, flavor, timeout, private, overwrite]

    @plain_errors
    def show(request: gr.Request, *values):
        job = job_of(form, request, values)
        shown, price = _shown(job), jobs.price_of(job.flavor, job.timeout)
        cost = say(request, "jobs_price", **price.in_dollars()) if price else say(request, "jobs_no_price")
        return gr.Code(shown, visible=True), gr.Button(interactive=True), shown, cost

    @plain_errors
    def submit(request: gr.Request, login: gr.OAuthToken | None, seen: str, *values):
        job = job_of(form, request, values)
        if _shown(job) != seen:
            raise ValueError(say(request, "jobs_changed"))
        address = jobs.send(job, token_for(form.access, request, login))
        return say(request, "jobs_sent", url=address, repo=job.push_to), gr.Button(interactive=False), ""

    private_: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "push", "concurrency_limit": 2}
    look.click(show, [*asked, *form.inputs], [request_view, send, seen, sent], **private_)
    send.click(submit, [seen, *asked, *form.inputs], [sent, send, seen], trigger_mode="once", **private_)


def job_of(form: Form, request: gr.Request, values: tuple) -> jobs.Job:
    """Make the Job that the boxes describe. ValueError, in the visitor's language, if it cannot run elsewhere."""
    repo, flavor, timeout, private, overwrite, *filled = values
    try:
        found = form.read(request, filled)
        return jobs.job_for(
            found.config,
            _typed(repo),
            rates=found.rates,
            flavor=_typed(flavor),
            timeout=_typed(timeout),
            private=bool(private),
            overwrite=bool(overwrite),
        )
    except ConfigError as error:
        raise ValueError(in_words(request, error)) from error


def _shown(job: jobs.Job) -> str:
    """As `send` asks for it, the token masked and the script line by line."""
    told = job.shown()
    told["command"] = [line for word in told["command"] for line in word.splitlines()]
    return json.dumps(told, indent=2, ensure_ascii=False)


def _typed(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
