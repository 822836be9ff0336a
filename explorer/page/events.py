"""The page's events: the prediction bar, the tab in sight, and Save NPZ. None carries anything of two tabs.

A new picture or model has two events side by side: the bar's, which says why a picture or model is refused, and that of
the tab in sight. Only the browser knows which tab that is, so the script of the bar's event clicks a button out of
sight, one for each tab. Save NPZ works in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from explorer.page.scene_card import bar_value, card_value
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.errors import plain_errors
from explorer.ui.events.fill import fill_later, fill_tab, find_scene
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.events.stale_work import stop_handler
from explorer.ui.manifest import manifest_of, saved_npz
from explorer.ui.model_picker import ModelPicker
from explorer.ui.picture import Picture, changed_once, kept_over_reload
from explorer.ui.tab import Tab
from explorer.ui.words import say
from explorer.viewer.scene_bar.scene_bar import SceneBar

IN_PLACE = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
FILLING = "delete document.body.dataset.vitFill;"  # see base.css
SHOW, HIDE = "{ __type__: 'update', visible: true }", "{ __type__: 'update', visible: false }"
FAILED = {"js": "() => { document.body.dataset.vitFill = 'failed'; }", **IN_PLACE}


@dataclass(frozen=True)
class SaveRow:
    row: gr.Row
    button: gr.Button
    file: gr.File


@dataclass(frozen=True)
class PageParts:
    """What the page's events need of it. `other_items`: tabs that show no scene."""

    bar: SceneBar
    card: SceneBar
    picture: Picture
    picker: ModelPicker
    strip: gr.Tabs
    tabs: Sequence[Tab]
    other_items: Sequence[gr.Tab]
    save: SaveRow

    @property
    def scene(self) -> list[Component]:
        """The model's choice and the picture, which every event that shows something carries."""
        return [self.picker.choice, self.picture]


def wire_page(demo: gr.Blocks, parts: PageParts, first_picture: str) -> None:
    """Make the page live, inside its open `gr.Blocks`. It opens with `first_picture`."""
    for item in (*(tab.item for tab in parts.tabs), *parts.other_items):
        _show_save_row(parts, item)
    for tab in parts.tabs:
        _wire_tab(parts, tab)
    _wire_bar(demo, parts, first_picture)
    _wire_save(parts)


def _wire_bar(demo: gr.Blocks, parts: PageParts, first_picture: str) -> None:
    """Bar and card of each new picture or model, which also wakes the tab in sight. A picture that is refused gives way
    to the one before."""
    readable = gr.State(first_picture)  # the picture that is analysed

    @plain_errors
    def show_bar(request: gr.Request, choice: ModelChoice, picture_file: str | None):
        return bar_and_card(request, choice, picture_file)

    @plain_errors
    def open_bar(request: gr.Request, choice: ModelChoice, picture_file: str | None):
        return bar_and_card(request, choice, picture_file, says_refusal=False)

    event = {
        "inputs": parts.scene,
        "outputs": [parts.bar, parts.card],
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": parts.bar,
        "trigger_mode": "always_last",
        "concurrency_id": "bar",  # one queue for all: they begin in the order of the visitor's choices
        "concurrency_limit": 8,
    }
    waking = event | {"js": _script(FILLING, _click_of_tab("wake"))}
    file = changed_once(parts.picture)
    gr.on([file.change, parts.picker.choice.change], None, None, parts.save.file, js=f"() => [{HIDE}]", **IN_PLACE)
    demo.load(open_bar, **event, js=_script(FILLING)).failure(None, **FAILED)
    analysed = file.change(show_bar, **waking)
    analysed.success(lambda file: file or gr.skip(), parts.picture, readable, **IN_PLACE)
    analysed.failure(lambda file: file, readable, parts.picture, **IN_PLACE)
    analysed.failure(None, **FAILED)
    parts.picker.chosen(show_bar, **waking)
    kept_over_reload(demo, parts.picture, parts.strip)
    parts.picker.kept_over_reload(demo, show_bar, **waking)


def bar_and_card(
    request: gr.Request, choice: ModelChoice, picture_file: str | None, says_refusal: bool = True
) -> list[dict]:
    """What the prediction bar and the model card show; `gr.skip()` where an event that began later has chosen something
    else. `says_refusal`: as in `find_scene`."""
    if not picture_file:
        return [gr.skip(), gr.skip()]
    begun = next(BEGUN)
    scene = find_scene(request, choice, picture_file, says_refusal)
    newest = ORDER.newest(asker(request, "bar"), begun)
    return [bar_value(scene), card_value(scene, request)] if newest else [gr.skip(), gr.skip()]


