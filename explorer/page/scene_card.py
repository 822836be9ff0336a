"""What the prediction bar and the model card say of a scene."""

from __future__ import annotations

import gradio as gr

from explorer.device import device_report
from explorer.session.scenes import Scene, could_be_other_than_square
from explorer.ui.words import language_of, say


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
