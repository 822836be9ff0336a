"""Ablation against edited models, run from the pixels, and the number of blocks that run for it."""

from dataclasses import replace

import pytest
import torch

from explorer.analysis import ablation
from explorer.analysis.ablation import ablate, evaluations
from explorer.analysis.edits import Edits, PatchEdit, apply_edits
from vit_model.model import Block, Mlp

MODELS = {
    "class": {},
    "layer scale, registers": {"layer_scale": 0.5, "registers": 2},
    "mean": {"pool": "mean-patches", "class_token": False},
    "distilled": {"pool": "class-distilled", "distillation_token": True},
}


def naive(model, pixels, target):
    """[L, H + 2] changes of logit and probability, every variant run from the start as an edited model."""
    on = model(pixels)[0]
    config = model.config
    table = torch.empty(2, config.depth, config.heads + 2)
    for layer in range(config.depth):
        off = [Edits(heads=((layer, head),)) for head in range(config.heads)]
        for column, edits in enumerate([*off, Edits(mlps=(layer,)), Edits(layers=(layer,))]):
            edited = apply_edits(model, pixels, edits)
            logits = edited.model(edited.pixels)[0]
            table[0, layer, column] = (logits - on)[target]
            table[1, layer, column] = (logits.softmax(-1) - on.softmax(-1))[target]
    return table


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("target", [None, 3])
def test_parity_with_every_variant_run_from_the_pixels(tiny_model, fields, target):
    model = tiny_model(**fields)
    pixels = torch.randn(1, 3, 32, 32)
    trace = model.trace(pixels)
    *_, found = ablate(model, trace, target)
    target = int(trace.logits.argmax()) if target is None else target
    assert found.target == target
    logits, probabilities = naive(model, pixels, target)
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.probabilities, probabilities, rtol=1e-4, atol=1e-5)
    assert found.logit == trace.logits[0, target]


def test_batches_do_not_matter_and_each_is_told(tiny_model, monkeypatch):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    *_, whole = ablate(model, trace)
    monkeypatch.setattr(ablation, "BATCH_TOKENS", 2 * trace.tokens)
    steps = list(ablate(model, trace))
    assert len(steps) == 3 * 3, "three layers of six variants, two at a time"
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[-1] == steps[-1].total == evaluations(3, 4)
    assert steps[0].logits[:2].isnan().all(), "the last layer comes first"
    assert steps[0].logits[2, :2].isfinite().all()
    assert steps[0].logits[2, 2:].isnan().all()
    torch.testing.assert_close(steps[-1].logits, whole.logits, rtol=1e-4, atol=1e-5)


def count_blocks(model, run):
    """Pictures that went through a block while `run()` ran; one that ran the MLP alone counts as one too."""
    seen = {Block: 0, Mlp: 0}

    def hook(module, inputs, output):
        seen[type(module)] += len(inputs[0])

    handles = [module.register_forward_hook(hook) for module in model.modules() if isinstance(module, Block | Mlp)]
    run()
    for handle in handles:
        handle.remove()
    return max(seen.values())


def test_at_most_six_tenths_of_the_naive_block_evaluations(tiny_model):
    model = tiny_model(depth=6, heads=2)
    pixels = torch.randn(1, 3, 32, 32)
    trace = model.trace(pixels)
    made = count_blocks(model, lambda: list(ablate(model, trace)))
    variants = 6 * (2 + 2)
    assert made == evaluations(6, 2)
    assert made <= 0.6 * 6 * variants


def test_of_an_edited_model_and_picture_too(tiny_model):
    """Each part in turn, on top of patches that are dropped, positions that are shuffled and parts that are off."""
    model = tiny_model(depth=4, heads=2)
    pixels = torch.randn(1, 3, 32, 32)
    own = Edits((PatchEdit("drop", (1, 6, 7)), PatchEdit("blur", (0,))), "shuffled", 2, ((1, 0),), (2,), (0,))
    edited = apply_edits(model, pixels, own)
    found = []
    made = count_blocks(edited.model, lambda: found.extend(ablate(edited.model, edited.model.trace(edited.pixels), 2)))
    assert made <= 0.6 * 4 * 4 * (2 + 2), "with the pass that traces what is edited"
    on = edited.model(edited.pixels)[0, 2]
    for layer in range(4):
        off = [replace(own, heads=(*own.heads, (layer, head))) for head in range(2)]
        off += [replace(own, mlps=(*own.mlps, layer)), replace(own, layers=(*own.layers, layer))]
        for column, edits in enumerate(off):
            both = apply_edits(model, pixels, edits)
            expected = both.model(both.pixels)[0, 2] - on
            torch.testing.assert_close(found[-1].logits[layer, column], expected, rtol=1e-4, atol=1e-4)


def test_stopping_in_the_middle_stops_the_work(tiny_model):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    steps = ablate(model, trace)
    made = count_blocks(model, lambda: (next(steps), steps.close()))
    assert 0 < made <= 6


def test_wording(tiny_model):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match="target must be a class from 0 to 4, got 5"):
        ablate(model, trace, 5)
    headless = tiny_model(classes=0)
    with pytest.raises(ValueError, match="no head, so there is no class to lose"):
        ablate(headless, headless.trace(torch.randn(1, 3, 32, 32)))
