"""The controls of each method's choices on the Explain tab: a group a method, and what they say."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from explorer.analysis.explain.method import Choice, Count, Layer, Number, OneOf
from explorer.analysis.explain.methods import METHODS
from explorer.ui.words import words
from vit_model.trace import Trace

ALL_LAYERS = "all_layers"  # the second control of a layer that may be None


def build() -> dict[tuple[str, str], Component]:
    """{(method, choice): its control}, in groups whose elem_id is "explain-of-METHOD": the viewer shows that of the
    method in sight."""
    controls: dict[tuple[str, str], Component] = {}
    for name, method in METHODS.items():
        if offered := [choice for choice in method.choices if choice.offered]:
            with gr.Row(elem_id=f"explain-of-{name}", elem_classes="explain-choices"):
                for choice in offered:
                    controls[name, choice.name] = _control(choice, method.defaults[choice.name])
                    if isinstance(choice, Layer) and choice.optional:
                        controls[name, ALL_LAYERS] = gr.Checkbox(label=words("choice_all_layers"), min_width=150)
    return controls


def _control(choice: Choice, default: object) -> Component:
    look = {"value": default, "label": words(f"choice_{choice.name}"), "min_width": 150}
    if isinstance(choice, OneOf):
        named = [(words(f"choice_{choice.name}_{option}"), option) for option in choice.options if option is not None]
        return gr.Dropdown(named, **look)
    if isinstance(choice, Layer):
        return gr.Number(minimum=choice.lowest, precision=0, **look)
    if isinstance(choice, (Number, Count)) and choice.slider is not None:
        low, high, step = choice.slider
        return gr.Slider(low, high, step=step, **look)
    raise TypeError(f"no control shows the choice {choice.name}, a {type(choice).__name__}")


def chosen(keys: Sequence[tuple[str, str]], values: Sequence, trace: Trace) -> dict[str, dict]:
    """Each method's choices as its controls say, within what this model has: a layer that it lacks is its last."""
    found: dict[str, dict] = {}
    for (method, name), value in zip(keys, values, strict=True):
        own = found.setdefault(method, {})
        if name == ALL_LAYERS:
            own["layer"] = None if value else own["layer"]
        else:
            choice = next(each for each in METHODS[method].choices if each.name == name)
            own[name] = choice.nearest(value, trace)
    return found
