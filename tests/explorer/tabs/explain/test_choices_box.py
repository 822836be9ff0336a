"""ChoicesBox: all methods' choices in one value, of which each part is checked by its own control."""

import gradio as gr
import pytest

from explorer.tabs.explain.choices import build
from explorer.tabs.explain.choices_box import build_box


@pytest.fixture(scope="module")
def parts():
    with gr.Blocks() as demo:
        controls = build()
        return demo, controls, build_box(controls)


def test_it_begins_with_what_the_controls_say(parts):
    _, controls, box = parts
    assert box.value == [control.value for control in controls.values()]
    assert box.preprocess(box.value) == box.value


def test_every_control_changes_it_and_its_events_have_few_inputs(parts):
    demo, controls, _ = parts
    heard = {target for event in demo.fns.values() for target, name in event.targets if name == "change"}
    assert heard == {control._id for control in controls.values()}
    assert all(event.fn is None and len(event.inputs) <= 4 for event in demo.fns.values()), "the browser does it alone"


@pytest.mark.parametrize("sent", [None, [], 3, "text", {}, ["x"]])
def test_what_is_no_list_of_all_choices_is_refused(parts, sent):
    with pytest.raises((TypeError, ValueError)):  # which the page answers in words: `Page.preprocess_data`
        parts[2].preprocess(sent)


@pytest.mark.parametrize("wrong", ["nothing", -9, [], {}])
def test_each_control_refuses_what_it_never_says(parts, wrong):
    _, controls, box = parts
    for index, control in enumerate(controls.values()):
        if isinstance(control, gr.Checkbox):
            continue
        sent = list(box.value)
        sent[index] = wrong
        with pytest.raises((gr.Error, TypeError, ValueError)):
            box.preprocess(sent)
