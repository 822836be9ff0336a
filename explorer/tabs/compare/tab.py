"""The Compare tab: two methods, two pictures or two models side by side, their difference, and the numbers under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from explorer.analysis.explain.classes import chosen_classes, predicted_class
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.gradients import Progress
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.rollout import rollout_matrices, rollout_rows
from explorer.session.explaining import explained
from explorer.session.scenes import ModelChoice, Scene, scene_of, with_model
from explorer.tabs.compare.view import CompareViewer, compare_value
from explorer.ui.class_choice import instead, named_class
from explorer.ui.events.progress import tell_progress
from explorer.ui.manifest import manifest_of
from explorer.ui.model_picker import ModelPicker, MoreModels
from explorer.ui.picture import Picture
from explorer.ui.tab import Tab
from explorer.ui.viewer_store import STORE, remade
from explorer.ui.words import TEXT, say, say_both, words
from explorer.viewer.kit.component import Caption
from explorer.viewer.matrix.source import AttentionSource, Direction, Source, StackSource
from explorer.viewer.matrix.viewer import WHOLE_LAYER_TOKENS, token_names, viewer_value
from explorer.viewer.scene_bar.scene_bar import SceneBar

KINDS = ("method", "picture", "model")
BY_QUERY = ("attention", "rollout")  # a map for each token and layer; the others have one for the picture
MAPS = (*BY_QUERY, *(name for name in METHODS if name not in BY_QUERY))


def build(local_paths: bool, runs: MoreModels) -> Tab:
    """`runs`: checkpoints of runs, which can be the other model."""
    with gr.Tab(words("tab_compare"), id="compare", elem_id="tab-compare") as item:
        with gr.Row():
            kind = gr.Radio(
                [(words(f"sides_{name}"), name) for name in KINDS],
                value="method",
                label=words("sides_kind"),
                elem_id="compare-kind",
            )
            maps = [(words(f"method_{name}"), name) for name in MAPS]
            a = gr.Dropdown(maps, value="rollout", label=words("sides_map_a"), elem_id="compare-map-a")
            b = gr.Dropdown(maps, value="relevance", label=words("sides_map_b"), elem_id="compare-map-b")
            target = gr.Dropdown(
                [],
                value=None,
                label=words("sides_class"),
                info=words("sides_class_info"),
                allow_custom_value=True,
                elem_id="compare-class",
            )
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
        with gr.Row(elem_id="compare-work"):
            stop = gr.Button(words("sides_stop"), size="sm", scale=0, min_width=120, visible=False)
            status = gr.Markdown()
        gr.Markdown(words("sides_predictions"), elem_classes="subdued")
        with gr.Row():
            bars = []
            for letter in "ab":
                with gr.Column(min_width=300):
                    bars.append(SceneBar(elem_id=f"compare-prediction-{letter}"))
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
    inputs, later = (kind, a, b, target, picture, picker.choice), (viewer, status, stop)
    return Tab("compare", item, bars, _show, _arrays, inputs, later, _compare, stop, _stopped, classes=(target,))


@dataclass(frozen=True)
class Side:
    """One of the two: a scene, which of MAPS is shown of it, and of which class; None for the predicted one."""

    scene: Scene
    map: str
    target: int | None = None
    notice: Caption = ""

    @classmethod
    def of(cls, scene: Scene, name: str, named: str | None) -> Side:
        """What is possible of what was asked: a class that this model lacks is its own prediction, and a map that needs
        a head is rollout where there is none; `notice` says so."""
        if not METHODS[name].needs_head:
            return cls(scene, name)
        if not scene.model.config.classes:
            return cls(scene, "rollout", notice=say_both("sides_no_head", method=say_both(f"method_{name}")))
        try:
            return cls(scene, name, *chosen_classes(scene.model, scene.trace, named_class(named))[:1])
        except ValueError as error:
            return cls(scene, name, predicted_class(scene.model, scene.trace), instead(error))

    @property
    def by_query(self) -> bool:
        """Whether there is a map for each token and layer, or one for the picture."""
        return self.map in BY_QUERY

    def source(self, progress: Progress | None = None) -> Source:
        trace = self.scene.trace
        if self.map == "attention":
            return AttentionSource(trace)
        if self.map == "rollout" and trace.tokens <= WHOLE_LAYER_TOKENS:
            return StackSource(rollout_matrices(trace)[:, None], trace.grid, trace.prefix)
        if self.map == "rollout":
            return RowsSource(self.scene, lambda layer, query: rollout_rows(trace, query)[layer], trace.layers)
        made = self.explanation(progress)
        row = torch.cat([torch.zeros(trace.prefix), made.values.flatten()])
        return RowsSource(self.scene, lambda layer, query: row, 1, made.signed)

    def explanation(self, progress: Progress | None = None) -> Explanation:
        return explained(self.scene, self.map, self.target, progress)

    def value(self, progress: Progress | None = None) -> dict:
        asked = self.map, self.target
        return viewer_value(
            self.source(progress),
            STORE,
            again=remade(self.scene, lambda seen: Side(seen, *asked).source()),
            picture=self.scene.model.preprocessing.pixels_to_picture(self.scene.pixels),
            prefix_names=token_names(self.scene.model.config),
            percent=self.by_query,
            direction=False,
        )

    def name(self, kind: str, letter: str) -> Caption:
        """What stands over it: what differs first, then the map, and of which class."""
        method = say_both(f"method_{self.map}")
        first = {
            "method": "",
            "picture": say_both("sides_this_picture" if letter == "A" else "sides_that_picture"),
            "model": self.scene.name,
        }[kind]
        of_class = "" if self.target is None else self.scene.model.labels[self.target]
        return {
            language: " · ".join(part for part in (_in(first, language), method[language], of_class) if part)
            for language in TEXT
        }


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
    scene: Scene, kind: str, a: str, b: str, named: str | None, picture_file: str | None, choice: ModelChoice | None
) -> tuple[Side, Side]:
    """Both sides as the controls say: what is not asked to differ is A's."""
    if kind not in KINDS or a not in MAPS or b not in MAPS:
        raise ValueError(f"expected one of {', '.join(KINDS)} and two maps of {', '.join(MAPS)}")
    other = scene
    if kind == "picture" and picture_file:
        other = scene_of(scene.choice, picture_file)
    if kind == "model" and choice is not None:
        other = with_model(scene, choice)
    return Side.of(scene, a, named), Side.of(other, b if kind == "method" else a, named)


