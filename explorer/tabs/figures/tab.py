"""The Figures tab: the figures of the ViT paper, drawn from the chosen model's own weights and attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import gradio as gr
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.gradients import Progress
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.filters import patch_filters
from explorer.analysis.position import position_similarity
from explorer.analysis.statistics import attention_distance
from explorer.figures.export import png_with
from explorer.figures.figures import distance_figure, filter_tile, position_mosaic, rollout_sheet
from explorer.session.cache import ByteCache
from explorer.session.explaining import explained
from explorer.session.scenes import Scene, with_picture
from explorer.ui.errors import plain_errors
from explorer.ui.events.progress import tell_progress
from explorer.ui.examples import example_files
from explorer.ui.manifest import manifest_of
from explorer.ui.tab import Tab
from explorer.ui.visitors.local_request import is_local
from explorer.ui.words import language_of, say, words
from explorer.viewer.kit.files import cached_file
from explorer.viewer.plot.plot import PlotlyView, plot_value
from explorer.viewer.scene_bar.scene_bar import SceneBar
from vit_model.picture import picture_hash, read_picture

FILTERS = 28  # as many as the paper shows
MAX_PICTURES = 64
SHOWN = 12  # pictures with their rollouts
MAX_MOSAIC = 784  # positions; a mosaic of more has maps too small to read
Files = Sequence[str] | None


class PictureFolder(Protocol):
    """Many pictures under one name: a folder, or an archive."""

    names: Sequence[str]

    def read(self, index: int) -> Image.Image: ...


class PictureFolders(Protocol):
    """How folders and archives are opened: the trainer's data sets know, which no tab but Train imports."""

    endings: Sequence[str]
    """Of archives' names."""

    def holds_many(self, path: Path) -> bool: ...

    def open(self, path: Path, progress: Callable[[int, int, str], None] | None = None) -> PictureFolder:
        """ValueError for what is neither a folder nor an archive, holds no picture, or is damaged or hostile."""
        ...


@dataclass(frozen=True)
class Seen:
    """What one picture gives to the figures: how the model sees it, its rollout, and attention distances [L, H]."""

    picture: Image.Image
    picture_hash: str
    rollout: Explanation
    distance: Tensor

    @property
    def nbytes(self) -> int:
        return 3 * self.picture.width * self.picture.height + 4 * self.distance.numel() + 10_000

    @classmethod
    def of(cls, scene: Scene) -> Seen:
        return cls(
            scene.model.preprocessing.pixels_to_picture(scene.pixels),
            scene.picture_hash,
            explained(scene, "rollout", None),
            attention_distance(scene.trace, scene.model.config.patch_size).cpu(),
        )


_SEEN: ByteCache[Seen] = ByteCache(64 * 2**20, 3600, lambda seen: seen.nbytes)  # for all visitors, keyed by content


def build(local_paths: bool, folders: PictureFolders) -> Tab:
    """`local_paths`: whether visitors may name folders of this computer (loopback only)."""
    with gr.Tab(words("tab_figures"), id="figures", elem_id="tab-figures") as item:
        gr.Markdown(words("figures_intro"), elem_classes="subdued")
        head = SceneBar(elem_id="figures")
        with gr.Row():
            filters = _figure("filters")
            positions = _figure("positions")
        files = gr.File(
            label=words("figures_files"),
            file_count="multiple",
            file_types=["image", *folders.endings],
            height=140,
            elem_id="figures-files",
        )
        chosen = gr.State("")  # a folder of this computer
        folder = gr.Textbox(
            label=words("figures_folder"),
            info=words("figures_folder_info"),
            visible=local_paths,
            max_lines=1,
            elem_id="figures-folder",
        )
        with gr.Row():
            stop = gr.Button(words("figures_stop"), size="sm", scale=0, min_width=120, visible=False)
            status = gr.Markdown("", elem_id="figures-status", elem_classes="subdued")
        with gr.Row():
            rollouts = _figure("rollouts")
            with gr.Column(min_width=320):
                gr.Markdown(words("figure_distance"))
                distance = PlotlyView(elem_id="figure-distance")
                gr.Markdown(words("figure_distance_reading"), elem_classes="subdued")

    @plain_errors
    def choose(request: gr.Request, named: str | None) -> str:
        if not named or not named.strip():
            return ""
        if not (local_paths and is_local(request)):
            raise ValueError(say(request, "local_refused"))
        folders.open(Path(named.strip()).expanduser())  # a ValueError where there are none
        return named.strip()

    folder.submit(choose, folder, chosen, api_visibility="private", show_progress="hidden")
    later = (status, rollouts, distance, stop)
    return Tab(
        "figures",
        item,
        (head, filters, positions),
        _show,
        partial(_arrays, folders),
        (files, chosen),
        later,
        partial(_later, folders),
        stop,
        _stopped,
    )


