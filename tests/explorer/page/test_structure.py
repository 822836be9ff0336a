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


SCENE_TABS = (
    *("patches", "attention", "rollout", "positions", "explain"),
    *("truth", "inside", "laboratory", "compare", "figures"),
)
MOST_INPUTS = 12
WHOLE_FORM = {
    ("explorer.tabs.train.tab", "begin"): "a run is started with all that the form says",
    ("explorer.tabs.train.new.form", "check"): "the command line has every field, and some fields contradict others",
    ("explorer.tabs.train.new.form", "follow"): "new data or another model move the fields that nobody has changed",
    ("explorer.tabs.train.new.preflight.panel", "look"): "a batch is read and augmented as the form says",
    ("explorer.tabs.train.new.preflight.panel", "attempt"): "a step is trained as the form says",
    ("explorer.tabs.train.new.jobs", "show"): "the job's request has the command line",
    ("explorer.tabs.train.new.jobs", "submit"): "the job's request has the command line, and must be the one in sight",
}
"""Event -> why it needs the whole form of the Train tab."""


@pytest.fixture(scope="module")
def page():
    return build_page(local_paths=True)


def tabs_of(blocks):
    """Names of the page's tabs in which these stand."""
    names = set()
    for block in blocks:
        while block is not None and getattr(block.parent, "elem_id", None) != "tabs":
            block = block.parent
        if block is not None:
            names.add(block.elem_id.removeprefix("tab-"))
    return names


def test_no_event_has_many_inputs_but_those_of_the_whole_training_form(page):
    """A slider of Rollout had 51: every tab's controls went to the server and back with it."""
    wide = {(fn.fn.__module__, fn.name) for fn in page.fns.values() if len(fn.inputs) > MOST_INPUTS}
    assert wide == set(WHOLE_FORM)


def test_no_event_carries_anything_of_two_tabs(page):
    inside = 0
    for fn in page.fns.values():
        triggers = tabs_of(page.blocks[target] for target, _ in fn.targets if target in page.blocks)
        tabs = tabs_of([*fn.inputs, *fn.outputs])
        assert len(tabs) <= 1, (fn.name, tabs)
        assert len(triggers) <= 1, (fn.name, triggers)
        assert not (triggers and tabs) or triggers == tabs, (fn.name, triggers, tabs)
        inside += bool(triggers and tabs)
    assert inside > 100


def fills(page):
    return [fn for fn in page.fns.values() if fn.fn and fn.fn.__module__.startswith("explorer.page.events.")]


def test_what_a_tab_shows_is_known_to_its_own_events_alone(page):
    states = {}
    for fn in fills(page):
        for state in fn.outputs:
            if isinstance(state, gr.State) and fn.name in ("fill", "follow"):
                states.setdefault(state._id, set()).update(tabs_of([*fn.inputs, *fn.outputs]))
    assert sorted(map(list, states.values())) == sorted([name] for name in SCENE_TABS)


def test_every_tab_but_train_is_woken_and_saved_by_the_name_that_the_browser_knows(page):
    """`vitTab` reads it from the id of the tab's button."""
    (strip,) = (block for block in page.blocks.values() if block.elem_id == "tabs")
    assert [tab.elem_id for tab in strip.children] == [f"tab-{name}" for name in (*SCENE_TABS, "train")]
    for kind in ("wake", "save"):
        buttons = {block.elem_id: block._id for block in page.blocks.values() if isinstance(block, gr.Button)}
        for name in SCENE_TABS:
            target = (buttons[f"{kind}-{name}"], "click")
            (event,) = (fn for fn in page.fns.values() if target in fn.targets)
            assert tabs_of([*event.inputs, *event.outputs]) <= {name}


def test_what_fills_the_page_begins_in_the_order_in_which_it_was_asked_for(page):
    """Of functions with queues of their own one may wait for another visitor's, and begin after a later one."""
    queues = {"fill": {"fill", "follow"}, "bar": {"show_bar", "open_bar"}}
    for queue, names in queues.items():
        found = [fn for fn in fills(page) if fn.name in names]
        assert len(found) > (30 if queue == "fill" else 5)
        assert {(fn.queue, fn.concurrency_id, fn.concurrency_limit) for fn in found} == {(True, queue, 8)}


def test_hidden_progress_has_no_component_to_show_it_on(page):
    """With each message of any event, Gradio's script copies every component that progress could be shown on. Without
    this, an event's outputs are those, maps of megabytes too, and a slow browser hears no click while a map is made."""
    events = [each for each in page.get_config_file()["dependencies"] if each["backend_fn"]]
    hidden = [each for each in events if each["show_progress"] == "hidden"]
    assert len(hidden) > 30
    assert not [each for each in hidden if each["show_progress_on"] != []]
    assert [each for each in events if each["show_progress"] == "minimal" and each["show_progress_on"]]
