"""PageParts: what the page's events read and write; and the scripts by which only the tab in sight has an event.

Only the browser knows which tab is in sight. So a script clicks a button out of sight, one for each tab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from explorer.ui.model_picker import ModelPicker
from explorer.ui.picture import Picture
from explorer.ui.tab import Tab
from explorer.viewer.scene_bar.scene_bar import SceneBar

IN_PLACE = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
FILLING = "delete document.body.dataset.vitFill;"  # see base.css
FAILED = {"js": "() => { document.body.dataset.vitFill = 'failed'; }", **IN_PLACE}


@dataclass(frozen=True)
class PageParts:
    """`picture_file`: what changes once for each new picture. `tabs`: those that show the picture and the model."""

    bar: SceneBar
    card: SceneBar
    picture: Picture
    picture_file: gr.Textbox
    picker: ModelPicker
    strip: gr.Tabs
    tabs: Sequence[Tab]

    @property
    def scene(self) -> list[Component]:
        """The model's choice and the picture, which every event that shows something carries."""
        return [self.picker.choice, self.picture]


def tab_button(kind: str, tab: Tab) -> gr.Button:
    """Return a button out of sight for `click_of_tab`. Not inside the tabs, which may hold nothing else."""
    return gr.Button(visible="hidden", elem_id=f"{kind}-{tab.name}")


def click_of_tab(kind: str) -> str:
    """Return a statement that clicks the `tab_button` of the tab in sight, where there is one."""
    return f"document.getElementById('{kind}-' + window.vitTab?.())?.click();"


def script_of(*statements: str) -> str:
    """Return a script of an event that runs before its inputs are sent, and leaves them as they are."""
    return "(...given) => { " + " ".join(statements) + " return given; }"
