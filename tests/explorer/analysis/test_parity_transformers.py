"""Analyses of a checkpoint that transformers wrote, against transformers' own `output_attentions`."""

import numpy as np
import pytest
import torch

from explorer import explain
from explorer.analysis.attention import layer_attention
from tests.explorer.analysis import vit_explain_oracle as oracle
from vit_model import load_model

transformers = pytest.importorskip("transformers", reason="the oracle is transformers")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(their model, ours from the folder that they saved, pixels)."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=48,
        patch_size=16,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=3,
        attn_implementation="eager",
    )
    theirs = transformers.ViTForImageClassification(config).eval()
    for name, parameter in theirs.named_parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.25 if "attention" in name else 0.05)
    folder = tmp_path_factory.mktemp("vit")
    theirs.save_pretrained(folder)
    return theirs, load_model(folder, image_size=48), torch.randn(1, 3, 48, 48)


def test_attention_and_rollouts(pair):
    theirs, ours, pixels = pair
    with torch.no_grad():
        attentions = [layer[0] for layer in theirs(pixels, output_attentions=True).attentions]
    trace = ours.trace(pixels)
    for layer, expected in enumerate(attentions):
        torch.testing.assert_close(layer_attention(trace, layer), expected, rtol=1e-4, atol=1e-6)
    for fusion, ratio in (("mean", 0.0), ("max", 0.6), ("min", 0.6)):
        expected = oracle.rollout([layer.numpy() for layer in attentions], ratio, fusion)
        found = explain(ours, pixels, head_fusion=fusion, discard_ratio=ratio, compat="vit-explain", trace=trace)
        np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-6)


def test_gradient_rollout(pair):
    theirs, ours, pixels = pair
    outputs = theirs(pixels, output_attentions=True)
    gradients = torch.autograd.grad(outputs.logits[0, 1], outputs.attentions)
    product = torch.eye(10)
    for weights, gradient in zip(outputs.attentions, gradients, strict=True):
        a_hat = (weights[0] * gradient[0]).mean(0).relu().detach() + torch.eye(10)
        product = a_hat / a_hat.sum(-1, keepdim=True) @ product
    found = explain(ours, pixels, "gradient-rollout", target=1)
    torch.testing.assert_close(found.values, product[0, 1:].reshape(3, 3), rtol=1e-4, atol=1e-7)
