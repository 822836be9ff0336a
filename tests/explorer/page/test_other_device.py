"""Where models rest on a GPU, every tab shows and saves what it does on a CPU."""

import sys

import gradio as gr
import numpy as np
import pytest

from explorer.figures.export import load_npz, save_npz
from explorer.page.picture_folders import PictureFolders
from explorer.session import scenes as session
from explorer.session.cache import ByteCache
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.attention import tab as attention
from explorer.tabs.compare import tab as compare
from explorer.tabs.explain import tab as explain
from explorer.tabs.figures import tab as figures
from explorer.tabs.inside import tab as inside
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.patches import tab as patches
from explorer.tabs.positions import tab as positions
from explorer.tabs.rollout import tab as rollout
from explorer.ui.examples import example_files
from tests.other_device import other_device

pytestmark = pytest.mark.other_device
TABS = {
    module.__name__.split(".")[-2]: module
    for module in (patches, attention, rollout, positions, explain, inside, laboratory, compare, figures)
}


def saved(name: str, path) -> dict:
    """What a freshly opened tab saves, after it has shown everything."""
    with gr.Blocks():
        event = (gr.State(), gr.Image())
        given = dict.fromkeys(("explain", "laboratory"), event) | {"compare": (True, None)}
        given["figures"] = (True, PictureFolders(True))
        with gr.Tabs():
            tab = TABS[name].build(*given.get(name, ()))
    scene, controls = scene_of(ModelChoice(), str(example_files()[0])), [control.value for control in tab.inputs]
    tab.show(scene, None, *controls)
    for _ in tab.show_later(scene, None, *controls) if tab.show_later else ():
        pass
    save_npz(path, *tab.arrays(scene, {}, *controls))
    return load_npz(path)[0]


def forget(monkeypatch):
    """Empty caches: what was made elsewhere, or by another test, would be shown and saved too."""
    for module in [module for name, module in sys.modules.items() if name.startswith("explorer.")]:
        for cache in [key for key, value in vars(module).items() if isinstance(value, ByteCache)]:
            monkeypatch.setattr(module, cache, ByteCache(2**30, 600, lambda value: 1))


@pytest.mark.parametrize("name", TABS)
def test_a_tab(monkeypatch, tmp_path, name):
    forget(monkeypatch)
    here = saved(name, tmp_path / "here.npz")
    with other_device() as device:
        for where in ("best_device", "resting_device"):
            monkeypatch.setattr(session, where, lambda: device)
        forget(monkeypatch)
        assert scene_of(ModelChoice(), str(example_files()[0])).trace.logits.device == device
        there = saved(name, tmp_path / "there.npz")
    assert there.keys() == here.keys()
    for key, values in here.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(there[key], values, rtol=1e-3, atol=1e-4, err_msg=key)
