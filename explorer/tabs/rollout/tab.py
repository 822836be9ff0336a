"""The Rollout tab: two variants of attention rollout and their difference, layer by layer, for any query token."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import gradio as gr
import numpy as np
from torch import Tensor

from explorer.analysis.explain.classes import predicted_class
from explorer.analysis.explain.gradient_rollout import gradient_rollout_matrices, gradient_rollout_rows
from explorer.analysis.explain.gradients import Gradients
from explorer.analysis.rollout import HEAD_FUSION, rollout_matrices, rollout_rows
from explorer.session.scenes import Scene, gradients_of
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.viewer_store import STORE, chosen_layer, remade
from explorer.ui.words import TEXT, say_both, words
from explorer.viewer.matrix.source import Direction, StackSource
from explorer.viewer.matrix.viewer import WHOLE_LAYER_TOKENS, AttentionViewer, token_names, viewer_value

GRADIENT = "gradient"
COMPAT = "vit-explain-"  # before a head fusion: as that tool computes it
FORMULAS = (*HEAD_FUSION.options, GRADIENT, *(COMPAT + fusion for fusion in HEAD_FUSION.options))


def build() -> Tab:
    with gr.Tab(words("tab_rollout"), id="rollout", elem_id="tab-rollout") as item:
        with gr.Row(elem_id="rollout-choices"):
            controls = [
                _formula("formula_a", "mean"),
                _discard("discard_a", 0.0),
                _formula("formula_b", "max"),
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


def _formula(key: str, value: str) -> gr.Dropdown:
    choices = [(words(f"formula_{name}"), name) for name in FORMULAS]
    return gr.Dropdown(choices, value=value, label=words(key), min_width=200, elem_id=key)


def _discard(key: str, value: float) -> gr.Slider:
    return gr.Slider(0, 0.99, value, step=0.01, label=words(key), min_width=240, elem_id=key)


@dataclass(frozen=True)
class Variant:
    """One formula of rollout with its choices, for one scene."""

    scene: Scene
    formula: str
    choices: dict

    @property
    def layers(self) -> Tensor:
        """Return the rollout of every token after each layer, [layers, tokens, tokens]."""
        if self.formula == GRADIENT:
            return gradient_rollout_matrices(self.scene.trace, self._gradients(), **self.choices)
        return rollout_matrices(self.scene.trace, self.formula.removeprefix(COMPAT), **self.choices)

    def rows(self, query: int) -> Tensor:
        """Return the rollout of one token after each layer, [layers, tokens]."""
        if self.formula == GRADIENT:
            return gradient_rollout_rows(self.scene.trace, self._gradients(), query, **self.choices)
        return rollout_rows(self.scene.trace, query, self.formula.removeprefix(COMPAT), **self.choices)

    def name(self, letter: str) -> dict[str, str]:
        """Name the panel, in both languages."""
        formula, share = say_both(f"formula_{self.formula}"), self.choices["discard_ratio"]
        named = {language: f"{letter}: {text}" for language, text in formula.items()}
        return {language: text + (f", -{share:.0%}" if share else "") for language, text in named.items()}

    def described(self, letter: str) -> dict[str, str]:
        """Describe the variant: its name with the choices that the name leaves out, in both languages."""
        scope, start = self.choices.get("discard", "matrix"), self.choices.get("start_layer", 0)
        key = "rollout_discarding" if self.choices["discard_ratio"] else "rollout_whole"
        return say_both(key, name=self.name(letter), scope=say_both(f"scope_{scope}"), start=start)

    def _gradients(self) -> Gradients:
        """Return the gradients of the predicted class."""
        return gradients_of(self.scene, predicted_class(self.scene.model, self.scene.trace))


class RolloutSource:
    """Rollouts of long sequences, a query's row at a time: panels A, B and A - B."""

    def __init__(self, a: Variant, b: Variant):
        trace = a.scene.trace
        self._variants = (a, b)
        self.layers, self.grid, self.prefix = trace.layers, trace.grid, trace.prefix
        self.signed, self.nbytes = (False, False, True), trace.nbytes
        self._lock = threading.Lock()
        self._last: tuple[int, list[np.ndarray]] | None = None  # (query, both variants' rows after every layer)

    def matrices(self, layer: int) -> Tensor:
        raise ValueError("this sequence is too long for whole rollout matrices; ask for rows")

    def rows(self, layer: int, query: int, direction: Direction) -> np.ndarray:
        if direction != "to":
            raise ValueError("columns of a rollout need the whole matrix; choose a smaller resolution")
        with self._lock:  # seconds of work for all cores: one at a time, and once for all layers
            if self._last is None or self._last[0] != query:
                self._last = query, [variant.rows(query).cpu().numpy() for variant in self._variants]
            a, b = (rows[layer] for rows in self._last[1])
        return np.stack([a, b, a - b])