def _show(scene: Scene, request: gr.Request, kind: str, *controls) -> list:
    """Both predictions. A new `seq` begins the work for the maps."""
    both_sides = sides(scene, kind, *controls)
    seq = uuid4().hex
    bars = [
        {"seq": seq, "top": side.scene.top(), "card": f"{letter}: {side.scene.name}", "note": ""}
        for side, letter in _lettered(both_sides)
    ]
    if both_sides[0].scene.key == both_sides[1].scene.key:
        bars[1]["note"] = say(request, f"sides_same_{kind}")
    return bars


def _compare(scene: Scene, request: gr.Request, kind: str, *controls) -> Iterator[list]:
    """Both maps, the slow ones with their progress."""
    both_sides = sides(scene, kind, *controls)
    values = []
    for side, letter in _lettered(both_sides):

        def tell(done: int, total: int, name: str = f"{letter}: {say(request, f'method_{side.map}')}") -> list:
            return [
                gr.skip(),
                say(request, "explain_doing", method=name, done=done, total=total),
                gr.Button(visible=True),
            ]

        values.append((yield from tell_progress(side.value, tell)) if METHODS[side.map].slow else side.value())
    made = compare_value(
        *values,
        tuple(side.name(kind, letter) for side, letter in _lettered(both_sides)),
        notices=tuple(side.notice for side in both_sides),
        by_query=tuple(side.by_query for side in both_sides),
        same_unit=both_sides[0].map == both_sides[1].map,
    )
    made |= {"manifest": manifest_of(scene, "compare", **_choices(kind, both_sides))}
    yield [made, "", gr.Button(visible=False)]


def _stopped(request: gr.Request) -> list:
    return [gr.skip(), say(request, "sides_stopped"), gr.Button(visible=False)]


def _lettered(both_sides: tuple[Side, Side]) -> zip:
    return zip(both_sides, "AB", strict=True)


def _in(text: Caption, language: str) -> str:
    return text if isinstance(text, str) else text[language]


def _arrays(scene: Scene, state: dict, kind: str, *controls) -> tuple[dict, dict]:
    """Both sides' maps over the patches: those of the first token after every layer, or the one for the picture."""
    arrays, both_sides = {}, sides(scene, kind, *controls)
    for side, letter in _lettered(both_sides):
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
    return arrays, _choices(kind, both_sides)


def _choices(kind: str, both_sides: tuple[Side, Side]) -> dict:
    """What differs, and what either side is."""
    return {"differs": kind} | {
        letter: {
            "map": side.map,
            "target": side.target,
            "model": side.scene.name,
            "checksum_sha256": side.scene.model.origin.checksum,
            "picture_sha256": side.scene.picture_hash,
            "grid": list(side.scene.trace.grid),
        }
        for side, letter in _lettered(both_sides)
    }
