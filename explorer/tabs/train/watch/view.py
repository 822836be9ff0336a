"""TrainLiveView: the curves of one run, which its browser keeps and this server only adds to."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

from gradio.components.base import server

from explorer.ui.visitors.host_paths import without_folders
from explorer.viewer.kit.component import Caption, Component
from training.command import public_name
from training.config import ConfigError
from training.runs.metrics import CHUNK, MetricEvent
from training.runs.runs import Run
from vit_model.messages import message_of

LOG_BYTES = 20_000  # of the output that a browser gets at once
MAX_OFFSET = 2**53

Told = Callable[[str], Caption]
FindRun = Callable[[str, str], Run | None]
"""(run id, ticket), both from anyone -> the run, or None where there is none or the ticket does not open it."""


class TrainLiveView(Component):
    """One run, live. Value: {"run": id, "ticket": str, "secret": bool, "state": its state, "seq": any} or None. Its
    events: `moved`, the run is in another state than the value said, or than it was; `resume`, it is to go on.

    `find` decides at every call what a ticket opens; `told` translates what the trainer says of itself. `secret`:
    whether a link to the run has to carry its ticket. The page asks for rows from the byte that it has reached, so it
    makes no difference to this server whether it is new, was reloaded, or saw the server restart.
    """

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"
    script_events = ("moved", "resume")

    def __init__(
        self,
        value: dict | None = None,
        *,
        find: FindRun,
        told: Told,
        **kwargs: Any,
    ):
        self._find, self._told = find, told
        super().__init__(value, **kwargs)

    @server
    def tail(self, request: Any) -> dict[str, Any]:
        """{"run", "ticket", "offset", "log_offset"} -> state, progress and whatever is new since; or {"error": text}.

        `offset` is what the last answer said (0 at first), `log_offset` too (null at first: the end of the output).
        """
        try:
            run = self._run(request, {"run", "ticket", "offset", "log_offset"})
            offset, log_offset = (_offset(request[name]) for name in ("offset", "log_offset"))
        except LookupError:
            return {"error": "no such run, or not yours", "gone": True}
        except ValueError as error:
            return {"error": str(error)}
        status = run.status()  # before the events: what an ended run wrote last is then among them
        events, reached = run.events(offset or 0)
        progress = run.progress
        if note := progress.get("note"):
            progress["note"] = self._told(without_folders(note))
        text, log_reached = run.log(log_offset, limit=LOG_BYTES)
        return {
            "name": run.name,
            "state": status.state,
            "reason": self._told(without_folders(status.reason)),  # visitors see no path of the host's
            "progress": progress,
            "rows": [row(event) for event in events],
            "offset": reached,
            "more": reached - (offset or 0) > CHUNK // 2,
            "log": without_folders(text.replace(f"{run.path.parent}{os.sep}", "")),
            "log_offset": log_reached,
            "facts": facts_of(run),
        }

    @server
    def stop(self, request: Any) -> dict[str, Any]:
        """{"run", "ticket"} -> {"state"} or {"error": text}."""
        try:
            run = self._run(request, {"run", "ticket"})
            run.ask_stop()  # the server's Dispatcher sees it through
        except LookupError:
            return {"error": "no such run, or not yours", "gone": True}
        except (ValueError, OSError) as error:
            return {"error": self._told(without_folders(message_of(error)))}
        return {"state": run.state}

    def _run(self, request: Any, fields: set[str]) -> Run:
        """The run that anyone on the network asked for. ValueError on nonsense, LookupError where the ticket does not
        open it."""
        if not isinstance(request, dict) or set(request) != fields:
            raise ValueError(f"expected an object with {', '.join(sorted(fields))}")
        for name in ("run", "ticket"):
            if not isinstance(request[name], str) or len(request[name]) > 200:
                raise ValueError(f"{name} must be a short string")
        run = self._find(request["run"], request["ticket"])
        if run is None:
            raise LookupError(request["run"])
        return run


def row(event: MetricEvent) -> list:
    """[split, step, epoch, seconds, values] with null for what is not finite."""
    values = {name: value if math.isfinite(value) else None for name, value in event.values.items()}
    return [event.split, event.step, event.epoch, event.seconds, values]


def facts_of(run: Run) -> dict[str, Any]:
    """What the run was told, for its heading; nothing where its run.json is damaged."""
    try:
        config = run.config
    except ConfigError:
        return {}
    known = {name: getattr(config, name) for name in ("recipe", "batch", "accumulation", "device")}
    return known | {"data": public_name(config.data), "model": public_name(config.model)}


def _offset(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < MAX_OFFSET:
        raise ValueError("offset must be a whole number of bytes")
    return value
