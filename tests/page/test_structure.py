"""What Gradio asks of a page's structure without saying so."""

import gradio as gr
import pytest

from explorer.tabs.page import build_page


@pytest.mark.parametrize("local", [True, False])
def test_tabs_hold_tabs_alone(local):
    """With anything else among them, a gr.State too, Gradio shows a tab twice: "Train" once stood there double."""
    demo = build_page(local_paths=local)
    strips = [block for block in demo.blocks.values() if isinstance(block, gr.Tabs)]
    assert len(strips) >= 2
    for strip in strips:
        assert {type(child) for child in strip.children} == {gr.Tab}
        names = [child.elem_id for child in strip.children]
        assert len(names) == len(set(names))
