"""ModelPicker: bundled, well-known, any Hub id, a run's checkpoint, an uploaded file, or (on loopback) a local path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import gradio as gr
from gradio.events import Dependency

from explorer.device import on_space
from explorer.session.scenes import ModelChoice, get_model, parse_size
from explorer.session.turns import check_wanted
from explorer.ui.errors import plain_errors, reason_of
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.visitors.hub_token import login_info, token_for
from explorer.ui.visitors.local_request import is_local
from explorer.ui.visitors.uploads import WEIGHTS, uploaded_checkpoint
from explorer.ui.words import language_of, say, words
from vit_model.checkpoints.known import BUNDLED, KNOWN, SHIPPED
from vit_model.checkpoints.zoo import HUB_PREFIX
from vit_model.errors import HubError, UnknownSourceError

_FOR_VISITORS = {f"hub_{key}": key for key in ("missing", "gated", "revision", "too_large", "no_weights")} | {
    "hub_disk_full": "full",
    "hub_no_room": "full",
}


class MoreModels(Protocol):
    """Models that a visitor may choose beside those that everybody may: checkpoints of their runs."""

    def holds(self, name: str) -> bool:
        """Return whether a name of the list is one of these."""
        ...

    def names(self, request: gr.Request) -> list[tuple[str, str]]:
        """List (label, name) of the models that this visitor may choose."""
        ...

    def chosen(self, name: str, request: gr.Request) -> ModelChoice:
        """Return the choice that a name means now. ValueError, in the visitor's language, if it is gone or not
        theirs."""
        ...


class ModelPicker:
    """The controls, and `choice`: a `gr.State` of the `ModelChoice` in use. It changes only once a model has loaded, so
    that a failure leaves everything as it was. `runs`: checkpoints of runs that are offered as well, each visitor's
    own, looked up when the list is opened. `elem_prefix`: before the ids of its controls, for a second picker."""

    def __init__(self, model: str, local_paths: bool, runs: MoreModels | None = None, elem_prefix: str = ""):
        self.local_paths, self.runs = local_paths, runs
        self._others: list[Dependency] = []
        local = model not in SHIPPED and Path(model).exists()
        self.opened = ModelChoice(model, Path(model).name if local else model, token=None)  # visitors see no path
        self.choice = gr.State(self.opened)
        names = [(words("bundled"), BUNDLED)] + [(f"{known.name} · {known.key}", known.key) for known in KNOWN[1:]]
        known = any(key == model for _, key in names)
        self._names = names if known else [*names, (self.opened.name, self.opened.name)]
        self.name = gr.Dropdown(
            self._names,
            value=self.opened.name,
            label=words("model"),
            info=words("model_info"),
            allow_custom_value=True,
            elem_id=f"{elem_prefix}model",
            elem_classes="model-name",
        )
        self.size = gr.Dropdown(
            ["native", "224", "384", "512"],
            value="native",
            label=words("size"),
            info=words("size_info"),
            allow_custom_value=True,
            elem_id=f"{elem_prefix}size",
        )
        with gr.Accordion(words("own"), open=False, elem_id=f"{elem_prefix}own"):
            gr.Markdown(words("own_info"))
            self.files = gr.File(
                label=words("own_files"),
                file_count="multiple",
                file_types=[*WEIGHTS, ".json"],
                height=120,
                elem_id=f"{elem_prefix}own-files",
            )
            self.path = gr.Textbox(
                label=words("own_path"),
                info=words("own_path_info"),
                visible=local_paths,
                elem_id=f"{elem_prefix}own-path",
            )
            self.load = gr.Button(words("load"), size="sm", elem_id=f"{elem_prefix}own-load")
        self._fields = [self.name, self.size, self.files, self.path]
        self._quiet = {
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": 4,
            "show_progress_on": self.name,
            "trigger_mode": "multiple",  # nobody waits for the download of a model that they no longer want
        }

    def chosen(self, then, **event) -> None:
        """Call `then` after a model was chosen and has loaded."""
        named, resized, owned = self.connect()
        ways = [(named, "named"), (resized, None), (owned, "own"), *((other, "named") for other in self._others)]
        for event_before, way in ways:
            event_before.success(then, **event)
            keep_way = f"window.vitKept?.keep('way', '{way}');" if way else ""
            js = f"(...fields) => {{ window.vitKept?.keep('model', fields); {keep_way} }}"
            event_before.success(None, self._fields, js=js, api_visibility="private", queue=False)

    def connect(self) -> list[Dependency]:
        """Wire the events that set `choice`, and return them. A second picker's `choice.change` can be listened to."""
        named = self.name.input(self._by_name, [self.name, self.size], self.choice, **self._quiet)
        resized = self.size.input(self._resized, [self.choice, self.name, self.size], self.choice, **self._quiet)
        owned = self.load.click(self._own, [self.files, self.path, self.size], [self.choice, self.name], **self._quiet)
        resized.failure(  # a refused name stays, to be mended; a refused size would stand in the next model's way
            lambda choice: "x".join(map(str, choice.size)) if choice.size else "native",
            self.choice,
            self.size,
            api_visibility="private",
            show_progress="hidden",
            queue=False,
        )
        if self.runs is not None:
            self.name.focus(
                self._listed, None, self.name, api_visibility="private", show_progress="hidden", queue=False
            )
        return [named, resized, owned]

    def kept_over_reload(self, page: gr.Blocks, then: Callable, **event) -> None:
        """Choose again what was chosen before a reload, by the same way and with the same checks. After `chosen`."""
        way = gr.Textbox(visible="hidden")
        page.load(
            None,
            None,
            [*self._fields, way],
            js="""() => {
                const { model, way } = window.vitKept?.before ?? {};
                return model ? [...model, way ?? "named"] : Array(5).fill({ __type__: "update" });
            }""",
            api_visibility="private",
            queue=False,
        )
        again = way.change(self._again, [way, *self._fields], [self.choice, self.name], **self._quiet)
        again.success(then, **event)

    def also_chosen_by(self, event: Dependency) -> None:
        """Let another event of the page, one that sets `choice`, count as a choice of the visitor. Before `chosen`."""
        self._others.append(event)

    def showing(self, name: str, request: gr.Request) -> gr.Dropdown:
        """Return the dropdown with a run's checkpoint, by a name of `runs`, as its choice. A model that still loads
        comes too late."""
        ORDER.newest(asker(request, self.name.elem_id), next(BEGUN))
        return gr.Dropdown(choices=self._offered(request), value=name)

    def _listed(self, request: gr.Request) -> gr.Dropdown:
        return gr.Dropdown(choices=self._offered(request))

    def _offered(self, request: gr.Request) -> list:
        return [*self._names, *(self.runs.names(request) if self.runs is not None else ())]

    @plain_errors
    def _by_name(self, request: gr.Request, name: str, size: str, progress=gr.Progress()):  # noqa: B008 - gradio's way
        begun, name = next(BEGUN), (name or "").strip()
        try:
            if self.runs is not None and self.runs.holds(name):
                choice = self.runs.chosen(name, request)
            else:
                choice = self.opened if name == self.opened.name else ModelChoice(public_source(name), name)
            return self._load(choice, size, request, progress, begun)
        except UnknownSourceError as error:
            raise ValueError(say(request, "unknown_model", name=name[:200])) from error

    @plain_errors
    def _resized(self, request: gr.Request, choice: ModelChoice, name: str, size: str, progress=gr.Progress()):  # noqa: B008
        if name and name.strip() != choice.name:  # the size is for the model that is still on its way
            return self._by_name(request, name, size, progress)
        return self._load(replace(choice, size=None), size, request, progress, next(BEGUN))

    @plain_errors
    def _own(self, request: gr.Request, files, path: str, size: str, progress=gr.Progress()):  # noqa: B008
        begun = next(BEGUN)
        if path and path.strip():
            if not (self.local_paths and is_local(request)):
                raise ValueError(say(request, "local_refused"))
            source = name = path.strip()
        else:
            source, name = uploaded_checkpoint(files or [], request)
        chosen = self._load(ModelChoice(str(source), name), size, request, progress, begun)
        return chosen, name if isinstance(chosen, ModelChoice) else gr.skip()

    def _again(self, request: gr.Request, way: str, name: str, size: str, files, path: str, progress=gr.Progress()):  # noqa: B008
        if way == "own":
            return self._own(request, files, path, size, progress)
        return self._by_name(request, name, size, progress), name

    def _load(
        self, choice: ModelChoice, size: str, request: gr.Request, progress: gr.Progress, begun: int
    ) -> ModelChoice | dict:
        """Load the model and return its choice; `gr.skip()` if a later choice has loaded meanwhile."""
        loading = say(request, "loading_model", name=choice.name)

        def report(done: int, total: int, file: str) -> None:
            check_wanted()
            if done < total:
                megabytes = {"done": f"{done / 1e6:.1f}", "total": f"{total / 1e6:.1f}"}
                progress(done / total, desc=say(request, "downloading", file=file, **megabytes))
            else:
                progress(None, desc=loading)

        progress(None, desc=loading)
        host = self.local_paths and is_local(request)
        choice = replace(choice, token=token_for(choice.name, request, host, self.opened.name))
        try:
            native = get_model(choice, report)
        except HubError as error:
            raise ValueError(hub_reason(error, request, self.local_paths)) from error
        sized = replace(choice, size=parse_size(size, native.config.patch_size))
        get_model(sized)
        return sized if ORDER.newest(asker(request, self.name.elem_id), begun) else gr.skip()


def public_source(name: str | None) -> str:
    """Turn a name that a visitor typed into a source for `load_model`: a bundled model or a Hub id, never a path."""
    name = (name or "").strip()
    return name if name in SHIPPED else HUB_PREFIX + name.removeprefix(HUB_PREFIX)


def hub_reason(error: HubError, request: gr.Request | None, local_paths: bool) -> str:
    """Say why a model could not be fetched. On a page for others: without names of its folders and settings, and
    without advice that only the host can follow."""
    if local_paths and is_local(request):
        return f"{reason_of(error, language_of(request))}. {say(request, 'hub_folder')}"
    key = _FOR_VISITORS.get(error.code, "down")
    told = say(request, f"visitor_hub_{key}", **error.details)
    if key in ("missing", "gated") and on_space() and not login_info(request):
        told += " " + say(request, "visitor_hub_login")
    return told
