"""The Laboratory tab: change the picture, the positions or the model, and see prediction and maps before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr
import numpy as np
import torch
from torch import Tensor

from explorer.analysis.ablation import Ablation
from explorer.analysis.explain.gradients import Progress
from explorer.session.scenes import ModelChoice, Scene, scene_of
from explorer.tabs.laboratory.edits import (
    MAPS,
    OWN,
    Outcome,
    Wish,
    ablation_of,
    difference,
    layers_at_once,
    outcome_of,
    read_wish,
    watched,
)
from explorer.tabs.laboratory.view import LaboratoryBench, LaboratoryOutcome, LaboratoryParts, picture_file
from explorer.ui.errors import plain_errors
from explorer.ui.events.progress import follow_progress
from explorer.ui.events.request_order import BEGUN, ORDER, asker
from explorer.ui.events.stale_work import CURRENT_WORK, stop_handler
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.viewer_store import chosen_layer
from explorer.ui.words import say, say_both, words
from vit_model.positions import METHODS

MAX_LABELS = 2000
EDIT = {"concurrency_id": "laboratory", "concurrency_limit": 2, "api_visibility": "private"}
ABLATE = EDIT | {"concurrency_id": "ablation"}  # a queue of its own: an edit does not wait for somebody's ablation


def build(choice: gr.State, picture: gr.components.Component) -> Tab:
    """`choice` and `picture`: the page's, which each event looks at anew."""
    with gr.Tab(words("tab_laboratory"), id="laboratory", elem_id="tab-laboratory") as item:
        bench = LaboratoryBench(elem_id="laboratory")
        outcome = LaboratoryOutcome(elem_id="laboratory-outcome")
        parts = LaboratoryParts(elem_id="laboratory-parts")
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_laboratory"), elem_classes="about")

    @plain_errors
    def edit(request: gr.Request, choice: ModelChoice, picture_file: str | None, event: gr.EventData):
        begun = next(BEGUN)
        if not picture_file:
            return gr.skip()
        scene = scene_of(choice, picture_file)
        told, wish = asked(event, scene)
        layers = layers_at_once(scene, wish, chosen_layer(event._data, scene.trace.layers))
        value = outcome_value(outcome_of(scene, wish, layers), wish, request) | {"of": told}
        return value if ORDER.newest(asker(request, "edit"), begun) else gr.skip()

    @plain_errors
    def run(request: gr.Request, choice: ModelChoice, picture_file: str | None, event: gr.EventData) -> Iterator[Any]:
        if not picture_file:
            return
        scene = scene_of(choice, picture_file)
        told, wish = asked(event, scene)
        about = {"of": told, "changed": wish.changes}
        values = (parts_value(scene, step, about) if step else gr.skip() for step in _ablated(scene, wish))
        yield from CURRENT_WORK.run(asker(request, "ablation"), None, values)

    bench.edit(
        edit,
        [choice, picture],
        outcome,
        trigger_mode="multiple",
        show_progress="minimal",
        show_progress_on=outcome,
        **EDIT,
    )
    parts.ablate(run, [choice, picture], parts, trigger_mode="multiple", show_progress="hidden", **ABLATE)
    parts.stop(stop_handler("ablation"), None, None, queue=False, api_visibility="private")
    return Tab("laboratory", item, (bench, outcome, parts), _show, _arrays)


def _ablated(scene: Scene, wish: Wish) -> Iterator[Ablation | None]:
    """The ablation as it goes on, its newest table every few moments; None where there is no news."""
    news: deque[Ablation] = deque(maxlen=1)

    def work(progress: Progress) -> None:
        for step in ablation_of(scene, wish, progress):
            news.append(step)

    with closing(follow_progress(work)) as following:
        for _ in following:
            yield news.pop() if news else None
    if news:
        yield news.pop()


def asked(event: gr.EventData, scene: Scene) -> tuple[Any, Wish]:
    """What the browser says is changed: as it says it, and read."""
    told = event._data.get("edits") if isinstance(event._data, dict) else None
    return told, read_wish(told, scene)


def bench_value(scene: Scene) -> dict[str, Any]:
    config, labels = scene.model.config, scene.model.labels
    return {
        "seq": scene.key,
        "picture": picture_file(scene.model.preprocessing.pixels_to_picture(scene.pixels)),
        "grid": list(config.grid),
        "size": list(config.image_size),
        "layers": config.depth,
        "heads": config.heads,
        "head": bool(config.classes),
        "labels": list(labels) if len(labels) <= MAX_LABELS else None,
        "methods": [[name, say_both(f"method_{name}")] for name in (OWN, *METHODS)],
    }


