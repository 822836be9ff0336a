"""Models chosen one after the other, where loading one takes longer than choosing the next."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import pytest

from explorer.session.scenes import ModelChoice, get_model
from explorer.ui import model_picker as models
from explorer.ui.model_picker import ModelPicker

SLOW = "owner/slow"


@pytest.fixture
def picker():
    with gr.Blocks():
        return ModelPicker("bundled", local_paths=False)


@pytest.fixture
def loading(monkeypatch):
    """(a model is being loaded from the Hub, now it has come)"""
    begun, done = threading.Event(), threading.Event()

    def get(choice, report=None):
        if choice.name == SLOW:
            begun.set()
            assert done.wait(30)
        return get_model(ModelChoice(size=choice.size))

    monkeypatch.setattr(models, "get_model", get)
    return begun, done


def named(picker, name, size="native"):
    return picker._by_name(None, name, size, gr.Progress())


def test_a_model_that_took_longer_than_a_later_choice_is_not_shown(picker, loading):
    begun, done = loading
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(named, picker, SLOW)
        assert begun.wait(30)
        assert named(picker, "bundled").name == "bundled"
        done.set()
        assert slow.result(30) == gr.skip()
    assert named(picker, SLOW).name == SLOW


def test_a_run_that_was_opened_meanwhile_stays(picker, loading):
    begun, done = loading
    picker.runs = SimpleNamespace(names=lambda request: [("mine", "Run mine")], holds=lambda name: False)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(named, picker, SLOW)
        assert begun.wait(30)
        picker.showing("Run mine", None)
        done.set()
        assert slow.result(30) == gr.skip()


def test_a_size_chosen_meanwhile_is_for_the_model_on_its_way(picker, loading):
    begun, done = loading
    with ThreadPoolExecutor() as threads:
        threads.submit(named, picker, SLOW)
        assert begun.wait(30)
        sized = threads.submit(picker._resized, None, ModelChoice(), SLOW, "64", gr.Progress())
        done.set()
        assert (sized.result(30).name, sized.result(30).size) == (SLOW, (64, 64))


def test_a_size_is_for_the_model_in_sight_where_its_name_stands_or_none(picker, loading):
    for name in ("bundled", " bundled ", "", None):
        assert picker._resized(None, ModelChoice(), name, "64", gr.Progress()) == ModelChoice(size=(64, 64))


def test_a_size_that_is_refused_leaves_the_model_that_is_on_its_way(picker, loading):
    begun, done = loading
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(named, picker, SLOW)
        assert begun.wait(30)
        sized = threads.submit(picker._resized, None, ModelChoice(), SLOW, "65", gr.Progress())
        done.set()
        with pytest.raises(gr.Error, match="65"):
            sized.result(30)
        assert slow.result(30).name == SLOW