def variants(scene: Scene, formula_a, discard_a, formula_b, discard_b, scope, start_layer) -> tuple[Variant, Variant]:
    """Make both variants from the controls. vit-explain knows only the whole matrix and the first layer."""
    start = min(max(int(start_layer or 0), 0), scene.trace.layers - 1)

    def one(formula: str, discard: float | None) -> Variant:
        choices = {"discard_ratio": float(discard or 0)}
        if formula.startswith(COMPAT):
            return Variant(scene, formula, choices | {"compat": "vit-explain"})
        return Variant(scene, formula, choices | {"discard": scope, "start_layer": start})

    return one(formula_a, discard_a), one(formula_b, discard_b)


def _show(scene: Scene, request: gr.Request, *controls) -> list:
    a, b = variants(scene, *controls)
    value = viewer_value(
        _source(scene, *controls),
        STORE,
        again=remade(scene, lambda seen: _source(seen, *controls)),
        picture=scene.model.preprocessing.pixels_to_picture(scene.pixels),
        panel_names=[a.name("A"), b.name("B"), say_both("difference")],
        prefix_names=token_names(scene.model.config),
        mean=False,
        direction=scene.trace.tokens <= WHOLE_LAYER_TOKENS,
        title=say_both("tab_rollout"),
        caption=_caption(a, b),
    )
    return [value | {"manifest": manifest_of(scene, "rollout", **_choices(a, b))}]


def _source(scene: Scene, *controls) -> StackSource | RolloutSource:
    a, b = variants(scene, *controls)
    if scene.trace.tokens > WHOLE_LAYER_TOKENS:
        return RolloutSource(a, b)
    pairs = zip(a.layers.cpu().numpy(), b.layers.cpu().numpy(), strict=True)
    layers = [np.stack([x, y, x - y]) for x, y in pairs]
    return StackSource(layers, scene.trace.grid, scene.trace.prefix, (False, False, True))


def _caption(a: Variant, b: Variant) -> dict[str, str]:
    """Write the caption of a saved picture: the model, and both variants in full."""
    described = a.described("A"), b.described("B")
    return {language: " · ".join([a.scene.name, *(one[language] for one in described)]) for language in TEXT}


def _arrays(scene: Scene, state: dict, *controls) -> tuple[dict, dict]:
    """Return both rollouts after every layer: whole matrices, or for long sequences the row of the query in sight."""
    a, b = variants(scene, *controls)
    query = state.get("query")
    query = query if type(query) is int and 0 <= query < scene.trace.tokens else 0
    whole = scene.trace.tokens <= WHOLE_LAYER_TOKENS
    arrays = {
        f"rollout_{letter}": (variant.layers if whole else variant.rows(query)).cpu().numpy()
        for letter, variant in (("a", a), ("b", b))
    }
    return arrays, {"query": query, "layer": chosen_layer(state, scene.trace.layers)} | _choices(a, b)


def _choices(a: Variant, b: Variant) -> dict:
    trace = a.scene.trace
    of_each = {letter: {"formula": one.formula} | one.choices for letter, one in (("a", a), ("b", b))}
    return of_each | {"grid": list(trace.grid), "prefix": trace.prefix}
