"""A picture or model that is refused: of two events that run side by side one says why, and both fail."""

import gradio as gr
import pytest
from PIL import Image

from explorer.page.events.fill import fill_tab, find_scene
from explorer.page.events.scene_bar import bar_and_card
from explorer.session.scenes import ModelChoice
from explorer.tabs.rollout import tab as rollout
from explorer.ui.errors import plain_errors

ROLLOUT = ["mean", 0.0, "max", 0.9, "matrix", 0]


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return str(tmp_path / "bad.png")


@pytest.fixture(scope="module")
def tab():
    with gr.Blocks():
        return rollout.build()


def refused(function, *given, **how):
    """The error as Gradio gets it from an event's function."""
    with pytest.raises(gr.Error) as caught:
        plain_errors(lambda *given: function(*given, **how))(*given)
    return caught.value


def test_a_refusal_is_shown_once(tab, bad):
    said = refused(bar_and_card, None, ModelChoice(), bad)
    silent = refused(lambda *given: fill_tab(tab, *given, says_refusal=False), None, ModelChoice(), bad, None, *ROLLOUT)
    assert (said.visible, silent.visible) == (True, False)
    assert said.message == silent.message
    assert said.message.count("Could not do that") == 1


def test_a_model_that_is_gone_is_said_by_whoever_is_asked_to(bad, tmp_path):
    gone = ModelChoice(str(tmp_path / "none"), "none")
    assert refused(find_scene, None, gone, bad).visible
    assert not refused(find_scene, None, gone, bad, says_refusal=False).visible


def test_what_a_control_says_is_refused_in_words_for_a_woken_tab_too(tab, tmp_path):
    """Of the tab's own controls the bar knows nothing."""
    Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    wrong = [*ROLLOUT[:3], 2.0, *ROLLOUT[4:]]
    said = refused(
        lambda *given: fill_tab(tab, *given, says_refusal=False),
        None,
        ModelChoice(),
        str(tmp_path / "red.png"),
        None,
        *wrong,
    )
    assert said.visible
    assert "discard_ratio" in said.message
