"""The Attention tab: the viewer with heads as panels, and the distance and entropy of every head."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import numpy as np

from explorer.analysis.statistics import attention_distance, attention_entropy
from explorer.figures.figures import distance_figure, entropy_figure
from explorer.session.scenes import Scene
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.viewer_store import STORE, chosen_layer, remade
from explorer.ui.words import language_of, say_both, words
from explorer.viewer.matrix.source import AttentionSource
from explorer.viewer.matrix.viewer import AttentionViewer, token_names, viewer_value
from explorer.viewer.plot.plot import PlotlyView, plot_value

MAX_SAVED_BYTES = 256 * 2**20
LINK = {"event": "vit:select", "viewer": "attention", "fields": ["layer", "panel"]}


def build() -> Tab:
    with gr.Tab(words("tab_attention"), id="attention", elem_id="tab-attention") as item:
        viewer = AttentionViewer(store=STORE, elem_id="attention")
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_attention"), elem_classes="about")
        with gr.Accordion(words("spread"), open=True):
            gr.Markdown(words("spread_info"), elem_classes="subdued")
            with gr.Row():
                plots = []
                for name in ("distance", "entropy"):
                    with gr.Column(min_width=300):
                        plots.append(PlotlyView(elem_id=f"{name}-plot"))
    return Tab("attention", item, (viewer,), _show, _arrays, later_outputs=plots, show_later=_plots)


def _show(scene: Scene, request: gr.Request) -> list:
    viewer = viewer_value(
        _source(scene),
        STORE,
        again=remade(scene, _source),
        picture=scene.model.preprocessing.pixels_to_picture(scene.pixels),
        shown_layer=2 * scene.trace.layers // 3,  # where heads look at things; the last layers gather from few tokens
        prefix_names=token_names(scene.model.config),
        title=say_both("tab_attention"),
        caption=scene.name,
    )
    return [viewer | {"manifest": manifest_of(scene, "attention", **_choices(scene))}]


def _source(scene: Scene) -> AttentionSource:
    return AttentionSource(scene.trace)


def _plots(scene: Scene, request: gr.Request) -> Iterator[list[dict]]:
    """Plot distance and entropy of every head by layer; a click on a point selects that head in the viewer."""
    language = language_of(request)
    distance = attention_distance(scene.trace, scene.model.config.patch_size)
    figures = (distance_figure(distance, language), entropy_figure(attention_entropy(scene.trace), language))
    manifest = manifest_of(scene, "attention", **_choices(scene))
    yield [plot_value(figure, LINK, scene.name) | {"manifest": manifest} for figure in figures]


def _arrays(scene: Scene, state: dict) -> tuple[dict, dict]:
    """Return attention of the layer in sight (all heads), and distance and entropy of all layers."""
    trace, config = scene.trace, scene.model.config
    layer = chosen_layer(state, trace.layers)
    if 4 * trace.heads * trace.tokens**2 > MAX_SAVED_BYTES:
        raise ValueError(f"the attention of {trace.tokens} tokens is too large to save; choose a smaller resolution")
    arrays = {
        "attention": trace.attention(layer)[0].cpu().numpy().astype(np.float32),  # [heads, query, key]
        "distance_pixels": attention_distance(trace, config.patch_size),
        "entropy_nats": attention_entropy(trace),
    }
    return arrays, {"layer": layer} | _choices(scene)


def _choices(scene: Scene) -> dict:
    return {"grid": list(scene.trace.grid), "prefix": scene.trace.prefix}
