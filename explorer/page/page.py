"""The page: model, picture and prediction beside the tabs, and the one function that fills the tab in sight."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

from explorer.device import device_report
from explorer.page import endpoints as api
from explorer.page.picture_folders import PictureFolders
from explorer.page.refusals import Page
from explorer.session.scenes import ModelChoice, Scene, could_be_other_than_square, scene_of
from explorer.tabs.attention import tab as attention
from explorer.tabs.compare import tab as compare
from explorer.tabs.explain import tab as explain
from explorer.tabs.faithfulness import tab as truth
from explorer.tabs.figures import tab as figures
from explorer.tabs.inside import tab as inside
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.patches import tab as patches
from explorer.tabs.positions import tab as positions
from explorer.tabs.rollout import tab as rollout
from explorer.tabs.train import tab as train
from explorer.tabs.train.results.panel import Explorer
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import RunCheckpoints
from explorer.ui.errors import plain_errors
from explorer.ui.examples import example_files, name_examples
from explorer.ui.manifest import manifest_of, saved_npz
from explorer.ui.model_picker import ModelPicker
from explorer.ui.picture import Picture, changed_once, kept_over_reload
from explorer.ui.sent_values import SentValues
from explorer.ui.stale_work import BEGUN, LATEST, asker, stopping
from explorer.ui.tab import Tab
from explorer.ui.visitors.local_request import is_local
from explorer.ui.words import TEXT, language_of, say, words
from explorer.viewer.kit.component import script_stub
from explorer.viewer.scene_bar.scene_bar import SceneBar
from training.runs.runs import Runs

CACHE_HOURS = 6
CSS = (Path(__file__).parent / "page.css").read_text("utf-8")


def build_page(model: str = "bundled", local_paths: bool = False) -> gr.Blocks:
    """The whole page. `local_paths`: whether visitors may name files of this computer (loopback only)."""
    with Page(
        local_paths=local_paths,
        title="ViT Explorer",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(1800, CACHE_HOURS * 3600),
    ) as demo:
        active = gr.State("attention")
        gr.HTML(
            html_template=(Path(__file__).parent / "header.html").read_text("utf-8"),
            js_on_load=script_stub(Path(__file__).parent / "header.js"),
            css_template=(Path(__file__).parent / "header.css").read_text("utf-8"),
            apply_default_css=False,
            text={code: {key: TEXT[code][key] for key in ("tagline", "other_language")} for code in TEXT},
            elem_id="header",
        )
        others = gr.Markdown(visible=False, elem_id="open-to-others", elem_classes="subdued")
        bar = SceneBar(elem_id="scene-bar")
        with gr.Row(elem_id="page"):
            with gr.Column(scale=1, min_width=300, elem_id="side"):
                picture = Picture(
                    value=str(example_files()[0]),
                    label=words("picture"),
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard", "webcam"],
                    elem_id="picture",
                    height=260,
                )
                gr.Examples(
                    [str(file) for file in example_files()],
                    inputs=picture,
                    label=words("examples"),
                    elem_id="examples",
                    api_visibility="private",
                )
                checkpoints = RunCheckpoints(RunAccess(Runs(), local_paths))
                picker = ModelPicker(model, local_paths, checkpoints)
                card = SceneBar(elem_id="model-card")
            with gr.Column(scale=3, min_width=320, elem_id="main"):
                with gr.Tabs(selected="attention", elem_id="tabs") as strip:
                    tabs = [patches.build(), attention.build(), rollout.build(), positions.build()]
                    tabs += [module.build(picker.choice, picture) for module in (explain, truth)]
                    tabs += [inside.build(), laboratory.build(picker.choice, picture)]
                    tabs += [
                        compare.build(local_paths, checkpoints),
                        figures.build(local_paths, PictureFolders(local_paths)),
                    ]
                    training = train.build(local_paths, Explorer(picture, picker, strip, active))
                with gr.Row(elem_id="save") as save_row:
                    save_button = gr.Button(words("save_npz"), size="sm", scale=0, min_width=240, elem_id="save-npz")
                    saved = gr.File(visible=False, label=words("download"), elem_id="saved-npz", height=90)
        viewer_states = gr.Textbox(visible=False)
        shown = [gr.State() for _ in tabs]  # each tab's `SentValues`
        readable = gr.State(str(example_files()[0]))  # the picture that is analysed

        common = [picker.choice, picture]
        controls = [control for tab in tabs for control in tab.inputs]
        outputs = [bar, card, *shown, *(output for tab in tabs for output in (*tab.outputs, *tab.classes))]

        @plain_errors
        def fill(request: gr.Request, active: str, choice: ModelChoice, picture_file: str | None, *states):
            return _fill(tabs, request, active, choice, picture_file, states)

        def fill_tab(name: str):
            @plain_errors
            def fill_one(request: gr.Request, _: str, choice: ModelChoice, picture_file: str | None, *states):
                return _fill(tabs, request, name, choice, picture_file, states)

            return fill_one

        @plain_errors
        def save(
            request: gr.Request, active: str, choice: ModelChoice, picture_file: str | None, states: str, *controls
        ):
            return _save(tabs, request, active, choice, picture_file, states, controls)

        event = {
            "inputs": [active, *common, *shown, *controls],
            "outputs": outputs,
            "api_visibility": "private",
            "show_progress": "minimal",
            "show_progress_on": bar,
            "trigger_mode": "always_last",
            "concurrency_id": "fill",  # one queue for all: they begin in the order in which they were asked for
            "concurrency_limit": 8,
            "js": "(...given) => { delete document.body.dataset.vitFill; return given; }",  # see base.css
        }
        opening = demo.load(fill, **event)
        in_place: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        if local_paths:
            demo.load(open_to_others, None, others, **in_place)
        failed = {"js": "() => { document.body.dataset.vitFill = 'failed'; }", **in_place}
        opening.failure(None, **failed)
        given = changed_once(picture)
        analysed = given.change(fill, **event)
        analysed.success(lambda file: file or gr.skip(), picture, readable, **in_place)
        analysed.failure(lambda file: file, readable, picture, **in_place)
        analysed.failure(None, **failed)
        picker.chosen(fill, **event)
        name_examples(demo)
        kept_over_reload(demo, picture, strip)
        picker.kept_over_reload(demo, fill, **event)
        gr.on([given.change, picker.choice.change], lambda: gr.File(visible=False), None, saved, **in_place)
        switched = in_place | {"trigger_mode": "always_last"}
        training.item.select(lambda: ("train", gr.Row(visible=False)), None, [active, save_row], **switched)
        training.wire(demo, strip)
        for tab in tabs:
            opened = (tab.name, gr.Row(visible=True), gr.File(visible=False))
            tab.item.select(lambda opened=opened: opened, None, [active, save_row, saved], **switched)
            tab.item.select(fill_tab(tab.name), **event).failure(None, **failed)
            for control in tab.inputs:
                # What is typed may be refused, and after a failure Gradio forgets the last of `always_last`. A text is
                # read when it is complete: "3" and "38" on the way to "384" are no sizes
                typed = {"trigger_mode": "multiple"} if isinstance(control, gr.Textbox | gr.Number) else {}
                complete = [control.submit, control.blur] if isinstance(control, gr.Textbox) else [control.change]
                gr.on(complete, fill_tab(tab.name), **event | typed)  # `active` may still be the tab before
        for tab in tabs:
            if tab.show_later:
                tab.outputs[0].change(
                    _later(tab),
                    [*common, *tab.inputs],
                    tab.later_outputs,
                    api_visibility="private",
                    show_progress="hidden" if tab.stop else "minimal",
                    trigger_mode="always_last",
                )
                if tab.stop:
                    tab.stop.click(stopping(tab.name), None, None, **in_place)
        save_button.click(
            save,
            [active, *common, viewer_states, *controls],
            saved,
            js="(active, choice, picture, states, ...controls) => "
            "[active, choice, picture, JSON.stringify({ ...window.vitStates, tab: window.vitTab?.() }), ...controls]",
            api_visibility="private",
            show_progress_on=saved,
        )
        api.endpoints(local_paths, picker.opened.name)
    return demo


def theme() -> gr.themes.Base:
    """Quiet, and with fonts that come with Gradio: nothing is fetched from another host. Two weights only, since the
    semi-bold files that Gradio carries lack most glyphs."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=[LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
    ).set(
        block_label_text_weight="400",
        block_title_text_weight="400",
        button_small_text_weight="400",
        body_text_color_subdued="*neutral_500",  # at least 4.5 to 1 on white, as WCAG's AA asks
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def open_to_others(request: gr.Request) -> gr.Markdown:
    """What a page of this computer says to who comes to it by another name or through a proxy."""
    return gr.Markdown(say(request, "open_to_others"), visible=not is_local(request))


def _fill(
    tabs: Sequence[Tab],
    request: gr.Request,
    active: str,
    choice: ModelChoice,
    picture_file: str | None,
    states: Sequence,
) -> list:
    """Everything in sight: the bar, and the tab `active` unless the browser already shows it so; the other tabs are
    left as they are until they are opened. `states`: each tab's `SentValues` or None, then all controls."""
    if not picture_file:
        return [gr.skip()] * (2 + len(tabs) + sum(len(tab.outputs) + len(tab.classes) for tab in tabs))
    before, controls, begun = states[: len(tabs)], states[len(tabs) :], next(BEGUN)
    scene = scene_of(choice, picture_file)
    labels = scene.model.labels if scene.model.config.classes else ()
    shown: list = []
    values: list = []
    for tab, last, own in zip(tabs, before, _shares(tabs, controls), strict=True):
        key, seen = (scene.name, scene.key, language_of(request), *own), (choice, picture_file, *own)
        made = _made(tab, scene, request, begun, last, key, seen) if tab.name == active else None
        if made is None:
            shown.append(gr.skip())
            values.extend(gr.skip() for _ in (*tab.outputs, *tab.classes))
        else:
            shown.append(SentValues.of(key, labels, made))
            values.extend(made)
            listed = last and last.labels == labels
            values.extend(gr.skip() if listed else gr.Dropdown(choices=_listed(labels)) for _ in tab.classes)
    newest = LATEST.newest(asker(request, "bar"), begun)
    bars = [_bar(scene), _card(scene, request)] if newest else [gr.skip(), gr.skip()]
    return [*bars, *shown, *values]


def _made(
    tab: Tab, scene: Scene, request: gr.Request, begun: int, last: SentValues | None, key: tuple, seen: tuple
) -> Sequence | None:
    """What the tab shows; None where the browser shows it already, or what an event that began later has chosen.
    `seen`: the page's model and picture, then the tab's own controls."""
    who = asker(request, tab.name)
    if not LATEST.newest(who, begun) or (last and last.still(key) and LATEST.settled(who, seen)):
        return None
    made = tab.show(scene, request, *seen[2:])
    return made if LATEST.ask(who, seen, begun=begun) else None


def _later(tab: Tab) -> Callable:
    @plain_errors
    def fill_later(request: gr.Request, choice: ModelChoice, picture_file: str | None, *own):
        if not picture_file:
            return
        seen = (choice, picture_file, *own)
        steps = tab.show_later(scene_of(choice, picture_file), request, *own)
        if (yield from LATEST.answer(asker(request, tab.name), seen, steps)) == "stopped":
            yield tab.stopped(request)

    return fill_later


def _shares(tabs: Sequence[Tab], controls: Sequence) -> list[list]:
    """The values of all controls, dealt out to the tabs that own them."""
    values = iter(controls)
    return [[next(values) for _ in tab.inputs] for tab in tabs]


@lru_cache(8)
def _listed(labels: tuple[str, ...]) -> list[tuple[str, str]]:
    """(label, what `named_class` reads) of every class; one list for all visitors."""
    return [(label.replace("_", " "), f"#{index}") for index, label in enumerate(labels)]


def _bar(scene: Scene) -> dict:
    """The prediction, always in sight."""
    return {"seq": scene.key, "top": scene.top(), "card": "", "note": ""}


def _card(scene: Scene, request: gr.Request) -> dict:
    """The model in one line, and what to know of it, in the visitor's language."""
    model, config = scene.model, scene.model.config
    device, details = device_report()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card = say(
        request,
        "card",
        source=scene.name,
        format=model.origin.format,
        height=config.image_size[0],
        width=config.image_size[1],
        ph=config.patch_size[0],
        pw=config.patch_size[1],
        gh=config.grid[0],
        gw=config.grid[1],
        tokens=config.tokens,
        parameters=f"{parameters / 1e6:.1f} M",
        depth=config.depth,
        heads=config.heads,
        device=say(request, device, **details),
    )
    note = ""
    if not config.classes:
        note = say(request, "no_head")
    elif scene.choice.size is None and could_be_other_than_square(model):
        note = say(request, "square_assumed", gh=config.grid[0], gw=config.grid[1])
    elif scene.name == "bundled":
        note = say(request, "bundled_note", labels=", ".join(label.replace("_", " ") for label in model.labels))
    if scene.choice.size is None and model.origin.own_size:
        own, most = ("x".join(map(str, size)) for size in (model.origin.own_size, config.image_size))
        note = f"{say(request, 'size_bounded', own=own, most=most)} {note}".strip()
    return {"seq": f"{scene.key}-{language_of(request)}", "top": [], "card": card, "note": note}


def _save(
    tabs: Sequence[Tab],
    request: gr.Request,
    active: str,
    choice: ModelChoice,
    picture_file: str | None,
    states: str,
    controls: Sequence,
) -> gr.File:
    """The numbers of the tab in sight, as an NPZ with its manifest."""
    if not picture_file:
        raise ValueError(say(request, "need_picture"))
    scene = scene_of(choice, picture_file)
    state = json.loads(states or "{}")
    state = state if isinstance(state, dict) else {}
    if any(tab.name == state.get("tab") for tab in tabs):
        active = state["tab"]  # the server hears of a tab a moment after it was opened
    state = state.get(active)
    tab, own = next(pair for pair in zip(tabs, _shares(tabs, controls), strict=True) if pair[0].name == active)
    arrays, choices = tab.arrays(scene, state if isinstance(state, dict) else {}, *own)
    return gr.File(saved_npz(active, arrays, manifest_of(scene, active, **choices)), visible=True)