def _wire_tab(parts: PageParts, tab: Tab) -> None:
    """Fill the tab when it is opened, woken, or one of its controls has moved."""
    sent = gr.State()  # the tab's `SentValues`
    wake = gr.Button(visible="hidden", elem_id=f"wake-{tab.name}")

    @plain_errors
    def fill(request: gr.Request, choice: ModelChoice, picture_file: str | None, *states):
        return fill_tab(tab, request, choice, picture_file, *states)

    @plain_errors
    def follow(request: gr.Request, choice: ModelChoice, picture_file: str | None, *states):
        return fill_tab(tab, request, choice, picture_file, *states, says_refusal=False)

    event = {
        "inputs": [*parts.scene, sent, *tab.inputs],
        "outputs": [sent, *tab.outputs, *tab.classes],
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": parts.bar,
        "trigger_mode": "always_last",
        "concurrency_id": "fill",  # one queue for all: they begin in the order in which they were asked for
        "concurrency_limit": 8,
    }
    tab.item.select(fill, **event, js=_script(FILLING)).failure(None, **FAILED)
    # After a failure Gradio forgets the last of `always_last`, and the bar's event, which is that, sets the pace
    wake.click(follow, **event | {"trigger_mode": "multiple"}).failure(None, **FAILED)
    for control in tab.inputs:
        # What is typed may be refused, which would lose the last one as well. A text is read when it is complete: "3"
        # and "38" on the way to "384" are no sizes
        typed = {"trigger_mode": "multiple"} if isinstance(control, gr.Textbox | gr.Number) else {}
        complete = [control.submit, control.blur] if isinstance(control, gr.Textbox) else [control.change]
        gr.on(complete, fill, **event | typed)
    if tab.show_later:
        tab.outputs[0].change(
            fill_later(tab),
            [*parts.scene, *tab.inputs],
            tab.later_outputs,
            api_visibility="private",
            show_progress="hidden" if tab.stop else "minimal",
            trigger_mode="always_last",
        )
        if tab.stop:
            tab.stop.click(stop_handler(tab.name), None, None, **IN_PLACE)


def _wire_save(parts: PageParts) -> None:
    """Save NPZ takes the numbers of the tab in sight."""
    viewer_state = gr.Textbox(visible=False)  # the script below fills it in
    parts.save.button.click(None, js=_script(_click_of_tab("save")), **IN_PLACE)
    for tab in parts.tabs:
        gr.Button(visible="hidden", elem_id=f"save-{tab.name}").click(
            _save(tab),
            [*parts.scene, viewer_state, *tab.inputs],
            parts.save.file,
            js="(choice, picture, state, ...own) => "
            f"[choice, picture, JSON.stringify(window.vitStates?.{tab.name} ?? {{}}), ...own]",
            api_visibility="private",
            show_progress_on=parts.save.file,
        )


def _save(tab: Tab) -> Callable:
    @plain_errors
    def save(request: gr.Request, choice: ModelChoice, picture_file: str | None, viewer_state: str, *own):
        """The tab's numbers, as an NPZ with its manifest. `viewer_state`: JSON, to be validated by the tab."""
        if not picture_file:
            raise ValueError(say(request, "need_picture"))
        scene, state = scene_of(choice, picture_file), json.loads(viewer_state or "{}")
        arrays, choices = tab.arrays(scene, state if isinstance(state, dict) else {}, *own)
        return gr.File(saved_npz(tab.name, arrays, manifest_of(scene, tab.name, **choices)), visible=True)

    return save


def _show_save_row(parts: PageParts, item: gr.Tab) -> None:
    """Save NPZ stands below the tabs that show a scene; what it gave in another tab is no longer offered. By a script
    alone and before the tab's other events, for which Gradio waits."""
    row = SHOW if any(item is tab.item for tab in parts.tabs) else HIDE
    item.select(None, None, [parts.save.row, parts.save.file], js=f"() => [{row}, {HIDE}]", **IN_PLACE)


def _script(*statements: str) -> str:
    """A script of an event that runs before its inputs are sent, and leaves them as they are."""
    return "(...given) => { " + " ".join(statements) + " return given; }"


def _click_of_tab(kind: str) -> str:
    """A statement that clicks the button KIND-TAB of the tab in sight, where there is one."""
    return f"document.getElementById('{kind}-' + window.vitTab?.())?.click();"