def _figure(name: str) -> gr.Image:
    """A drawing, which `_drawn` makes, with its heading above and how to read it below."""
    with gr.Column(min_width=320):
        gr.Markdown(words(f"figure_{name}"))
        image = gr.Image(
            type="filepath",
            format="png",
            interactive=False,
            show_label=False,
            buttons=["download", "fullscreen"],
            elem_id=f"figure-{name}",
        )
        gr.Markdown(words(f"figure_{name}_reading"), elem_classes="subdued")
    return image


def _show(scene: Scene, request: gr.Request, files: Files, folder: str) -> list:
    """What the weights alone say. The bar comes first: its new `seq` begins the work for the pictures' figures."""
    config = scene.model.config
    head = {"seq": uuid4().hex, "top": [], "card": scene.name, "note": ""}
    filters = None
    if config.channels in (1, 3):
        filters = filter_tile(patch_filters(scene.model, FILTERS).components, zoom=-(-64 // config.patch_size[0]))
    mosaic = None
    if config.grid[0] * config.grid[1] <= MAX_MOSAIC:
        mosaic = position_mosaic(position_similarity(scene.model).cpu(), colours="viridis")
    manifest = manifest_of(scene, "figures", **_choices(scene))
    return [head, _drawn("filters", filters, manifest), _drawn("positions", mosaic, manifest)]


def _drawn(name: str, picture: Image.Image | None, manifest: dict) -> str | None:
    """Path of a drawing as its download button saves it: called after what it is, and with a manifest."""
    if picture is None:
        return None
    return cached_file(png_with(picture, manifest | {"figure": name}), f"figure-{name}.png")["path"]


def _choices(scene: Scene, seen: Sequence[Seen] = ()) -> dict:
    choices = {"grid": list(scene.trace.grid)}
    if seen:
        choices |= {"pictures_sha256": [each.picture_hash for each in seen], "rollout": METHODS["rollout"].defaults}
    return choices


def _later(folders: PictureFolders, scene: Scene, request: gr.Request, files: Files, folder: str) -> Iterator[list]:
    """What the model does with pictures: the visitor's, or the one in sight and the examples."""

    def tell(done: int, total: int) -> list:
        doing = "figures_doing" if total else "figures_reading"
        return [say(request, doing, done=done, total=total), gr.skip(), gr.skip(), gr.Button(visible=total != 1)]

    def work(progress: Progress) -> tuple[Sources, list[Seen], list[str]]:
        sources = Sources.of(files, folder, folders, progress)
        return sources, *sources.seen(scene, progress)

    sources, seen, refused = yield from tell_progress(work, tell)
    names = ", ".join(map(_plain, refused))
    if len(refused) == len(sources.pictures):
        said = say(request, "figures_none_read", names=names)
    else:
        said = say(request, "figures_over_own" if sources.own else "figures_over_examples", count=len(seen))
    if sources.found > MAX_PICTURES:
        said += " " + say(request, "figures_too_many", most=MAX_PICTURES, found=sources.found)
    if len(seen) > SHOWN:
        said += " " + say(request, "figures_shown", shown=SHOWN)
    if 0 < len(refused) < len(sources.pictures):
        said += " " + say(request, "figures_refused", names=names)
    sheet = rollout_sheet([(each.picture, each.rollout) for each in seen[:SHOWN]], across=2, side=240)
    distances = distance_figure(torch.stack([each.distance for each in seen]).mean(0), language_of(request))
    drawn, every = (manifest_of(scene, "figures", **_choices(scene, some)) for some in (seen[:SHOWN], seen))
    yield [
        said,
        _drawn("rollouts", sheet, drawn),
        plot_value(distances, caption=scene.name) | {"manifest": every},
        gr.Button(visible=False),
    ]


def _stopped(request: gr.Request) -> list:
    return [say(request, "figures_stopped"), gr.skip(), gr.skip(), gr.Button(visible=False)]


@dataclass(frozen=True)
class Sources:
    """(name, how to read it) of the pictures to look at, at most MAX_PICTURES of those that were `found`. `own`:
    whether they are the visitor's; before others comes the picture in sight."""

    pictures: tuple[tuple[str, Callable[[], Image.Image]], ...]
    found: int
    own: bool

    @classmethod
    def of(cls, files: Files, folder: str, folders: PictureFolders, progress: Progress | None = None) -> Sources:
        """Uploaded pictures, those in uploaded archives, and those below a folder of this computer; without any the
        examples. Reports (0, 0) while archives are read. Raises what `folders.open` does."""
        reading = progress and (lambda done, total, text: progress(0, 0))
        pictures = []
        for path in map(Path, [*(files or ()), *([folder] if folder else [])]):
            if folders.holds_many(path):
                many = folders.open(path, reading)
                pictures += [(name, partial(many.read, index)) for index, name in enumerate(many.names)]
            else:
                pictures.append((path.name, partial(read_picture, path)))
        found, own = len(pictures), bool(pictures)
        if not own:
            pictures = [(path.name, partial(read_picture, path)) for path in example_files()]
        elif found > MAX_PICTURES:
            pictures = [pictures[index * found // MAX_PICTURES] for index in range(MAX_PICTURES)]
        return cls(tuple(pictures), found, own)

    def seen(self, scene: Scene, progress: Progress | None = None) -> tuple[list[Seen], list[str]]:
        """(pictures through the scene's model, each once, names of files that are none)."""
        seen, refused = {} if self.own else {scene.picture_hash: Seen.of(scene)}, []
        for done, (name, read) in enumerate(self.pictures):
            if progress is not None:
                progress(done, len(self.pictures))
            try:
                picture = read()
            except (ValueError, OSError):
                refused.append(name)
                continue
            key = picture_hash(picture)
            made = _SEEN.get(
                (scene.model_key, key), partial(lambda picture: Seen.of(with_picture(scene, picture)), picture)
            )
            seen.setdefault(key, made)
        return list(seen.values()) or [Seen.of(scene)], refused


def _plain(name: str) -> str:
    """A file's name as Markdown shows it literally."""
    return "".join(character if character.isalnum() or character in " .-" else "_" for character in name[:60])


def _arrays(folders: PictureFolders, scene: Scene, state: dict, files: Files, folder: str) -> tuple[dict, dict]:
    """The numbers of all four figures; distances and rollouts of every picture on its own."""
    seen, _ = Sources.of(files, folder, folders).seen(scene)
    filters = patch_filters(scene.model, FILTERS)
    arrays = {
        "filters": filters.components.numpy(),
        "filters_explained_variance": filters.explained.numpy(),
        "distance_pixels": np.stack([each.distance.numpy() for each in seen]),  # [pictures, layers, heads]
        "rollouts": np.stack([each.rollout.values.numpy() for each in seen]),  # [pictures, gh, gw]
    }
    if scene.trace.grid[0] * scene.trace.grid[1] <= MAX_MOSAIC:
        arrays["position_similarity"] = position_similarity(scene.model).cpu().numpy()
    return arrays, _choices(scene, seen)
