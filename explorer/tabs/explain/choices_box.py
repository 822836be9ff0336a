"""ChoicesBox: the choices of all methods in one value, so that an event of the Explain tab has one input for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

Key = tuple[str, str]  # (method, choice)


class ChoicesBox(gr.JSON):
    """Out of sight, and kept by the browser: a list of what each of `controls` says. A function gets the same list, in
    which each control has checked its own value. No `__init__` of its own: Gradio tells the browser only what stands in
    that signature."""

    is_template = True  # drawn in the browser by gr.JSON's own component
    controls: Sequence[Component] = ()

    def preprocess(self, payload: Any) -> list:
        return [_checked(control, value) for control, value in zip(self.controls, payload, strict=True)]


def build_box(controls: Mapping[Key, Component]) -> ChoicesBox:
    """Return a box that changes with each of `controls`."""
    box = ChoicesBox([control.value for control in controls.values()], visible="hidden", elem_id="explain-choices")
    box.controls = tuple(controls.values())
    for method in dict.fromkeys(method for method, _ in controls):
        at = [index for index, key in enumerate(controls) if key[0] == method]
        own = [box.controls[index] for index in at]
        gr.on(
            [control.change for control in own],
            None,
            [box, *own],
            box,
            js=f"""(kept, ...values) => {{
                const all = [...kept];
                {json.dumps(at)}.forEach((index, number) => {{ all[index] = values[number]; }});
                return [all];
            }}""",
            api_visibility="private",
            queue=False,
        )
    return box


def _checked(control: Component, value: Any) -> Any:
    """The value as a function takes it. A list gives one of its options; Gradio's takes several as well, and none."""
    if isinstance(control, gr.Dropdown) and not isinstance(value, str):
        raise ValueError(f"expected one option, got {type(value).__name__}")
    return control.preprocess(value)
