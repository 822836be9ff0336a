"""The Compare tab: two methods, two pictures or two models side by side, their difference, and the numbers under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from explorer.classes import predicted_class
from explorer.explaining import explained
from explorer.explanation import Explanation
from explorer.methods import METHODS, looks_at_a_class
from explorer.rollout import rollout_matrices, rollout_rows
from explorer.session import ModelChoice, Scene, look, seen_by
from explorer.tabs.models import ModelPicker
from explorer.tabs.picture import Picture
from explorer.tabs.store import STORE
from explorer.tabs.tab import Tab
from explorer.tabs.text import TEXT, say, words
from explorer.viewer.compare import CompareViewer, compare_value
from explorer.viewer.scene_bar import SceneBar
from explorer.viewer.source import AttentionSource, Direction, Source, StackSource
from explorer.viewer.viewer import WHOLE_LAYER_TOKENS, token_names, viewer_value

KINDS = ("method", "picture", "model")
BY_QUERY = ("attention", "rollout")  # a map for each token and layer; the others have one for the picture
MAPS = (*BY_QUERY, *(name for name in METHODS if name not in BY_QUERY))


def build(local_paths: bool, runs: object) -> Tab:
    """`runs`: checkpoints of runs, which can be the other model."""
    with gr.Tab(words("tab_compare"), id="compare", elem_id="tab-compare") as item:
        with gr.Row():
            kind = gr.Radio(
                [(words(f"sides_{name}"), name) for name in KINDS],
                value="method",
                label=words("sides_kind"),
                elem_id="compare-kind",
            )
            a = gr.Dropdown(list(MAPS), value="rollout", label=words("sides_map_a"), elem_id="compare-map-a")
            b = gr.Dropdown(list(MAPS), value="relevance", label=words("sides_map_b"), elem_id="compare-map-b")
        with gr.Row(visible=False) as picture_row:
            picture = Picture(
                label=words("sides_other_picture"),
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                elem_id="compare-picture",
                height=200,
            )
        with gr.Group(visible=False) as model_row:
            picker = ModelPicker("bundled", local_paths, runs, elem_prefix="compare-")
        viewer = CompareViewer(store=STORE, elem_id="compare")
        gr.Markdown(words("sides_predictions"), elem_classes="subdued")
        with gr.Row():
            bars = [SceneBar(elem_id=f"compare-prediction-{letter}") for letter in "ab"]
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_compare"), elem_classes="about")
    kind.change(
        lambda kind: [
            gr.Dropdown(visible=kind == "method"),
            gr.Row(visible=kind == "picture"),
            gr.Group(visible=kind == "model"),
        ],
        kind,
        [b, picture_row, model_row],
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )
    picker.connect()
    return Tab("compare", item, (viewer, *bars), _show, _arrays, (kind, a, b, picture, picker.choice))


@dataclass(frozen=True)
class Side:
    """One of the two: a scene, and which of MAPS is shown of it."""

    scene: Scene
    map: str

    @property
    def by_query(self) -> bool:
        """Whether there is a map for each token and layer, or one for the picture."""
        return self.map in BY_QUERY

    def source(self) -> Source:
        trace = self.scene.trace
        if self.map == "attention":
            return AttentionSource(trace)
        if self.map == "rollout" and trace.tokens <= WHOLE_LAYER_TOKENS:
            return StackSource(rollout_matrices(trace)[:, None], trace.grid, trace.prefix)
        if self.map == "rollout":
            return RowsSource(self.scene, lambda layer, query: rollout_rows(trace, query)[layer], trace.layers)
        made = self.explanation()
        row = torch.cat([torch.zeros(trace.prefix), made.values.flatten()])
        return RowsSource(self.scene, lambda layer, query: row, 1, made.signed)

    def explanation(self) -> Explanation:
        target = predicted_class(self.scene.model, self.scene.trace) if looks_at_a_class(self.map) else None
        return explained(self.scene, self.map, target)

    def value(self) -> dict:
        return viewer_value(
            self.source(),
            STORE,
            picture=self.scene.model.preprocessing.pixels_to_picture(self.scene.pixels),
            prefix_names=token_names(self.scene.model.config),
            percent=self.by_query,
            direction=False,
        )


class RowsSource:
    """A layer's row as a function of (layer, query), in one panel; it may be the same for every query."""

    def __init__(self, scene: Scene, row: Callable[[int, int], Tensor], layers: int, signed: bool = False):
        trace = scene.trace
        self._row, self._tokens = row, trace.tokens
        self.layers, self.grid, self.prefix = layers, trace.grid, trace.prefix
        self.signed, self.nbytes = (signed,), trace.nbytes

    def matrices(self, layer: int) -> np.ndarray:
        rows = [self._row(layer, query).cpu().numpy() for query in range(self._tokens)]
        return np.stack(rows)[None]

    def rows(self, layer: int, query: int, direction: Direction) -> np.ndarray:
        return self._row(layer, query).cpu().numpy()[None]


