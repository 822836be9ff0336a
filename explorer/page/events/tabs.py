"""The events of one tab, which carry its own controls and no others."""

from __future__ import annotations

import gradio as gr

from explorer.page.events.fill import fill_later, fill_tab
from explorer.page.events.parts import FAILED, FILLING, IN_PLACE, PageParts, script_of, tab_button
from explorer.session.scenes import ModelChoice
from explorer.ui.errors import plain_errors
from explorer.ui.events.stale_work import stop_handler
from explorer.ui.tab import Tab


def wire_tab(parts: PageParts, tab: Tab) -> None:
    """Fill the tab when it is opened, woken, or one of its controls has moved."""
    sent = gr.State()  # the tab's `SentValues`
    wake = tab_button("wake", tab)

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
    tab.item.select(fill, **event, js=script_of(FILLING)).failure(None, **FAILED)
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
