"""The few choices of each method on the Explain tab: one group of controls a method, and what they say."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.components import Component

from explorer.analysis.explain.integrated_gradients import BASELINES
from explorer.analysis.explain.legrad import POOLINGS
from explorer.analysis.explain.occlusion import UNITS
from explorer.analysis.rollout import HEAD_FUSIONS
from explorer.session.explaining import MOST
from explorer.ui.words import words
from vit_model.trace import Trace

MOST_WINDOW = 6


def build() -> dict[tuple[str, str], Component]:
    """{(method, choice): its control}, in groups whose elem_id is "explain-of-METHOD": the viewer shows that of the
    method in sight."""
    controls: dict[tuple[str, str], Component] = {}

    def layer(method: str, choice: str = "layer", value: int = -1) -> None:
        label, lowest = words(f"explain_{choice}"), value
        controls[method, choice] = gr.Number(value, label=label, minimum=lowest, precision=0, min_width=150)

    def several(method: str, choice: str, options: Sequence[str]) -> None:
        named = [(words(f"explain_{choice}_{option}"), option) for option in options]
        controls[method, choice] = gr.Dropdown(named, value=options[0], label=words(f"explain_{choice}"), min_width=150)

    def amount(method: str, choice: str, low: float, high: float, value: float, step: float) -> None:
        label = words(f"explain_{choice}")
        controls[method, choice] = gr.Slider(low, high, value, step=step, label=label, min_width=150)

    def group(method: str) -> gr.Row:
        return gr.Row(elem_id=f"explain-of-{method}", elem_classes="explain-choices")

    with group("attention"):
        layer("attention")
    with group("rollout"):
        several("rollout", "head_fusion", HEAD_FUSIONS)
        amount("rollout", "discard_ratio", 0, 0.99, 0, 0.01)
    with group("gradient-rollout"):
        amount("gradient-rollout", "discard_ratio", 0, 0.99, 0, 0.01)
    with group("relevance"):
        layer("relevance", "start_layer", 0)
    with group("legrad"):
        layer("legrad", "start_layer", 0)
        several("legrad", "pooling", POOLINGS)
    with group("grad-cam"):
        layer("grad-cam")
    with group("attention-gradient"):
        layer("attention-gradient")
        controls["attention-gradient", "all_layers"] = gr.Checkbox(label=words("explain_all_layers"), min_width=150)
    with group("integrated-gradients"):
        several("integrated-gradients", "baseline", tuple(BASELINES))
        amount("integrated-gradients", "steps", 4, MOST["steps"], 32, 4)
    with group("smoothgrad"):
        amount("smoothgrad", "noise", 0, 0.5, 0.15, 0.01)
        amount("smoothgrad", "samples", 4, MOST["samples"], 16, 4)
    with group("occlusion"):
        amount("occlusion", "window", 1, MOST_WINDOW, 1, 1)
        several("occlusion", "unit", UNITS)
    return controls


def chosen(keys: Sequence[tuple[str, str]], values: Sequence, trace: Trace) -> dict[str, dict]:
    """Each method's choices as its controls say, within what this model has: a layer that it lacks is its last."""
    found: dict[str, dict] = {}
    for (method, choice), value in zip(keys, values, strict=True):
        own = found.setdefault(method, {})
        if choice in ("layer", "start_layer"):
            last = trace.layers - 1
            own[choice] = min(max(int(value if value is not None else -1), -1 if choice == "layer" else 0), last)
        elif choice == "all_layers":
            own["layer"] = None if value else own["layer"]
        elif choice == "window":
            own[choice] = min(max(int(value or 1), 1), MOST_WINDOW, max(min(trace.grid) - 1, 1))
        elif choice == "steps":
            own[choice] = min(max(int(value or 1), 1), MOST["steps"])
        elif choice == "samples":
            own[choice] = min(max(int(value or 1), 1), MOST["samples"])
        elif choice in ("noise", "discard_ratio"):
            own[choice] = min(max(float(value or 0), 0.0), 0.99)
        else:
            own[choice] = value
    return found
