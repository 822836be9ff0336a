"""Save NPZ: the numbers of the tab in sight as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from explorer.page.events.parts import IN_PLACE, PageParts, click_of_tab, script_of, tab_button
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.errors import plain_errors
from explorer.ui.manifest import manifest_of, saved_npz
from explorer.ui.tab import Tab
from explorer.ui.visitors.arguments import json_object
from explorer.ui.words import say, words

SHOW, HIDE = "{ __type__: 'update', visible: true }", "{ __type__: 'update', visible: false }"


@dataclass(frozen=True)
class SaveRow:
    row: gr.Row
    button: gr.Button
    file: gr.File


def build_save_row() -> SaveRow:
    with gr.Row(elem_id="save") as row:
        button = gr.Button(words("save_npz"), size="sm", scale=0, min_width=240, elem_id="save-npz")
        file = gr.File(visible=False, label=words("download"), elem_id="saved-npz", height=90)
    return SaveRow(row, button, file)


def wire_save(row: SaveRow, parts: PageParts, other_items: Sequence[gr.Tab]) -> None:
    """Let Save NPZ take the numbers of the tab in sight; those of another tab, picture or model are no longer offered.
    `other_items`: tabs that have none to take. Before the other events of tabs and picture, which Gradio has one after
    another: what is hidden here, by a script alone, need not wait for them."""
    viewer_state = gr.Textbox(visible=False)  # the script below fills it in
    for item in (*(tab.item for tab in parts.tabs), *other_items):
        shown = HIDE if item in other_items else SHOW
        item.select(None, None, [row.row, row.file], js=f"() => [{shown}, {HIDE}]", **IN_PLACE)
    changes = [parts.picture_file.change, parts.picker.choice.change]
    gr.on(changes, None, None, row.file, js=f"() => [{HIDE}]", **IN_PLACE)
    row.button.click(None, js=script_of(click_of_tab("save")), **IN_PLACE)
    for tab in parts.tabs:
        tab_button("save", tab).click(
            _save(tab),
            [*parts.scene, viewer_state, *tab.inputs],
            row.file,
            js="(choice, picture, state, ...own) => "
            f"[choice, picture, JSON.stringify(window.vitStates?.{tab.name} ?? {{}}), ...own]",
            api_visibility="private",
            show_progress_on=row.file,
        )


def _save(tab: Tab) -> Callable:
    @plain_errors
    def save(request: gr.Request, choice: ModelChoice, picture_file: str | None, viewer_state: str, *own):
        """The tab's numbers, as an NPZ with its manifest. `viewer_state`: JSON, to be validated by the tab."""
        if not picture_file:
            raise ValueError(say(request, "need_picture"))
        scene, state = scene_of(choice, picture_file), json_object("viewer_state", viewer_state)
        arrays, choices = tab.arrays(scene, state, *own)
        return gr.File(saved_npz(tab.name, arrays, manifest_of(scene, tab.name, **choices)), visible=True)

    return save
