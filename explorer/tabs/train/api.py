"""Named endpoints for runs: /start_run, /run_status and /stop_run, with the page's own permissions."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.device import ZERO_GPU
from explorer.tabs.train.new.sources import data_source, model_source
from explorer.tabs.train.new.values import read_rates
from explorer.tabs.train.runs.access import RunAccess, owner_of, owner_of_secret
from explorer.tabs.train.watch.view import facts_of, row
from explorer.ui.errors import plain_api_errors
from explorer.ui.visitors.arguments import json_object
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.words import say
from training.config import RunConfig, parse_field
from training.recipes import recipe_named
from training.runs import bounds
from training.runs.runs import Run
from vit_model.errors import quoted


def endpoints(access: RunAccess) -> None:
    """Add the endpoints to the open `gr.Blocks`, on hidden components."""

    @plain_api_errors
    def start_run(request: gr.Request, recipe: str, fields: str, name: str, key: str) -> dict:
        """Start a training run, or queue it while its device is busy.

        recipe: a recipe's name; fields: a JSON object of what differs from it, such as {"data": "shapes", "steps": 50},
        and "rates": [0.001, 0.003] for a sweep; name: what to call it, or empty; key: a secret of yours, 20 characters
        or more, by which the run is yours (not needed on the server's own computer, or when logged in).
        Returns {"run": id, "name", "state"}; watch it with /run_status.
        """
        if ZERO_GPU:
            raise ValueError(say(request, "slices_only"))
        owner = _owner(request, key)
        access.check_start(request, owner)
        config, rates = _config(access, request, recipe, fields)
        guest = not access.is_open(request)
        run = access.runs.create(config, owner=owner or None, name=name or None, sweep=rates, guest=guest)
        return {"run": run.id, "name": run.name, "state": run.state}

    @plain_api_errors
    def run_status(request: gr.Request, run: str, key: str, offset: float) -> dict:
        """State, progress and metrics of a run.

        run: its id; key: as for /start_run; offset: 0 at first, then what the last answer said, to get what is new.
        Returns {"run", "name", "state", "reason", "progress", "facts", "offset", "events": [[split, step, epoch,
        seconds, values], ...]}; states are queued, running, stopping, stopped, finished, failed.
        """
        found = _run(access, request, run, key)
        status = found.status()
        events, reached = found.events(_offset(offset))
        reason = status.reason if access.is_open(request) else without_folders(status.reason)
        about = {"run": found.id, "name": found.name, "state": status.state, "reason": reason}
        told = {"progress": found.progress, "facts": facts_of(found), "events": [row(event) for event in events]}
        return about | told | {"offset": reached}

    @plain_api_errors
    def stop_run(request: gr.Request, run: str, key: str) -> dict:
        """Ask a run to write a checkpoint and stop; it is stopped once /run_status says so.

        run: its id; key: as for /start_run. Returns {"run", "state"}.
        """
        found = _run(access, request, run, key)
        found.ask_stop()
        return {"run": found.id, "state": found.state}

    hidden: dict[str, Any] = {"visible": False}
    run, key = gr.Textbox("", label="run", **hidden), gr.Textbox("", label="key", **hidden)
    recipe = gr.Textbox("scratch-tiny", label="recipe", **hidden)
    fields, name = gr.Textbox("{}", label="fields", **hidden), gr.Textbox("", label="name", **hidden)
    for function, inputs in (
        (start_run, [recipe, fields, name, key]),
        (run_status, [run, key, gr.Number(0, label="offset", **hidden)]),
        (stop_run, [run, key]),
    ):
        gr.Button(visible=False).click(function, inputs, gr.JSON(**hidden), api_name=function.__name__)


def _owner(request: gr.Request, key: str | None) -> str:
    """Return the owner who asks: by key, login or the browser's secret, or NOBODY, which is enough on loopback
    alone."""
    return owner_of_secret((key or "").strip()) or owner_of(request)


def _run(access: RunAccess, request: gr.Request, run_id: str, key: str | None) -> Run:
    try:
        return access.get(run_id, request, owner=owner_of_secret((key or "").strip()))
    except LookupError as error:
        unknown = f"there is no run {str(run_id)[:80]!r}, or it is not yours: pass the key that started it"
        raise ValueError(unknown) from error


def _config(access: RunAccess, request: gr.Request, recipe: str, fields: str) -> tuple[RunConfig, tuple[float, ...]]:
    """Make the config that a client describes. Data and model pass the same gate as those of the page's form."""
    chosen = recipe_named((recipe or "").strip())
    given = json_object("fields", fields)
    local = access.is_open(request)
    rates = given.pop("rates", ())
    typed = {name: _typed(name, value) for name, value in given.items() if name not in ("data", "model", "recipe")}
    typed["data"] = data_source(str(given.get("data", chosen.fields["data"])), None, local, request)
    typed["model"] = model_source(str(given.get("model", chosen.fields["model"])), None, local, request)
    if isinstance(rates, list):
        rates = ",".join(map(str, rates))
    config, rates = chosen.config(**typed), read_rates(str(rates) if rates else "")
    if not local:
        bounds.VISITOR.check_config(config, rates)
    return config, rates


def _typed(name: str, value: Any) -> Any:
    """Parse a field, as JSON or as text as on the command line."""
    return parse_field(name, value) if isinstance(value, str) else value


def _offset(value: float | None) -> int:
    if not isinstance(value, int | float) or value != value or not 0 <= value < 2**53 or value != int(value):
        raise ValueError(f"offset must be a whole number of bytes, got {quoted(value)}")
    return int(value)
