"""Picture: an upload whose file reaches us untouched, so that our own reader judges it."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import ImageData

from explorer.ui.visitors.visitor_files import visitor_path


class Picture(gr.Image):
    """`gr.Image` that hands on the path of the uploaded file, and of no other. Gradio's own preprocessing opens the
    picture first, which turns hostile or unusual files into errors without words, and re-encodes what it can open. No
    `__init__` of its own: Gradio tells the browser only what stands in that signature."""

    is_template = True  # drawn in the browser by gr.Image's own component

    def preprocess(self, payload: ImageData | None) -> str | None:
        if payload is None or not payload.path:
            return None
        return str(visitor_path(payload.path))


def changed_once(picture: Picture) -> gr.Textbox:
    """Add a hidden box whose `change` comes once for each new picture. gr.Image's own `change` comes twice for an
    upload, when the browser sets its value and when the value is bound, and a refusal would be shown twice."""
    file = gr.Textbox(visible="hidden", elem_id="picture-file")  # visible=False would not be in the page at all
    picture.change(
        None,
        picture,
        file,
        js="(picture) => { window.vitKept?.keep('picture', picture); return picture?.path ?? picture?.url ?? ''; }",
        api_visibility="private",
        queue=False,
    )
    return file


def kept_over_reload(page: gr.Blocks, picture: Picture, tabs: gr.Tabs) -> None:
    """Begin with the picture that was there before a reload, if the server still has its file, and in the same tab,
    unless the address names a run."""
    page.load(
        None,
        None,
        [picture, tabs],
        js="""async () => {
            const { picture, tab } = window.vitKept?.before ?? {};
            const there = picture?.url && (await fetch(picture.url, { method: "HEAD" }).catch(() => null));
            const stays = { __type__: "update" };
            const open = tab && !new URLSearchParams(location.search).has("run");
            return [there?.ok ? picture : stays, open ? { ...stays, selected: tab } : stays];
        }""",
        api_visibility="private",
        queue=False,
    )
