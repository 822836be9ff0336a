"""The Patches tab: an image is worth 16x16 words."""

from __future__ import annotations

import gradio as gr
import numpy as np

from explorer.analysis.filters import patch_filters
from explorer.session.scenes import Scene
from explorer.tabs.patches.view import PatchesView, patches_value
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.words import words

FILTERS = 28


def build() -> Tab:
    with gr.Tab(words("tab_patches"), id="patches", elem_id="tab-patches") as item:
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_patches"), elem_classes="about")
        view = PatchesView(elem_id="patches")
    return Tab("patches", item, (view,), _show, _arrays)


def _filters(scene: Scene) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Return principal components of the embedding as RGB, if the model reads RGB."""
    if scene.model.config.channels != 3:
        return None, None
    filters = patch_filters(scene.model, FILTERS)
    return filters.components.numpy(), filters.explained.numpy()


def _show(scene: Scene, request: gr.Request) -> list:
    filters, explained = _filters(scene)
    pixels = scene.pixels.to(scene.trace.logits.device)
    parts = (scene.model, scene.picture, pixels, scene.box, scene.trace)
    value = patches_value(*parts, filters, explained, caption=scene.name)
    return [value | {"manifest": manifest_of(scene, "patches", **_choices(scene))}]


def _arrays(scene: Scene, state: dict) -> tuple[dict, dict]:
    """Return the pixels as the model gets them, the tokens that enter the first block, and the embedding filters."""
    filters, explained = _filters(scene)
    arrays = {"pixels": scene.pixels[0].cpu().numpy(), "tokens": scene.trace.residual[0][0].cpu().numpy()}
    if filters is not None:
        arrays |= {"filters": filters, "filters_explained_variance": explained}
    return arrays, _choices(scene)


def _choices(scene: Scene) -> dict:
    box = scene.box
    choices = {"crop_box": [box.left, box.top, box.right, box.bottom], "grid": list(scene.trace.grid)}
    return choices | {"prefix": scene.trace.prefix}
