"""Trace: what it promises about bits, graphs, rows, memory, and the gradient of attention."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from vit_model.config import ViTConfig
from vit_model.model import VisionTransformer

BASE = ViTConfig(image_size=16, patch_size=4, width=12, depth=3, heads=3, mlp_width=20, classes=5)
VARIANTS = {
    "plain": {},
    "rectangular": {"image_size": (8, 24), "patch_size": (2, 8)},
    "registers": {"registers": 3, "pool": "class+mean", "mlp": "swiglu", "layer_scale": 0.1},
    "distilled": {"pool": "class-distilled", "distillation_token": True},
    "no-class-token": {"pool": "mean-patches", "class_token": False},
    "no-head": {"classes": 0},
}


def random_model(**changes):
    torch.manual_seed(0)
    model = VisionTransformer(replace(BASE, **changes)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


def pixels_for(model, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, model.config.channels, *model.config.image_size)


def explicit(model, pixels):
    """The same forward with a softmax that can be differentiated: (logits, attention [B, H, N, N] of every layer)."""
    x, attentions = model.embed(pixels), []
    for block in model.blocks:
        B, N, D = x.shape
        q, k, v = block.attention.qkv(block.norm1(x)).view(B, N, 3, -1, D // model.config.heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        attentions.append(attention)
        attended = block.attention.projection((attention @ v).transpose(1, 2).reshape(B, N, D))
        x = x + attended * (1 if block.scale1 is None else block.scale1)
        x = x + block.mlp(block.norm2(x)) * (1 if block.scale2 is None else block.scale2)
    return model.classify(x), attentions


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_are_the_bits_of_a_plain_forward(variant):
    model = random_model(**VARIANTS[variant])
    pixels = pixels_for(model)
    plain = model(pixels)
    for trace in (model.trace(pixels), model.trace(pixels, differentiable=True)):
        assert torch.equal(trace.logits, plain)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_and_rows_that_sum_to_one(variant):
    model = random_model(**VARIANTS[variant])
    trace, N = model.trace(pixels_for(model)), model.config.tokens
    assert (trace.layers, trace.heads, trace.tokens) == (3, 3, N)
    assert (trace.grid, trace.prefix) == (model.config.grid, model.config.prefix)
    assert [tuple(x.shape) for x in trace.residual] == [(2, N, 12)] * 4
    for part in (trace.queries, trace.keys, trace.values, trace.head_outputs):
        assert [tuple(x.shape) for x in part] == [(2, 3, N, 4)] * 3
    for layer in range(3):
        attention = trace.attention(layer)
        assert attention.shape == (2, 3, N, N) and attention.min() >= 0
        assert_close(attention.sum(-1), torch.ones(2, 3, N))


@pytest.mark.parametrize("variant", VARIANTS)
def test_attention_and_its_outputs_equal_the_explicit_softmax(variant):
    model = random_model(**VARIANTS[variant])
    trace = model.trace(pixels_for(model))
    _, attentions = explicit(model, pixels_for(model))
    for layer, expected in enumerate(attentions):
        assert_close(trace.attention(layer), expected, rtol=1e-4, atol=1e-5)
        assert_close(trace.attention(layer) @ trace.values[layer], trace.head_outputs[layer], rtol=1e-4, atol=1e-5)


def test_residual_stream_runs_from_the_embedding_to_the_logits():
    model = random_model()
    trace = model.trace(pixels_for(model))
    assert torch.equal(trace.residual[0], model.embed(pixels_for(model)))
    assert torch.equal(model.classify(trace.residual[-1]), trace.logits)
    for block, before, after in zip(model.blocks, trace.residual, trace.residual[1:], strict=False):
        assert torch.equal(block(before, None), after)


def test_attention_of_chosen_queries():
    trace = random_model().trace(pixels_for(random_model()))
    whole = trace.attention(1)
    choices = [
        3,
        0,
        slice(2, 7),
        slice(None, None, 4),
        [5, 1, 1],
        (2,),
        torch.tensor([4, 16]),
        torch.arange(17) > 12,
        -1,
    ]
    for queries in choices:
        rows = [queries] if isinstance(queries, int) else list(queries) if isinstance(queries, tuple) else queries
        assert_close(trace.attention(1, queries), whole[:, :, rows])
    assert trace.attention(1, 3).shape == (2, 3, 1, 17)


def test_layers_count_from_the_end_too_and_stay_in_range():
    trace = random_model().trace(pixels_for(random_model()))
    assert torch.equal(trace.attention(-1), trace.attention(2))
    assert torch.equal(trace.attention(-3), trace.attention(0))
    for layer in (3, -4):
        with pytest.raises(IndexError, match=f"layer {layer} is out of range: this trace has layers 0 to 2"):
            trace.attention(layer)


def test_a_plain_trace_keeps_no_graph():
    model = random_model()
    trace = model.trace(pixels_for(model).requires_grad_())
    for tensor in (trace.logits, *trace.residual, *trace.queries, *trace.keys, *trace.values, *trace.head_outputs):
        assert tensor.grad_fn is None and not tensor.requires_grad
    with pytest.raises(ValueError, match=r"keeps no graph; make it with model\.trace"):
        trace.attention_gradient(0, trace.logits[0, 0])


def test_memory_is_linear_in_the_tokens():
    """q, k and v are views of one product: 3 + 1 widths for attention and one for the residual, in each layer."""
    model = random_model(classes=0)
    for size in (16, 64, 128):
        trace = model.at_size(size).trace(torch.zeros(1, 3, size, size))
        N, D, L = (size // 4) ** 2 + 1, 12, 3
        assert trace.nbytes == 4 * (L * 4 * N * D + (L + 1) * N * D + D)
    for q, k, v in zip(trace.queries, trace.keys, trace.values, strict=True):
        assert len({part.untyped_storage().data_ptr() for part in (q, k, v)}) == 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("frozen", [False, True])
def test_attention_gradient_equals_autograd_through_an_explicit_softmax(variant, frozen):
    model = random_model(**VARIANTS[variant]).requires_grad_(not frozen)
    pixels = pixels_for(model).requires_grad_()
    trace = model.trace(pixels, differentiable=True)
    logits, attentions = explicit(model, pixels)
    expected = torch.autograd.grad(logits[:, 1].sum() + logits[0, 3].square(), attentions)
    score = trace.logits[:, 1].sum() + trace.logits[0, 3].square()
    for layer in (1, 0, 2):  # the middle first: the graph must survive each question
        scale = expected[layer].abs().max()
        assert scale > 0
        assert_close(trace.attention_gradient(layer, score) / scale, expected[layer] / scale, rtol=1e-4, atol=1e-4)
    assert_close(trace.attention_gradient(-1, score), trace.attention_gradient(2, score))


def test_output_gradients_of_all_layers_come_from_one_pass():
    model = random_model()
    trace = model.trace(pixels_for(model), differentiable=True)
    score = trace.logits[0, 2]
    every = trace.output_gradients(score)
    assert len(every) == 3
    assert torch.equal(trace.output_gradients(score, [2, 0])[0], every[2])
    for layer, gradient in enumerate(every):
        assert_close(trace.attention_gradient(layer, score), gradient @ trace.values[layer].detach().mT)


def test_gradients_of_the_residual_stream_and_of_the_pixels():
    model = random_model()
    pixels = pixels_for(model).requires_grad_()
    trace = model.trace(pixels, differentiable=True)
    score = trace.logits[0, 2]
    by_residual, by_pixels = torch.autograd.grad(score, [trace.residual[2], pixels], retain_graph=True)
    residual = trace.residual[2].detach().requires_grad_()
    (expected,) = torch.autograd.grad(model.classify(model.blocks[2](residual, None))[0, 2], residual)
    assert_close(by_residual, expected)
    (expected,) = torch.autograd.grad(model(pixels)[0, 2], pixels)
    assert_close(by_pixels, expected)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_differentiable_trace_leaves_the_model_alone(requires_grad):
    model = random_model().requires_grad_(requires_grad)
    pixels = pixels_for(model)
    with torch.no_grad():  # asked for from inside of an inference block, too
        trace = model.trace(pixels, differentiable=True)
    reached = _leaves(trace.logits)
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    assert reached and not any(leaf.data_ptr() in parameters for leaf in reached)
    trace.attention_gradient(0, trace.logits[0, 0])
    assert all(p.requires_grad == requires_grad and p.grad is None for p in model.parameters())
    assert not pixels.requires_grad and not model.training


def test_to_moves_everything_and_keeps_the_rest():
    trace = random_model().trace(pixels_for(random_model()))
    moved = trace.to("meta")
    assert (moved.grid, moved.prefix, moved.layers) == (trace.grid, trace.prefix, trace.layers)
    for tensor in (moved.logits, *moved.residual, *moved.queries, *moved.keys, *moved.values, *moved.head_outputs):
        assert tensor.device.type == "meta"
    assert torch.equal(trace.to("cpu").attention(0), trace.attention(0))


def test_fused_attention_is_what_runs(monkeypatch):
    calls, fused = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or fused(*a, **k))
    model = random_model()
    model(pixels_for(model))
    model.trace(pixels_for(model))
    model.trace(pixels_for(model), differentiable=True)
    assert len(calls) == 9


def _leaves(tensor):
    """The tensors at which the graph of `tensor` ends."""
    seen, found, waiting = set(), [], [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting.extend(following for following, _ in node.next_functions)
    return found
