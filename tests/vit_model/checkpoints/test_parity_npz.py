"""Google's .npz: a synthetic file in its layout, against timm's own loader of such files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from vit_model import load_model

WIDTH, HEADS, DEPTH, PATCH, MLP, CLASSES = 24, 3, 2, 8, 48, 5


def _arrays(grid: int = 4, head: bool = True, pre_logits: int = 0) -> dict[str, np.ndarray]:
    """Names and axes as google-research/vision_transformer writes them."""
    random = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 0.2) -> np.ndarray:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    head_width = WIDTH // HEADS
    arrays = {
        "cls": normal(1, 1, WIDTH),
        "embedding/kernel": normal(PATCH, PATCH, 3, WIDTH, scale=0.07),
        "embedding/bias": normal(WIDTH),
        "Transformer/posembed_input/pos_embedding": normal(1, 1 + grid * grid, WIDTH, scale=0.5),
        "Transformer/encoder_norm/scale": 1 + normal(WIDTH),
        "Transformer/encoder_norm/bias": normal(WIDTH),
    }
    for layer in range(DEPTH):
        block = f"Transformer/encoderblock_{layer}/"
        attention = f"{block}MultiHeadDotProductAttention_1/"
        for name in ("query", "key", "value"):
            arrays[f"{attention}{name}/kernel"] = normal(WIDTH, HEADS, head_width)
            arrays[f"{attention}{name}/bias"] = normal(HEADS, head_width)
        arrays[f"{attention}out/kernel"] = normal(HEADS, head_width, WIDTH)
        arrays[f"{attention}out/bias"] = normal(WIDTH)
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            arrays[f"{block}{norm}/scale"] = 1 + normal(WIDTH)
            arrays[f"{block}{norm}/bias"] = normal(WIDTH)
        arrays[f"{block}MlpBlock_3/Dense_0/kernel"] = normal(WIDTH, MLP)
        arrays[f"{block}MlpBlock_3/Dense_0/bias"] = normal(MLP)
        arrays[f"{block}MlpBlock_3/Dense_1/kernel"] = normal(MLP, WIDTH)
        arrays[f"{block}MlpBlock_3/Dense_1/bias"] = normal(WIDTH)
    if pre_logits:
        arrays |= {"pre_logits/kernel": normal(WIDTH, pre_logits), "pre_logits/bias": normal(pre_logits)}
    if head:
        arrays |= {"head/kernel": normal(pre_logits or WIDTH, CLASSES), "head/bias": normal(CLASSES)}
    return arrays


def _timm(path: Path, classes: int = CLASSES):
    theirs = timm.models.VisionTransformer(
        32, PATCH, 3, classes, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, mlp_ratio=2
    )
    theirs.load_pretrained(str(path))
    return theirs.eval().requires_grad_(False)


@pytest.mark.parametrize("compressed", [False, True])
def test_agrees_with_timms_loader(compressed, attention_inputs, assert_close, tmp_path):
    path = tmp_path / "vit.npz"
    (np.savez_compressed if compressed else np.savez)(path, **_arrays())
    model, theirs = load_model(path), _timm(path)  # heads are in the kernels' shapes
    assert (model.origin.format, model.origin.interpolation) == ("Google npz", "jax")
    pixels = torch.randn(2, 3, 32, 32)
    expected, seen = attention_inputs(theirs, pixels, ".attn")
    trace = model.trace(pixels)
    assert_close(trace.logits, expected)
    for layer, (module, inputs) in enumerate(seen):
        qkv = module.qkv(inputs).reshape(2, 17, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attention = torch.softmax(qkv[0] @ qkv[1].transpose(-2, -1) / (WIDTH // HEADS) ** 0.5, dim=-1)
        assert_close(trace.attention(layer), attention)


@pytest.mark.parametrize("head", [True, False])
def test_pre_logits(head, assert_close, tmp_path):
    """ImageNet-21k files: tanh of a layer before the head, worked by hand on timm's features (timm leaves it out)."""
    path = tmp_path / "in21k.npz"
    arrays = _arrays(head=head, pre_logits=10)
    np.savez(path, **arrays)
    model, theirs = load_model(path), _timm(path, classes=0)
    pixels = torch.randn(2, 3, 32, 32)
    features = theirs.forward_features(pixels)[:, 0].numpy()
    expected = np.tanh(features @ arrays["pre_logits/kernel"] + arrays["pre_logits/bias"])
    if head:
        expected = expected @ arrays["head/kernel"] + arrays["head/bias"]
    assert_close(model(pixels), torch.from_numpy(expected))


def test_without_head_or_pre_logits(assert_close, tmp_path):
    path = tmp_path / "vit.npz"
    np.savez(path, **_arrays(head=False))
    pixels = torch.randn(2, 3, 32, 32)
    model = load_model(path)
    assert model.config.classes == 0
    assert_close(model(pixels), _timm(path).forward_features(pixels)[:, 0])


@pytest.mark.parametrize("prefix", ["opt/target/", "params/"])
def test_prefixes_of_training_files(prefix, tmp_path):
    np.savez(tmp_path / "a.npz", **_arrays())
    np.savez(tmp_path / "b.npz", **{prefix + key: value for key, value in _arrays().items()})
    pixels = torch.randn(1, 3, 32, 32)
    assert torch.equal(load_model(tmp_path / "a.npz")(pixels), load_model(tmp_path / "b.npz")(pixels))
