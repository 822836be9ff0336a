"""The Positions tab: similarity of position embeddings, native and interpolated, and the prediction at both sizes."""

from __future__ import annotations

import gradio as gr
import numpy as np

from explorer.analysis.position import position_similarity
from explorer.session.scenes import Scene, most_patches, parse_size, resized, scene_at_size
from explorer.tabs.positions.view import PositionsView, positions_value
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.words import say, say_both, words
from explorer.viewer.scene_bar.scene_bar import SceneBar
from vit_model import VisionTransformer
from vit_model.positions import METHODS

OWN = "own"  # the scheme of the checkpoint's origin
MAX_SAVED_PLACES = 1600  # a 40 x 40 grid's similarities take 10 MB


def build() -> Tab:
    with gr.Tab(words("tab_positions"), id="positions", elem_id="tab-positions") as item:
        with gr.Row():
            size = gr.Textbox(
                "",
                label=words("new_size"),
                info=words("new_size_info"),
                placeholder="384",
                min_width=160,
                elem_id="new-size",
            )
            method = gr.Dropdown(
                [(words("method_own"), OWN), *((words(f"method_{name}"), name) for name in METHODS)],
                value=OWN,
                label=words("method"),
                info=words("method_info"),
                min_width=200,
                elem_id="method",
            )
        view = PositionsView(elem_id="positions")
        gr.Markdown(words("compare_head"), elem_classes="subdued")
        bars = [SceneBar(elem_id="prediction-native"), SceneBar(elem_id="prediction-interpolated")]
        with gr.Accordion(words("what"), open=False):
            gr.Markdown(words("about_positions"), elem_classes="about")
    return Tab("positions", item, (view, *bars), _show, _arrays, (size, method))


def _resizing(scene: Scene, size: str, method: str) -> tuple[tuple[int, int], str | None]:
    """Return the chosen size (by default 1.5 times the scene's own, or half), and the interpolation, None for the
    origin's."""
    if method not in (OWN, *METHODS):
        raise ValueError(f"expected an interpolation of {', '.join(METHODS)}, got {str(method)[:40]!r}")
    config = scene.model.config
    chosen = parse_size(size, config.patch_size)
    if chosen is None:
        factor = 1.5 if 1.5**2 * config.grid[0] * config.grid[1] < most_patches(config) else 0.5
        chosen = tuple(round(factor * g) * p for g, p in zip(config.grid, config.patch_size, strict=True))
    return chosen, None if method == OWN else method


def patch_positions(model: VisionTransformer) -> np.ndarray:
    """Return the position embeddings of the patches, [gh*gw, D]."""
    return model.positions[0, model.config.positioned_prefix :].detach().float().cpu().numpy()


def _show(scene: Scene, request: gr.Request, size: str, method: str) -> list:
    seen = scene_at_size(scene, *_resizing(scene, size, method))
    model, other = scene.model, seen.model
    sizes = [f"{m.config.image_size[0]}x{m.config.image_size[1]}" for m in (model, other)]
    names = tuple(
        {language: f"{text} {px} px" for language, text in say_both(key).items()}
        for key, px in zip(("native_positions", "new_positions"), sizes, strict=True)
    )
    both_grids = (patch_positions(model), model.config.grid, patch_positions(other), other.config.grid)
    choices = _choices(scene, other, method)
    caption = scene.name
    if choices["method"]:
        used = say_both(f"method_{choices['method']}")
        caption = {language: f"{scene.name} · {text}" for language, text in used.items()}
    view = positions_value(*both_grids, names=names, caption=caption)
    view |= {"manifest": manifest_of(scene, "positions", **choices)}
    captions = [
        say(request, "compare_native", size=sizes[0]),
        say(request, "compare_new", size=sizes[1], method=say(request, f"method_{method}")),
    ]
    note = "" if other.config.classes else say(request, "compare_none")
    predictions = [
        {"seq": f"{one.key}-{method}", "top": one.top(), "card": caption, "note": note}
        for one, caption in zip((scene, seen), captions, strict=True)
    ]
    return [view, *predictions]


def _arrays(scene: Scene, state: dict, size: str, method: str) -> tuple[dict, dict]:
    """Return position embeddings of both grids, and their similarities if they are not too many."""
    other = resized(scene.model, *_resizing(scene, size, method))
    arrays = {}
    for name, model in (("native", scene.model), ("interpolated", other)):
        arrays[f"{name}_embeddings"] = patch_positions(model)
        if model.config.grid[0] * model.config.grid[1] <= MAX_SAVED_PLACES:
            arrays[f"{name}_similarity"] = position_similarity(model).cpu().numpy()
    return arrays, {"kind": "cosine"} | _choices(scene, other, method)


def _choices(scene: Scene, other: VisionTransformer, method: str) -> dict:
    """`method`: by its name, also where it is the origin's own; none where `other` has the scene's own grid."""
    used = scene.model.origin.interpolation if method == OWN else method
    return {
        "image_size": list(other.config.image_size),
        "method": None if other is scene.model else used,
        "native_grid": list(scene.model.config.grid),
        "grid": list(other.config.grid),
    }
