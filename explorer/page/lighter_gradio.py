"""Gradio 6.31.0 made lighter, by what it keeps for each visitor and sends to each browser; and a queue that lasts.

- Each session holds the settings and values of all components, for links to a page as it looks now ("deep links"): 0.1
  to 0.3 s of the server's event loop and 0.8 MB for whoever sends a new session hash. This page offers no such links.
- A session is kept until as many newer ones have come as `launch(state_session_capacity=...)` says, however old it is.
  Messages that nobody fetched outlive it.
- The messages of the session that was first of 2,000 are dropped, also while it waits for an answer; and those of a
  visitor who leaves, before what they have asked for. The queue stumbles over the next message for either, stops, and
  answers nobody any more.
- The page's settings hold the documentation of every component, also of those that no public endpoint takes.
- With each message of any event, a browser copies all that is in every component on which some event has shown its
  progress, and in every output of those events that show none: a tenth of a second and more for each step of a slow
  map, in which nothing can be clicked.

Whose session was dropped gets what a fresh page gets, with the next click.
"""

from __future__ import annotations

import datetime
import warnings
from collections import ChainMap
from typing import Any

import gradio as gr
from gradio import blocks, caching, queueing, route_utils, routes
from gradio.state_holder import SessionState, StateHolder

from explorer.ui.visitors.visitor_files import GuardedBlocks

MADE_FOR = "6.31.0"
MOST_SESSIONS = 2000
"""A visitor who has opened every tab leaves 40 kB, so all together stay below 100 MB. A program's calls leave 1 kB."""
MOST_HOURS = 6  # since its last use; as long as its files are kept


class LightSession(SessionState):
    """A session that holds only its changes: its states, and the components that were set anew."""

    def __init__(self, page: gr.Blocks):
        shared = page.default_config
        assert not shared.renderables, "gr.render writes into a session's events, which are shared here"
        self.blocks_config = blocks.BlocksConfig(page)
        self.blocks_config.blocks = ChainMap({}, shared.blocks)
        self.blocks_config.fns, self.blocks_config.fn_id = shared.fns, shared.fn_id
        self.config_values: dict[int, dict] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, tuple[float, datetime.datetime]] = {}
        self.is_closed = False

    def __setitem__(self, key: int, value: Any) -> None:
        """Keep a state's value, or the component of that number as an event has set it anew. Gradio makes one for each
        `gr.skip()` too, which changes nothing, and with a number of its own, by which the next event would keep it once
        more."""
        present = self.blocks_config.blocks.get(key)
        if isinstance(present, gr.State):
            self.state_data[key] = value
        elif present is None or _settings(present) != _settings(value):
            value._id = key
            choices = value.constructor_args.get("choices")
            if choices and value.choices == choices:  # of one list for all visitors, not a copy each
                value.choices = choices
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Do nothing: there are no links to a page as it looks now."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Do nothing, likewise."""

    @property
    def is_empty(self) -> bool:
        """Whether a new session would be the same: calls of programs leave nothing."""
        return not self.state_data and not self.blocks_config.blocks.maps[0]


def _settings(component: blocks.Block) -> dict[str, Any]:
    return {name: given for name, given in component.constructor_args.items() if name not in ("render", "value")}


class BoundedSessions(StateHolder):
    """As many sessions as the page's capacity, none unused for `MOST_HOURS`. Empty ones go first, then the least
    recently used."""

    def __getitem__(self, session_hash: str) -> SessionState:
        if session_hash not in self.session_data:
            self.session_data[session_hash] = LightSession(self.blocks)
        self.time_last_used[session_hash] = datetime.datetime.now()
        self.update(session_hash)
        return self.session_data[session_hash]

    def update(self, session_hash: str) -> None:
        with self.lock:
            if session_hash in self.session_data:
                self.session_data.move_to_end(session_hash)
            while len(self.session_data) > self.capacity:
                *others, _ = self.session_data
                empty = (other for other in others if self.session_data[other].is_empty)
                self._forget(next(empty, others[0]))

    def delete_all_expired_state(self) -> None:
        """Drop sessions that are too old. Gradio calls this every second."""
        oldest = datetime.datetime.now() - datetime.timedelta(hours=MOST_HOURS)
        with self.lock:
            while self.session_data:
                session_hash = next(iter(self.session_data))
                if self.time_last_used[session_hash] > oldest:
                    return
                self._forget(session_hash)

    def _forget(self, session_hash: str) -> None:
        """Drop a session, and the answers that wait for it, unless one of its events is waiting or running."""
        del self.session_data[session_hash]
        self.time_last_used.pop(session_hash, None)
        queue = self.blocks._queue
        if not _waits(queue, session_hash):
            queue.pending_event_ids_session.pop(session_hash, None)
            queue.pending_messages_per_session.pop(session_hash, None)
        caching.clear_session_caches(session_hash)


class SteadyQueue(queueing.Queue):
    """A queue that goes on when the messages of a waiting visitor are gone: it drops their event, and no others."""

    def __init__(self, *args: Any, **choices: Any):
        super().__init__(*args, **choices)
        self.pending_messages_per_session = _Messages(self)

    def send_message(self, event: queueing.Event, event_message: Any) -> None:
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)
        else:
            event.alive = False


class _Messages(dict):
    """Session -> its messages, for `MOST_SESSIONS` sessions and all that wait; of the others the oldest go."""

    def __init__(self, queue: SteadyQueue):
        super().__init__()
        self._queue = queue

    def __setitem__(self, session_hash: str, messages: Any) -> None:
        super().__setitem__(session_hash, messages)
        if len(self) > MOST_SESSIONS:
            idle = (one for one in self if one != session_hash and not _waits(self._queue, one))
            self.pop(next(idle, None), None)


def _waits(queue: queueing.Queue, session_hash: str) -> bool:
    """Return whether an event of this session is waiting or running."""
    asked = queue.pending_event_ids_session.get(session_hash, ())
    return any(event in queue.event_ids_to_events for event in asked)


class LightPage(GuardedBlocks):
    """`GuardedBlocks` whose settings describe to programs only what a public endpoint takes or returns, and name
    components by their type alone: their classes' hashes are for custom components, which have files of their own. An
    event whose progress is hidden has no component to show it on."""

    def get_config_file(self) -> dict:
        config = super().get_config_file()
        public = [fn for fn in self.fns.values() if fn.api_visibility != "private"]
        documented = {part._id for fn in public for part in (*fn.inputs, *fn.outputs)}
        for component in config["components"]:
            component.pop("component_class_id", None)
            if component["id"] not in documented:
                for key in ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs"):
                    component.pop(key, None)
        for dependency in config["dependencies"]:
            if dependency["show_progress"] == "hidden":
                dependency["show_progress_on"] = []
        return config


def keep_sessions_light() -> None:
    """Have every page that is launched from now on keep its sessions so. Another version of Gradio is left as it is,
    with a warning."""
    if gr.__version__ != MADE_FOR:
        warnings.warn(
            f"sessions are as large as Gradio {gr.__version__} makes them: {__name__} was made for {MADE_FOR}; "
            "read it beside that version, or install the one that requirements.txt names",
            stacklevel=2,
        )
        return
    routes.StateHolder = BoundedSessions
    queueing.Queue = SteadyQueue
    route_utils.SessionState = blocks.SessionState = LightSession
