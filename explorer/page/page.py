"""The page's layout: model, picture and prediction beside the tabs. `events` makes it live."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

from explorer.page import endpoints as api
from explorer.page.events.parts import IN_PLACE, PageParts
from explorer.page.events.save import build_save_row, wire_save
from explorer.page.events.scene_bar import wire_bar
from explorer.page.events.tabs import wire_tab
from explorer.page.picture_folders import PictureFolders
from explorer.page.refusals import Page
from explorer.tabs.attention import tab as attention
from explorer.tabs.compare import tab as compare
from explorer.tabs.explain import tab as explain
from explorer.tabs.faithfulness import tab as faithfulness
from explorer.tabs.figures import tab as figures
from explorer.tabs.inside import tab as inside
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.patches import tab as patches
from explorer.tabs.positions import tab as positions
from explorer.tabs.rollout import tab as rollout
from explorer.tabs.train import tab as train
from explorer.tabs.train.results.panel import Explorer
from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import RunCheckpoints
from explorer.ui.examples import example_files, name_examples
from explorer.ui.model_picker import ModelPicker
from explorer.ui.picture import Picture, changed_once
from explorer.ui.tab import Tab
from explorer.ui.visitors.local_request import is_local
from explorer.ui.words import TEXT, say, words
from explorer.viewer.kit.component import script_stub
from explorer.viewer.scene_bar.scene_bar import SceneBar
from training.runs.runs import Runs

CACHE_HOURS = 6
FIRST_TAB = "attention"
CSS = (Path(__file__).parent / "page.css").read_text("utf-8")


def build_page(model: str = "bundled", local_paths: bool = False) -> gr.Blocks:
    """The whole page. `local_paths`: whether visitors may name files of this computer (loopback only)."""
    with Page(
        local_paths=local_paths,
        title="ViT Explorer",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(1800, CACHE_HOURS * 3600),
    ) as demo:
        _header()
        others = gr.Markdown(visible=False, elem_id="open-to-others", elem_classes="subdued")
        bar = SceneBar(elem_id="scene-bar")
        with gr.Row(elem_id="page"):
            with gr.Column(scale=1, min_width=300, elem_id="side"):
                picture = _picture()
                picture_file = changed_once(picture)  # before anything else listens: Gradio has one after another
                checkpoints = RunCheckpoints(RunAccess(Runs(), local_paths))
                picker = ModelPicker(model, local_paths, checkpoints)
                card = SceneBar(elem_id="model-card")
            with gr.Column(scale=3, min_width=320, elem_id="main"):
                with gr.Tabs(selected=FIRST_TAB, elem_id="tabs") as strip:
                    tabs = _scene_tabs(picker, picture, local_paths, checkpoints)
                    training = train.build(local_paths, Explorer(picture, picker, strip))
                save_row = build_save_row()
        parts = PageParts(bar, card, picture, picture_file, picker, strip, tabs)
        wire_save(save_row, parts, [training.item])
        for tab in tabs:
            wire_tab(parts, tab)
        wire_bar(demo, parts, _first_picture())
        training.wire(demo, strip)
        name_examples(demo)
        if local_paths:
            demo.load(open_to_others, None, others, **IN_PLACE)
        api.endpoints(local_paths, picker.opened.name)
    return demo


def _header() -> None:
    part = Path(__file__).parent / "header"
    gr.HTML(
        html_template=part.with_suffix(".html").read_text("utf-8"),
        js_on_load=script_stub(part.with_suffix(".js")),
        css_template=part.with_suffix(".css").read_text("utf-8"),
        apply_default_css=False,
        text={code: {key: TEXT[code][key] for key in ("tagline", "other_language")} for code in TEXT},
        elem_id="header",
    )


def _picture() -> Picture:
    """The picture, with examples below it."""
    picture = Picture(
        value=_first_picture(),
        label=words("picture"),
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard", "webcam"],
        elem_id="picture",
        height=260,
    )
    gr.Examples(
        [str(file) for file in example_files()],
        inputs=picture,
        label=words("examples"),
        elem_id="examples",
        api_visibility="private",
    )
    return picture


def _first_picture() -> str:
    return str(example_files()[0])


def _scene_tabs(picker: ModelPicker, picture: Picture, local_paths: bool, checkpoints: RunCheckpoints) -> list[Tab]:
    """The tabs that show the picture and the model, in their order."""
    return [
        patches.build(),
        attention.build(),
        rollout.build(),
        positions.build(),
        explain.build(picker.choice, picture),
        faithfulness.build(picker.choice, picture),
        inside.build(),
        laboratory.build(picker.choice, picture),
        compare.build(local_paths, checkpoints),
        figures.build(local_paths, PictureFolders(local_paths)),
    ]


def theme() -> gr.themes.Base:
    """Quiet, and with fonts that come with Gradio: nothing is fetched from another host. Two weights only, since the
    semi-bold files that Gradio carries lack most glyphs."""
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        font=[LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=[LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
    ).set(
        block_label_text_weight="400",
        block_title_text_weight="400",
        button_small_text_weight="400",
        body_text_color_subdued="*neutral_500",  # at least 4.5 to 1 on white, as WCAG's AA asks
        color_accent="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )


def open_to_others(request: gr.Request) -> gr.Markdown:
    """What a page of this computer says to who comes to it by another name or through a proxy."""
    return gr.Markdown(say(request, "open_to_others"), visible=not is_local(request))
