"""The explorer's session and its Laboratory where models rest on the GPU."""

import numpy as np
import pytest

from explorer import METHODS
from explorer.session.explaining import explained
from explorer.session.scenes import ModelChoice, gradients_of, scene_at_size, scene_of, with_picture

pytest.importorskip("gradio", reason="gradio is not installed")

from explorer.tabs.laboratory.edits import ablation_of, outcome_of, read_wish
from explorer.ui.examples import example_files

EDITS = {
    "steps": [{"kind": "drop", "patches": [3, 4], "seed": 0}, {"kind": "blur", "patches": [40, 41], "seed": 1}],
    "heads": [[1, 2]],
    "mlps": [3],
}


@pytest.fixture(scope="module")
def scene(device):
    return scene_of(ModelChoice(), str(example_files()[0]))


def test_a_scene_is_on_the_device(scene, device):
    assert scene.trace.logits.device.type == device.type
    assert next(scene.model.parameters()).device.type == device.type
    assert scene.top(1)[0][0] == "parachute"


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_made_and_comes_to_the_cpu(scene, method):
    choices = {"integrated-gradients": {"steps": 4}, "smoothgrad": {"samples": 2}}.get(method, {})
    found = explained(scene, method, None, **choices)
    assert found.values.device.type == "cpu" and found.values.isfinite().all()


def test_other_sizes_pictures_and_gradients(scene, device):
    larger = scene_at_size(scene, (2 * scene.model.config.image_size[0], scene.model.config.image_size[1]))
    other = with_picture(scene, scene.picture.rotate(90))
    assert {larger.trace.logits.device.type, other.trace.logits.device.type} == {device.type}
    assert gradients_of(scene, 0).pixels.isfinite().all()


def test_the_laboratory(scene):
    wish = read_wish(EDITS, scene)
    outcome = outcome_of(scene, wish)
    assert outcome.logits.cpu().isfinite().all()
    assert not np.allclose(outcome.logits.cpu().numpy(), scene.trace.logits[0].cpu().numpy())
    *_, last = ablation_of(scene, wish)
    assert last.done == last.total and last.logits.cpu().isfinite().any()
