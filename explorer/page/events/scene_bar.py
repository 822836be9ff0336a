"""The prediction bar and the model card: what they say of a picture and a model, and the event that says it.

A new picture or model has two events side by side: this one, which says why a picture or model is refused, and that of
the tab in sight, which this one's script wakes.
"""

from __future__ import annotations

import gradio as gr

from explorer.device import device_report
from explorer.page.events.fill import find_scene
from explorer.page.events.parts import FAILED, FILLING, IN_PLACE, PageParts, click_of_tab, script_of
from explorer.session.scenes import ModelChoice, Scene, could_be_other_than_square
from explorer.ui.errors import plain_errors
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.picture import kept_over_reload
from explorer.ui.words import language_of, say


def wire_bar(demo: gr.Blocks, parts: PageParts, first_picture: str) -> None:
    """Show bar and card of each new picture or model, and wake the tab in sight. A picture that is refused gives way to
    the one before. The page opens with `first_picture`."""
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
    waking = event | {"js": script_of(FILLING, click_of_tab("wake"))}
    demo.load(open_bar, **event, js=script_of(FILLING)).failure(None, **FAILED)
    analysed = parts.picture_file.change(show_bar, **waking)
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


def bar_value(scene: Scene) -> dict:
    """The prediction, always in sight."""
    return {"seq": scene.key, "top": scene.top(), "card": "", "note": ""}


def card_value(scene: Scene, request: gr.Request | None) -> dict:
    """The model in one line, and a note on it, in the visitor's language."""
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
    return {"seq": f"{scene.key}-{language_of(request)}", "top": [], "card": card, "note": _note(scene, request)}


def _note(scene: Scene, request: gr.Request | None) -> str:
    model, config = scene.model, scene.model.config
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
    return note
