"""The explain benchmark on a tiny model: every row is there, and the oracles compute what we do."""

import sys

import pytest
import torch

from benchmarks import explain, explain_memory
from benchmarks.explain_oracles import captums, grad_cams, with_stored_attention
from benchmarks.peers import random_model
from explorer.analysis.explain.gradients import class_gradients
from explorer.analysis.explain.methods import explain as explained
from vit_model import ViTConfig

CONFIG = ViTConfig(image_size=32, patch_size=8, width=24, depth=2, heads=3, mlp_width=96, classes=5)
CPU = torch.device("cpu")
PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32)


def test_every_method_is_measured_against_a_forward_pass_and_an_oracle():
    rows = {result.name: result for result in explain.single(CONFIG, 1, CPU, 0.1)}
    assert rows["rollout of a trace / plain forward"].target == 0.1
    assert all(rows[f"{name} / plain forward"].target == 2.5 for name in explain.SINGLE)
    assert {"relevance / its oracle", "legrad / its oracle", "input-gradient / its oracle"} <= rows.keys()
    assert ("grad-cam / its oracle" in rows) == bool(grad_cams(CONFIG))
    assert all(result.value > 0 for result in rows.values())


@pytest.mark.parametrize(
    ("part", "row"),
    [
        (explain.many, "smoothgrad / its oracle"),
        (explain.occluding, "occlusion / plain forward (16 patches)"),
        (explain.deleting, "curve / plain forward"),
    ],
)
def test_methods_of_many_passes_are_measured(part, row):
    rows = {result.name: result for result in part(CONFIG, 1, CPU)}
    assert rows[row].value > 0


def test_the_measured_model_has_gradients():
    gradients = class_gradients(random_model(CONFIG), PIXELS, 3)
    assert all(each.any() for each in (*gradients.outputs, gradients.pixels))


def test_oracles_over_our_model_agree_with_it(tiny_model):
    model = tiny_model
    found = captums(model)["input-gradient"](PIXELS, 1).reshape(3, 4, 8, 4, 8).sum((0, 2, 4))
    torch.testing.assert_close(found.detach(), explained(model, PIXELS, "input-gradient", 1).values)
    found = captums(model)["integrated-gradients"](PIXELS, 1, steps=6).reshape(3, 4, 8, 4, 8).sum((0, 2, 4))
    ours = explained(model, PIXELS, "integrated-gradients", 1, steps=6).values
    torch.testing.assert_close(found.detach().float(), ours, rtol=1e-3, atol=1e-5)


def test_oracles_of_stored_attention_give_maps_of_every_patch():
    torch.manual_seed(0)
    for oracle in with_stored_attention(CONFIG).values():
        found = oracle(PIXELS, 1)
        assert found.shape == (16,)
        assert found.min() >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_peaks_are_measured_for_ours_and_the_oracle():
    found = explain_memory.peaks(CONFIG)
    assert found["tokens"] == 17
    assert set(found["peaks"]) == {*explain_memory.METHODS, explain_memory.ORACLE}


@pytest.fixture
def tiny_model():
    from vit_model import VisionTransformer

    torch.manual_seed(0)
    model = VisionTransformer(CONFIG).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=0.2)
    return model
