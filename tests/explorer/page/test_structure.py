"""What Gradio asks of a page's structure without saying so."""

import gradio as gr
import pytest

from explorer.page.page import build_page


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


def test_what_fills_the_page_begins_in_the_order_in_which_it_was_asked_for():
    """Of functions with queues of their own one may wait for another visitor's, and begin after a later one."""
    fills = [fn for fn in build_page(local_paths=True).fns.values() if fn.name in ("fill", "fill_one")]
    assert len(fills) > 30
    assert {(fn.queue, fn.concurrency_id, fn.concurrency_limit) for fn in fills} == {(True, "fill", 8)}


def test_hidden_progress_has_no_component_to_show_it_on():
    """With each message of any event, Gradio's script copies every component that progress could be shown on. Without
    this, an event's outputs are those, maps of megabytes too, and a slow browser hears no click while a map is made."""
    events = [each for each in build_page(local_paths=True).get_config_file()["dependencies"] if each["backend_fn"]]
    hidden = [each for each in events if each["show_progress"] == "hidden"]
    assert len(hidden) > 30
    assert not [each for each in hidden if each["show_progress_on"] != []]
    assert [each for each in events if each["show_progress"] == "minimal" and each["show_progress_on"]]
