"""The Inside tab: every layer's tokens as attention, similarity, colours, norms and predictions, one slider for all."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.analysis.lens import layer_logits, read_tokens
from explorer.analysis.tokens import (
    artefact_share,
    artefacts,
    token_components,
    token_entropy,
    token_norms,
    token_similarity,
)
from explorer.session.scenes import Scene
from explorer.tabs.inside.view import InsideSource, InsideView, inside_value
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.viewer_store import STORE, remade
from explorer.ui.words import words


def build() -> Tab:
    with gr.Tab(words("tab_inside"), id="inside", elem_id="tab-inside") as item:
        view = InsideView(store=STORE, elem_id="inside")
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_inside"), elem_classes="about")
    return Tab("inside", item, (view,), _show, _arrays)


def _show(scene: Scene, request: gr.Request) -> list:
    picture = scene.model.preprocessing.pixels_to_picture(scene.pixels)
    again = remade(scene, lambda seen: InsideSource(seen.trace))
    value = inside_value(scene.model, scene.trace, STORE, picture, caption=scene.name, again=again)
    return [value | {"manifest": manifest_of(scene, "inside", **_choices(scene))}]


def _arrays(scene: Scene, state: dict) -> tuple[dict, dict]:
    """What is known of every state, and for the token in sight its attention and similarity in the state in sight."""
    model, trace = scene.model, scene.trace
    at = _index(state.get("layer"), trace.layers + 1, trace.layers - 1)
    query = _index(state.get("query"), trace.tokens, 0)
    marked = artefacts(trace)
    share = artefact_share(trace, marked)
    arrays: dict[str, Any] = {
        "norms": token_norms(trace),  # [L+1, N]
        "artefacts": marked,
        "entropy_nats": token_entropy(trace),  # [L, N]
        "similarity": token_similarity(trace, at, query),  # [N]
        "class_token_attention": share.rows,  # [L, N]
        "artefact_shares": share.shares,
    }
    if at < trace.layers:
        arrays["attention"] = trace.attention(at, query)[0, :, 0].float()  # [H, N]
    for name, joint in (("joint", True), ("own", False)):
        components = token_components(model, trace, joint)
        arrays |= {f"components_{name}": components.scores, f"explained_{name}": components.explained}
    if model.config.classes:
        read = [read_tokens(model, trace, one) for one in range(trace.layers + 1)]
        arrays["layer_logits"] = layer_logits(model, trace)  # [L+1, K]
        arrays["token_classes"] = [one.classes.tolist() for one in read]
        arrays["token_probabilities"] = [one.probabilities.tolist() for one in read]
    plain = {name: value if isinstance(value, list) else value.cpu().numpy() for name, value in arrays.items()}
    return plain, {"state": at, "query": query} | _choices(scene)


def _choices(scene: Scene) -> dict:
    return {"grid": list(scene.trace.grid), "prefix": scene.trace.prefix}


def _index(value: object, limit: int, default: int) -> int:
    return value if type(value) is int and 0 <= value < limit else default