def parts_value(scene: Scene, step: Ablation | None = None, about: dict | None = None) -> dict[str, Any]:
    """`about`: of which changes the ablation is, "of" and "changed"."""
    config = scene.model.config
    value = {"seq": scene.key, "layers": config.depth, "heads": config.heads, "head": bool(config.classes)}
    if step is None:
        return value | {"ablation": None}
    ablation = {
        "label": scene.model.labels[step.target],
        "logit": step.logit,
        "probability": step.probability,
        "logits": _listed(step.logits),
        "probabilities": _listed(step.probabilities),
        "done": step.done,
        "total": step.total,
        **(about or {}),
    }
    return value | {"ablation": ablation, "manifest": manifest_of(scene, "laboratory", target=step.target)}


def outcome_value(outcome: Outcome, wish: Wish, request: gr.Request | None) -> dict[str, Any]:
    scene, edited = outcome.before, outcome.edited
    model, logits = scene.model, (scene.trace.logits[0].float(), outcome.logits.float())
    top, sentence = [[], []], None
    if (target := watched(scene, wish)) is not None:
        top = [_top(one, model.labels) for one in logits]
        sentence = {
            "label": model.labels[target],
            "logits": [float(one[target]) for one in logits],
            "probabilities": [float(one.softmax(-1)[target]) for one in logits],
        }
    places = edited.grid[0] * edited.grid[1]
    pictures = (scene.pixels, edited.canvas().cpu())
    return {
        "seq": f"{scene.key}-{hash(wish)}",
        "scene": scene.key,
        "caption": scene.name,
        "top": top,
        "watched": sentence,
        "pictures": [picture_file(model.preprocessing.pixels_to_picture(pixels)) for pixels in pictures],
        "grids": [list(scene.trace.grid), list(edited.grid)],
        "dropped": sorted(set(range(places)) - set(edited.kept)),
        "maps": {name: _three(*pair) for name, pair in outcome.maps.items()},
        "attention": [
            _three(*outcome.attention[layer]) if layer in outcome.attention else None
            for layer in range(scene.trace.layers)
        ],
        "carried": _carried(wish),
        "note": "" if model.config.classes else say(request, "no_head"),
        "manifest": manifest_of(scene, "laboratory", **_choices(outcome, wish)),
    }


def _show(scene: Scene, request: gr.Request) -> list:
    nothing = read_wish({}, scene)
    outcome = outcome_of(scene, nothing, layers_at_once(scene, nothing, scene.trace.layers - 1))
    unchanged = outcome_value(outcome, nothing, request) | {"new": True}
    return [bench_value(scene), unchanged, parts_value(scene)]


def _arrays(scene: Scene, state: dict) -> tuple[dict, dict]:
    """Both predictions, the edited pixels, and all maps, of every layer; the ablation of what is changed too, where it
    was asked for, made again."""
    told = state.get("edits", {})
    wish = read_wish(told, scene)
    outcome = outcome_of(scene, wish)
    arrays = {
        "logits_before": scene.trace.logits[0].cpu().numpy(),
        "logits_after": outcome.logits.cpu().numpy(),
        "pixels_after": outcome.edited.canvas()[0].cpu().numpy(),
        "kept_patches": np.array(outcome.edited.kept),
    }
    for name in MAPS:
        before, after = outcome.maps[name]
        arrays |= {f"{name}_before": before.numpy(), f"{name}_after": after.numpy()}
    for side, name in enumerate(("attention_before", "attention_after")):  # [L, gh, gw]
        arrays[name] = np.stack([pair[side].numpy() for pair in outcome.attention.values()])
    if state.get("ablation") is True and scene.model.config.classes:
        *_, last = ablation_of(scene, wish)
        arrays |= {"ablation_logits": last.logits.numpy(), "ablation_probabilities": last.probabilities.numpy()}
    return arrays, {"edits": told} | _choices(outcome, wish)


def _choices(outcome: Outcome, wish: Wish) -> dict:
    return {"target": wish.target, "grid": list(outcome.edited.grid)}


def _three(before: Tensor, after: Tensor) -> dict[str, list]:
    return {"before": _listed(before), "after": _listed(after), "difference": _listed(difference(before, after))}


def _carried(wish: Wish) -> dict | None:
    """Steps that came from another grid, as the browser writes them, and what could not be carried over."""
    if (carried := wish.carried) is None:
        return None
    steps = [{"kind": step.kind, "patches": list(step.patches), "seed": step.seed} for step in carried.steps]
    return {"steps": steps, "moves": carried.moves, "unseen": carried.unseen}


def _top(logits: Tensor, labels: tuple[str, ...]) -> list:
    values, classes = logits.softmax(-1).topk(min(5, len(logits)))
    return [[labels[index], value] for index, value in zip(classes.tolist(), values.tolist(), strict=True)]


def _listed(values: Tensor) -> list:
    """Rows of rounded numbers, None for NaN."""
    rounded = torch.round(values.double(), decimals=5)
    return [[None if value != value else value for value in row] for row in rounded.tolist()]
