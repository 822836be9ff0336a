"""The Rollout tab: two variants of attention rollout and their difference, layer by layer, for any query token."""

from __future__ import annotations

import gradio as gr
import numpy as np
from torch import Tensor

from explorer.rollout import rollout_matrices, rollout_rows
from explorer.session import Scene
from explorer.tabs.store import STORE, both, chosen_layer
from explorer.tabs.tab import Tab
from explorer.tabs.text import words
from explorer.viewer.source import Direction, StackSource
from explorer.viewer.viewer import WHOLE_LAYER_TOKENS, AttentionViewer, token_names, viewer_value

FUSIONS = ("mean", "max", "min")


def build() -> Tab:
    with gr.Tab(words("tab_rollout"), id="rollout", elem_id="tab-rollout") as item:
        with gr.Row(elem_id="rollout-choices"):
            controls = [
                gr.Dropdown(FUSIONS, value="mean", label=words("fusion_a"), min_width=110, elem_id="fusion-a"),
                _discard("discard_a", 0.0),
                gr.Dropdown(FUSIONS, value="max", label=words("fusion_b"), min_width=110, elem_id="fusion-b"),
                _discard("discard_b", 0.9),
                gr.Dropdown(
                    [(words("scope_matrix"), "matrix"), (words("scope_row"), "row")],
                    value="matrix",
                    label=words("scope"),
                    min_width=150,
                    elem_id="discard-scope",
                ),
                gr.Number(0, label=words("start_layer"), minimum=0, precision=0, min_width=90, elem_id="start-layer"),
            ]
        viewer = AttentionViewer(store=STORE, elem_id="rollout")
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_rollout"), elem_classes="about")
    return Tab("rollout", item, (viewer,), _show, _arrays, controls)


def _discard(key: str, value: float) -> gr.Slider:
    return gr.Slider(0, 0.99, value, step=0.01, label=words(key), min_width=150, elem_id=key)


class RolloutSource:
    """Rollouts of long sequences, a query's row at a time: panels A, B and A - B."""

    def __init__(self, scene: Scene, variants: list[dict]):
        self._trace, self._variants = scene.trace, variants
        self.layers, self.grid, self.prefix = scene.trace.layers, scene.trace.grid, scene.trace.prefix
        self.signed, self.nbytes = (False, False, True), scene.trace.nbytes

    def matrices(self, layer: int) -> Tensor:
        raise ValueError(f"{self._trace.tokens} tokens are too many for whole rollout matrices; ask for rows")

    def rows(self, layer: int, query: int, direction: Direction) -> np.ndarray:
        if direction != "to":
            raise ValueError("columns of a rollout need the whole matrix; choose a smaller resolution")
        a, b = (np.asarray(rollout_rows(self._trace, query, **variant))[layer] for variant in self._variants)
        return np.stack([a, b, a - b])


def variants(fusion_a, discard_a, fusion_b, discard_b, scope, start_layer, layers: int) -> list[dict]:
    """The choices of both variants, as `rollout` takes them."""
    start = min(max(int(start_layer or 0), 0), layers - 1)
    pairs = ((fusion_a, discard_a), (fusion_b, discard_b))
    return [
        {"head_fusion": fusion, "discard_ratio": float(discard or 0), "discard": scope, "start_layer": start}
        for fusion, discard in pairs
    ]


def _stacks(scene: Scene, choices: list[dict]) -> list[np.ndarray]:
    return [np.asarray(rollout_matrices(scene.trace, **choice)) for choice in choices]


def _show(scene: Scene, request: gr.Request, *controls) -> list:
    choices = variants(*controls, layers=scene.trace.layers)
    whole = scene.trace.tokens <= WHOLE_LAYER_TOKENS
    if whole:
        a, b = _stacks(scene, choices)
        layers = [np.stack([x, y, x - y]) for x, y in zip(a, b, strict=True)]
        source = StackSource(layers, scene.trace.grid, scene.trace.prefix, (False, False, True))
    else:
        source = RolloutSource(scene, choices)
    named = [
        both(f"variant_{letter}", fusion=choice["head_fusion"], discard=choice["discard_ratio"])
        for letter, choice in zip("ab", choices, strict=True)
    ]
    value = viewer_value(
        source,
        STORE,
        picture=scene.model.preprocessing.pixels_to_picture(scene.pixels),
        panel_names=[*named, both("difference")],
        prefix_names=token_names(scene.model.config),
        mean=False,
        direction=whole,
        title=both("tab_rollout"),
        caption=scene.name,
    )
    return [value]


def _arrays(scene: Scene, state: dict, *controls) -> tuple[dict, dict]:
    """Both rollouts after every layer: whole matrices, or for long sequences the row of the query in sight."""
    choices = variants(*controls, layers=scene.trace.layers)
    query = state.get("query")
    query = query if type(query) is int and 0 <= query < scene.trace.tokens else 0
    if scene.trace.tokens <= WHOLE_LAYER_TOKENS:
        a, b = _stacks(scene, choices)
    else:
        a, b = (np.asarray(rollout_rows(scene.trace, query, **choice)) for choice in choices)
    manifest = {"a": choices[0], "b": choices[1], "query": query, "layer": chosen_layer(state, scene.trace.layers)}
    return {"rollout_a": a, "rollout_b": b}, manifest | {"grid": list(scene.trace.grid), "prefix": scene.trace.prefix}
