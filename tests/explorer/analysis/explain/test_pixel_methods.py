"""Input x gradient, integrated gradients and SmoothGrad against captum, and what they must satisfy."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Saliency

from explorer import explain
from explorer.analysis.explain.gradients import pictures_at_once
from vit_model import SIZES
from vit_model.preprocess import Preprocessing

PIXELS = torch.linspace(-1, 1, 3 * 32 * 48).sin().reshape(1, 3, 32, 48) * 3


@pytest.fixture
def model(tiny_model):
    return tiny_model(image_size=(32, 48), registers=2)


def patches(attribution):
    """[1, 3, 32, 48] -> [4, 6], 8 x 8 pixels each: patch by patch, so that no reshape is tested by itself."""
    sums = [attribution[0, :, y : y + 8, x : x + 8].sum() for y in range(0, 32, 8) for x in range(0, 48, 8)]
    return torch.stack(sums).detach().reshape(4, 6)


def score(model, pixels, target, against=None):
    logits = model(pixels)[0]
    return logits[target] - (0 if against is None else logits[against])


@pytest.mark.parametrize("target", [0, 3])
def test_input_gradient_is_captums(model, target):
    expected = patches(InputXGradient(model).attribute(PIXELS.clone().requires_grad_(), target=target))
    found = explain(model, PIXELS, "input-gradient", target)
    assert (found.target, found.signed) == (target, True)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [7, 50])
def test_integrated_gradients_is_captums(model, steps):
    baseline = torch.zeros_like(PIXELS)
    expected = patches(IntegratedGradients(model).attribute(PIXELS, baseline, target=2, n_steps=steps))
    found = explain(model, PIXELS, "integrated-gradients", 2, steps=steps)
    assert found.signed
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=1e-4)


def test_integrated_gradients_of_every_baseline(tiny_model):
    model = tiny_model()
    model.preprocessing = Preprocessing(size=(32, 32), mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))
    pixels, maps = PIXELS[..., :32] / 3, {}
    flat = {"black": [-2.0, -2.0, -2.0], "white": [8.0, 3.0, 4 / 3], "mean": [0.0, 0.0, 0.0]}
    for name, colour in flat.items():
        start = torch.tensor(colour)[:, None, None].expand_as(pixels)
        expected = IntegratedGradients(model).attribute(pixels, start, target=1, n_steps=9)
        expected = expected.detach().reshape(3, 4, 8, 4, 8).sum((0, 2, 4))
        maps[name] = explain(model, pixels, "integrated-gradients", 1, steps=9, baseline=name).values
        torch.testing.assert_close(maps[name], expected, rtol=1e-3, atol=1e-4)
    maps["blur"] = explain(model, pixels, "integrated-gradients", 1, steps=9, baseline="blur").values
    assert all(not torch.allclose(a, b) for a in maps.values() for b in maps.values() if a is not b)


@pytest.mark.parametrize("against", [None, 0])
def test_completeness(model, against):
    """The map sums to score(picture) - score(baseline)."""
    pixels = PIXELS / 6  # a path short enough for few steps
    found = explain(model, pixels, "integrated-gradients", 4, against=against, steps=128).values.sum()
    expected = score(model, pixels, 4, against) - score(model, torch.zeros_like(pixels), 4, against)
    assert expected.abs() > 0.1
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01)


def test_smoothgrad_is_the_mean_gradient_over_seeded_noise(model):
    random, total = torch.Generator().manual_seed(5), 0
    sigma = 0.2 * (PIXELS.max() - PIXELS.min())
    for _ in range(6):
        noisy = PIXELS + sigma * torch.randn(1, 3, 32, 48, generator=random)
        total = total + Saliency(model).attribute(noisy.requires_grad_(), target=1, abs=False)
    found = explain(model, PIXELS, "smoothgrad", 1, noise=0.2, samples=6, seed=5)
    assert not found.signed
    torch.testing.assert_close(found.values, patches((total / 6).abs()), rtol=1e-3, atol=1e-4)
    assert torch.equal(found.values, explain(model, PIXELS, "smoothgrad", 1, noise=0.2, samples=6, seed=5).values)
    assert not torch.equal(found.values, explain(model, PIXELS, "smoothgrad", 1, noise=0.2, samples=6).values)


def test_smoothgrad_without_noise_is_the_plain_gradient_and_with_little_noise_captums_noise_tunnel(model):
    plain = patches(Saliency(model).attribute(PIXELS.clone().requires_grad_(), target=1))
    found = explain(model, PIXELS, "smoothgrad", 1, noise=0, samples=2).values
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    sigma = 1e-3 * float(PIXELS.max() - PIXELS.min())
    tunnel = NoiseTunnel(Saliency(model)).attribute(PIXELS, target=1, nt_samples=8, stdevs=sigma, abs=False)
    found = explain(model, PIXELS, "smoothgrad", 1, noise=1e-3, samples=8).values
    torch.testing.assert_close(found, patches(tunnel.abs()), rtol=0.1, atol=0.1 * float(found.mean()))


@pytest.mark.parametrize("method", ["integrated-gradients", "smoothgrad"])
def test_batches_change_nothing_and_tell_their_progress(model, method, monkeypatch):
    choices, seen = {"steps": 5} if method == "integrated-gradients" else {"samples": 5}, []
    expected = explain(model, PIXELS, method, 2, **choices).values
    monkeypatch.setattr(f"explorer.analysis.explain.{method.replace('-', '_')}.pictures_at_once", lambda *_: 2)
    found = explain(model, PIXELS, method, 2, progress=lambda *each: seen.append(each), **choices).values
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert seen == [(0, 5), (2, 5), (4, 5)]


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [("Ti/16", 224, 12), ("S/16", 224, 8), ("B/16", 224, 4), ("B/16", 592, 1), ("H/14", 224, 1), ("H/14", 1022, 1)],
)
def test_batches_on_a_cpu_are_bounded_in_tokens_and_by_the_size_of_the_model(size, side, expected):
    model = SimpleNamespace(config=replace(SIZES[size], image_size=side))
    assert pictures_at_once(model, torch.device("cpu")) == expected


@pytest.mark.parametrize(
    ("method", "choices", "message"),
    [
        ("integrated-gradients", {"baseline": "grey"}, "baseline must be one of mean, black, white, blur, got 'grey'"),
        ("integrated-gradients", {"steps": 0}, "steps must be a whole number from 1 to 4096, got 0"),
        ("smoothgrad", {"noise": -0.1}, r"noise must be from 0 to 1, a share of the input's range, got -0\.1"),
        ("smoothgrad", {"samples": 2.5}, r"samples must be a whole number from 1 to 4096, got 2\.5"),
    ],
)
def test_wording_of_errors(model, method, choices, message):
    with pytest.raises(ValueError, match=message):
        explain(model, PIXELS, method, **choices)