def sides(
    scene: Scene, kind: str, a: str, b: str, picture_file: str | None, choice: ModelChoice | None
) -> tuple[Side, Side]:
    """Both sides as the controls say: what is not asked to differ is A's."""
    if kind not in KINDS or a not in MAPS or b not in MAPS:
        raise ValueError(f"expected one of {', '.join(KINDS)} and two maps of {', '.join(MAPS)}")
    other = scene
    if kind == "picture" and picture_file:
        other = look(scene.choice, picture_file)
    if kind == "model" and choice is not None:
        other = seen_by(scene, choice)
    return Side(scene, a), Side(other, b if kind == "method" else a)


def _show(scene: Scene, request: gr.Request, kind: str, *controls) -> list:
    both = sides(scene, kind, *controls)
    names = tuple(
        {language: _name(kind, each, letter, language) for language in TEXT} for each, letter in _lettered(both)
    )
    bars = [
        {
            "seq": f"{each.scene.key}-{letter}",
            "top": each.scene.top(),
            "card": f"{letter}: {each.scene.name}",
            "note": "",
        }
        for each, letter in _lettered(both)
    ]
    if both[0].scene.key == both[1].scene.key:
        bars[1]["note"] = say(request, f"sides_same_{kind}")
    a, b = (each.value() for each in both)
    by_query = tuple(each.by_query for each in both)
    return [compare_value(a, b, names, by_query=by_query, same_unit=both[0].map == both[1].map), *bars]


def _lettered(both: tuple[Side, Side]) -> zip:
    return zip(both, "AB", strict=True)


def _name(kind: str, side: Side, letter: str, language: str) -> str:
    """What stands over a side: what differs first."""
    picture = TEXT[language]["sides_this_picture" if letter == "A" else "sides_that_picture"]
    return {"method": side.map, "picture": picture, "model": side.scene.name}[kind] + (
        "" if kind == "method" else f" · {side.map}"
    )


def _arrays(scene: Scene, state: dict, kind: str, *controls) -> tuple[dict, dict]:
    """Both sides' maps over the patches: those of the first token after every layer, or the one for the picture."""
    arrays, choices = {}, {"differs": kind}
    for side, letter in _lettered(sides(scene, kind, *controls)):
        trace = side.scene.trace
        if side.map == "attention":
            rows = torch.stack([trace.attention(layer, 0)[0, :, 0] for layer in range(trace.layers)])  # [L, H, N]
            values = rows[..., trace.prefix :].unflatten(-1, trace.grid)
        elif side.map == "rollout":
            values = rollout_rows(trace, 0)[:, trace.prefix :].unflatten(-1, trace.grid)  # [L, gh, gw]
        else:
            values = side.explanation().values
        arrays[f"map_{letter.lower()}"] = values.float().cpu().numpy()
        arrays[f"logits_{letter.lower()}"] = trace.logits[0].float().cpu().numpy()
        choices[letter] = {
            "map": side.map,
            "model": side.scene.name,
            "checksum_sha256": side.scene.model.origin.checksum,
            "picture_sha256": side.scene.picture_hash,
            "grid": list(trace.grid),
        }
    return arrays, choices
