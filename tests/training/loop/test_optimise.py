"""Learning rates by hand, optimisers against torch's own, and the moving average."""

import copy
import math

import pytest
import torch

from training.config import RunConfig
from training.loop.optimise import Optimisers, average, layer_scale, learning_rate
from vit_model import VisionTransformer, ViTConfig

NO_SCALING = torch.amp.GradScaler("cpu", enabled=False)


def tiny(classes=3):
    torch.manual_seed(0)
    return VisionTransformer(
        ViTConfig(image_size=8, patch_size=4, width=8, depth=2, heads=2, mlp_width=16, classes=classes)
    )


def with_gradients(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", 0.5 * (1 + math.cos(math.pi * 0.25))), ("linear", 0.75), ("constant", 1.0)],
)
def test_rates_of_each_schedule(schedule, expected):
    config = RunConfig(steps=110, warmup=10, lr=2.0, schedule=schedule)
    assert learning_rate(config, 0, 0.0, 110) == pytest.approx(0.2)
    assert learning_rate(config, 9, 9 / 110, 110) == pytest.approx(2.0)
    assert learning_rate(config, 35, 35 / 110, 110) == pytest.approx(2.0 * expected)


def test_a_budget_of_minutes_goes_by_the_time_that_is_over():
    config = RunConfig(minutes=10, lr=1.0, schedule="linear")
    assert learning_rate(config, 12345, 0.4, None) == pytest.approx(0.6)
    assert learning_rate(config, 12345, 1.7, None) == 0


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01)),
    ],
)
def test_steps_are_those_of_torch(name, theirs):
    ours = tiny()
    reference = copy.deepcopy(ours)
    optimiser = Optimisers(ours, RunConfig(steps=1, optimizer=name, lr=0.1, weight_decay=0.01, decay_all=True))
    oracle = theirs(reference.parameters())
    for step in range(3):
        with_gradients(ours, step), with_gradients(reference, step)
        optimiser.set_rate(0.1)
        optimiser.step(NO_SCALING)
        oracle.step()
    for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_state_goes_out_and_in_without_changing_a_bit(name):
    config = RunConfig(steps=1, optimizer=name, lr=0.01, weight_decay=0.01, layer_decay=0.5)
    model = tiny()
    optimiser = Optimisers(model, config)
    with_gradients(model)
    optimiser.set_rate(0.01)
    optimiser.step(NO_SCALING)
    again = copy.deepcopy(model)
    restored = Optimisers(again, config)
    restored.load({name: tensor.clone() for name, tensor in optimiser.state().items()})
    for owner, steps in ((model, optimiser), (again, restored)):
        for step in (1, 2):
            with_gradients(owner, step)
            steps.set_rate(0.01)
            steps.step(NO_SCALING)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_decay_leaves_out_biases_norms_tokens_and_positions():
    optimiser = Optimisers(tiny(), RunConfig(steps=1, optimizer="adamw", weight_decay=0.1))
    decayed = {
        optimiser.names[id(p)]
        for part in optimiser.parts
        for group in part.param_groups
        if group["weight_decay"]
        for p in group["params"]
    }
    assert "blocks.0.attention.qkv.weight" in decayed and "patch_embed.projection.weight" in decayed
    assert not {n for n in decayed if n.endswith("bias") or "norm" in n or n in ("class_token", "positions")}


def test_muon_steps_the_matrices_of_the_blocks_and_adamw_the_rest():
    optimiser = Optimisers(tiny(), RunConfig(steps=1, optimizer="muon"))
    kinds = {type(part).__name__: part for part in optimiser.parts}
    by_muon = {optimiser.names[id(p)] for group in kinds["Muon"].param_groups for p in group["params"]}
    assert len(by_muon) == 2 * 4 and all(n.startswith("blocks.") and n.endswith("weight") for n in by_muon)
    by_adamw = {optimiser.names[id(p)] for group in kinds["AdamW"].param_groups for p in group["params"]}
    assert by_muon | by_adamw == set(dict(tiny().named_parameters())) and not by_muon & by_adamw


def test_layer_decay_by_depth():
    assert layer_scale("head.weight", 12, 0.5) == layer_scale("norm.weight", 12, 0.5) == 1
    assert layer_scale("blocks.11.mlp.fc1.weight", 12, 0.5) == 0.5
    assert layer_scale("blocks.0.mlp.fc1.weight", 12, 0.5) == 0.5**12
    assert layer_scale("positions", 12, 0.5) == 0.5**13


def test_frozen_parameters_have_no_optimiser():
    model = tiny()
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    optimiser = Optimisers(model, RunConfig(steps=1, optimizer="adamw"))
    assert set(optimiser.names.values()) == {"head.weight", "head.bias"}
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing is left to train"):
        Optimisers(model, RunConfig(steps=1))


def test_the_average_starts_fast_and_then_has_the_memory_asked_for():
    model = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(model.weight)
    mean = copy.deepcopy(model)
    torch.nn.init.zeros_(mean.weight)
    average(mean, model, 0.9, 0)
    assert mean.weight.item() == pytest.approx(0.9)  # 1 - min(0.9, 1/10)
    torch.nn.init.zeros_(mean.weight)
    average(mean, model, 0.9, 10_000)
    assert mean.weight.item() == pytest.approx(0.1)
