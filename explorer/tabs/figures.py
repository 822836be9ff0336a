"""The Figures tab: the figures of the ViT paper, drawn from the chosen model's own weights and attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from explorer.explaining import explained
from explorer.explanation import Explanation
from explorer.figures import distance_figure, filter_tile, position_mosaic, rollout_sheet
from explorer.filters import patch_filters
from explorer.position import position_similarity
from explorer.session import Scene, look
from explorer.statistics import attention_distance
from explorer.tabs.examples import example_files
from explorer.tabs.tab import Tab
from explorer.tabs.text import language_of, say, words
from explorer.viewer.plot import PlotlyView, plot_value
from explorer.viewer.scene_bar import SceneBar

FILTERS = 28  # as many as the paper shows
MAX_PICTURES = 64
MAX_MOSAIC = 784  # positions; a mosaic of more has maps too small to read
Files = Sequence[str] | None


def build() -> Tab:
    with gr.Tab(words("tab_figures"), id="figures", elem_id="tab-figures") as item:
        gr.Markdown(words("figures_intro"), elem_classes="subdued")
        head = SceneBar(elem_id="figures")
        with gr.Row():
            filters = _figure("filters")
            positions = _figure("positions")
        files = gr.File(
            label=words("figures_files"),
            file_count="multiple",
            file_types=["image"],
            height=140,
            elem_id="figures-files",
        )
        status = gr.Markdown("", elem_id="figures-status", elem_classes="subdued")
        with gr.Row():
            rollouts = _figure("rollouts")
            with gr.Column(min_width=320):
                gr.Markdown(words("figure_distance"))
                distance = PlotlyView(elem_id="figure-distance")
                gr.Markdown(words("figure_distance_reading"), elem_classes="subdued")
    return Tab(
        "figures", item, (head, filters, positions), _show, _arrays, (files,), (status, rollouts, distance), _later
    )


def _figure(name: str) -> gr.Image:
    """A drawing with its heading above and how to read it below."""
    with gr.Column(min_width=320):
        gr.Markdown(words(f"figure_{name}"))
        image = gr.Image(
            type="pil",
            format="png",
            interactive=False,
            show_label=False,
            buttons=["download", "fullscreen"],
            elem_id=f"figure-{name}",
        )
        gr.Markdown(words(f"figure_{name}_reading"), elem_classes="subdued")
    return image


def _show(scene: Scene, request: gr.Request, files: Files) -> list:
    """What the weights alone say. The bar comes first, and changes with everything that the pictures' figures show."""
    config = scene.model.config
    key = f"{scene.key}-{language_of(request)}-{hash(tuple(files or ()))}"
    head = {"seq": key, "top": [], "card": scene.name, "note": ""}
    filters = None
    if config.channels in (1, 3):
        filters = filter_tile(patch_filters(scene.model, FILTERS).components, zoom=-(-64 // config.patch_size[0]))
    mosaic = None
    if config.grid[0] * config.grid[1] <= MAX_MOSAIC:
        mosaic = position_mosaic(position_similarity(scene.model).cpu(), colours="viridis")
    return [head, filters, mosaic]


def _later(scene: Scene, request: gr.Request, files: Files, progress: gr.Progress) -> list:
    """What the model does with pictures: the visitor's, or the one in sight and the examples."""
    scenes, refused = _scenes(scene, files, lambda done, total: progress((done, total)))
    distance = torch.stack([_distance(each) for each in scenes]).mean(0)
    seen = [(each.model.preprocessing.pixels_to_picture(each.pixels), _rollout(each)) for each in scenes]
    said = say(request, "figures_over_files" if files else "figures_over_examples", count=len(scenes))
    if files and len(files) > MAX_PICTURES:
        said += " " + say(request, "figures_too_many", most=MAX_PICTURES)
    if refused:
        said += " " + say(request, "figures_refused", names=", ".join(refused))
    return [
        said,
        rollout_sheet(seen, across=2, side=240),
        plot_value(distance_figure(distance.cpu(), language_of(request))),
    ]


def _scenes(scene: Scene, files: Files, progress: Callable[[int, int], None]) -> tuple[list[Scene], list[str]]:
    """(pictures seen by the scene's model, names of files that are none)."""
    chosen = [Path(file) for file in files][:MAX_PICTURES] if files else list(example_files())
    scenes, refused = [] if files else [scene], []
    for done, file in enumerate(chosen):
        progress(done, len(chosen))
        try:
            seen = look(scene.choice, file)
        except (ValueError, OSError):
            refused.append(_plain(file.name))
            continue
        if seen.picture_hash not in {each.picture_hash for each in scenes}:
            scenes.append(seen)
    return (scenes or [scene]), refused


def _plain(name: str) -> str:
    """A file's name as Markdown shows it literally."""
    return "".join(character if character.isalnum() or character in " .-" else "_" for character in name[:60])


def _rollout(scene: Scene) -> Explanation:
    return explained(scene, "rollout", None)


def _distance(scene: Scene) -> torch.Tensor:
    return attention_distance(scene.trace, scene.model.config.patch_size)


def _arrays(scene: Scene, state: dict, files: Files) -> tuple[dict, dict]:
    """The numbers of all four figures; distances and rollouts of every picture on its own."""
    scenes, _ = _scenes(scene, files, lambda done, total: None)
    filters = patch_filters(scene.model, FILTERS)
    arrays = {
        "filters": filters.components.numpy(),
        "filters_explained_variance": filters.explained.numpy(),
        "distance_pixels": np.stack([_distance(each).cpu().numpy() for each in scenes]),  # [pictures, layers, heads]
        "rollouts": np.stack([_rollout(each).values.numpy() for each in scenes]),  # [pictures, gh, gw]
    }
    if scene.trace.grid[0] * scene.trace.grid[1] <= MAX_MOSAIC:
        arrays["position_similarity"] = position_similarity(scene.model).cpu().numpy()
    return arrays, {"pictures_sha256": [each.picture_hash for each in scenes], "grid": list(scene.trace.grid)}
