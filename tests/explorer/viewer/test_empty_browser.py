"""Viewers before their first value: on its way where the page has a picture, and only else is one to be chosen."""

import gradio as gr
import pytest
from PIL import Image

from explorer.tabs.compare.view import CompareViewer
from explorer.tabs.explain.view import ExplainViewer
from explorer.tabs.inside.view import InsideView
from explorer.tabs.laboratory.view import LaboratoryBench
from explorer.tabs.patches.view import PatchesView
from explorer.tabs.positions.view import PositionsView
from explorer.viewer import AttentionViewer, ViewerStore


@pytest.fixture(scope="module")
def app(serve):
    store = ViewerStore()
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Image(Image.new("RGB", (32, 32), "red"), interactive=True, elem_id="picture")
        for viewer in (AttentionViewer, CompareViewer, InsideView):
            viewer(None, store=store, elem_id=viewer.__name__)
        ExplainViewer(None, elem_id="explain", choices_prefix="none-of-")
        for viewer in (LaboratoryBench, PatchesView, PositionsView):
            viewer(None, elem_id=viewer.__name__)
    return serve(demo)


def test_a_value_on_its_way_is_not_a_picture_to_choose(open_page, app):
    page = open_page(app)
    said = page.locator(".vit-message, .message").filter(visible=True)
    page.locator("#picture img").wait_for()
    page.wait_for_function("document.querySelectorAll('.none-chosen').length === 9")  # Compare has three maps
    assert {text.replace(" ", "") for text in said.all_inner_texts()} == {"Loading…"}
    page.evaluate("document.body.dataset.vitFill = 'failed'")
    assert {text[:15] for text in said.all_inner_texts()} == {"Nothing to show"}
    page.locator("#picture").get_by_role("button", name="Remove Image").click()
    page.locator("#picture img").wait_for(state="detached")
    texts = said.all_inner_texts()
    assert len(texts) == 9
    assert all(text.startswith(("Choose a picture", "Load a model")) for text in texts), texts
