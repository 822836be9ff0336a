"""The model against hand-made references, and what every variant must keep."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.testing import assert_close

from vit_model.config import ViTConfig
from vit_model.model import Block, Origin, VisionTransformer
from vit_model.positions import resample_positions

BASE = ViTConfig(image_size=16, patch_size=4, width=12, depth=2, heads=3, mlp_width=20, classes=5)
PATCHES_ONLY = {"pool": "mean-patches", "class_token": False}
VARIANTS = {
    "plain": {},
    "rectangular": {"image_size": (8, 24), "patch_size": (2, 8)},
    "large-patch": {"image_size": 32, "patch_size": 16},
    "grey": {"channels": 1},
    "mean-patches": {"pool": "mean-patches"},
    "no-class-token": PATCHES_ONLY,
    "mean-all": {"pool": "mean-all"},
    "mean-all-normed-after": {"pool": "mean-all", "norm_after_pool": True},
    "mean-patches-normed-before": {"pool": "mean-patches", "norm_after_pool": False},
    "class+mean": {"pool": "class+mean", "registers": 3},
    "distilled": {"pool": "class-distilled", "distillation_token": True},
    "distilled-with-registers": {"pool": "class-distilled", "distillation_token": True, "registers": 2},
    "swiglu": {"mlp": "swiglu", "layer_scale": 0.1},
    "pre-logits": {"pre_logits": 7},
    "pre-norm": {"pre_norm": True},
    "patch-norms": {"patch_norms": True},
    "no-qkv-bias": {"qkv_bias": False},
    "no-head": {"classes": 0},
    "no-head-distilled": {"classes": 0, "pool": "class-distilled", "distillation_token": True},
}


def random_model(config=BASE, **changes):
    """Every weight random, so that no part of the model is hidden behind a zero or a one."""
    torch.manual_seed(0)
    model = VisionTransformer(replace(config, **changes)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def pixels_for(model, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, model.config.channels, *model.config.image_size, generator=generator)


def reference(model, pixels):
    """The equations written out, with an explicit softmax and no shortcut: logits, or features without a head."""
    c, state = model.config, dict(model.named_parameters())

    def norm(x, name, eps=c.norm_eps):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    (ph, pw), (gh, gw) = c.patch_size, c.grid
    tokens = []
    for row in range(gh):
        for column in range(gw):
            patch = pixels[:, :, row * ph : (row + 1) * ph, column * pw : (column + 1) * pw].flatten(1)
            if c.patch_norms:
                patch = norm(patch, "patch_embed.norm_before", 1e-5)
            patch = patch @ state["patch_embed.projection.weight"].flatten(1).T + state["patch_embed.projection.bias"]
            tokens.append(norm(patch, "patch_embed.norm_after", 1e-5) if c.patch_norms else patch)
    x = torch.stack(tokens, 1)
    for name in ("distillation_token", "class_token"):
        if name in state:
            x = torch.cat([state[name].repeat(len(x), 1, 1), x], 1)
    x = x + state["positions"]
    if c.registers:
        first = c.positioned_prefix
        x = torch.cat([x[:, :first], state["registers"].repeat(len(x), 1, 1), x[:, first:]], 1)
    if c.pre_norm:
        x = norm(x, "pre_norm", c.norm_eps)
    for layer in range(c.depth):
        block = f"blocks.{layer}"
        q, k, v = linear(norm(x, f"{block}.norm1"), f"{block}.attention.qkv").chunk(3, -1)
        heads = []
        for head in range(c.heads):
            part = slice(head * c.head_width, (head + 1) * c.head_width)
            attention = (q[..., part] @ k[..., part].mT / c.head_width**0.5).softmax(-1)
            heads.append(attention @ v[..., part])
        attended = linear(torch.cat(heads, -1), f"{block}.attention.projection")
        x = x + attended * state.get(f"{block}.scale1", 1)
        hidden = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        if c.mlp == "swiglu":
            a, b = hidden.chunk(2, -1)
            hidden = a * torch.sigmoid(a) * b
        else:
            hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + linear(hidden, f"{block}.mlp.fc2") * state.get(f"{block}.scale2", 1)

    normed, patches = norm(x, "norm"), slice(c.prefix, None)
    pooled = {
        "class": lambda: normed[:, 0],
        "mean-patches": lambda: (
            norm(x[:, patches].mean(1), "norm") if c.norm_after_pool else normed[:, patches].mean(1)
        ),
        "mean-all": lambda: norm(x.mean(1), "norm") if c.norm_after_pool else normed.mean(1),
        "class+mean": lambda: torch.cat([normed[:, 0], normed[:, patches].mean(1)], -1),
        "class-distilled": lambda: normed[:, 0],
    }[c.pool]()
    if c.pre_logits:
        pooled = torch.tanh(linear(pooled, "pre_logits"))
    if not c.classes:
        return pooled
    logits = linear(pooled, "head")
    return (logits + linear(normed[:, 1], "distillation_head")) / 2 if c.pool == "class-distilled" else logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_equals_the_equations_written_out(variant):
    model = random_model(**VARIANTS[variant]).double()
    pixels = pixels_for(model).double()
    assert_close(model(pixels), reference(model, pixels))
    assert model(pixels).shape == (2, model.config.classes or model.config.feature_width)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_gets_a_gradient(variant):
    model = random_model(**VARIANTS[variant])
    model(pixels_for(model)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_leaving_out_a_token_is_masking_it_everywhere(variant):
    model = random_model(**VARIANTS[variant])
    prefix, tokens = model.config.prefix, model.embed(pixels_for(model))
    kept = torch.tensor([*range(prefix), prefix + 1, prefix + 2])
    mask = torch.full((tokens.shape[1],), -torch.inf).index_fill(0, kept, 0.0)
    x = tokens
    for block in model.blocks:
        B, N, D = x.shape
        q, k, v = block.attention.qkv(block.norm1(x)).view(B, N, 3, block.attention.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + mask).softmax(-1)
        x = x + block._branch(block.attention.projection((weights @ v).transpose(1, 2).reshape(B, N, D)), block.scale1)
        x = x + block._branch(block.mlp(block.norm2(x)), block.scale2)
    torch.testing.assert_close(model.logits_from(tokens[:, kept]), model.classify(x[:, kept]))
    assert not torch.allclose(model.logits_from(tokens[:, kept]), model(pixels_for(model)), atol=1e-4)


def test_blocks_can_be_run_from_any_layer():
    model = random_model()
    trace = model.trace(pixels_for(model))
    for layer, residual in enumerate(trace.residual):
        torch.testing.assert_close(model.logits_from(residual, layer), trace.logits)
    with pytest.raises(IndexError, match="from 0 to 2"):
        model.logits_from(trace.residual[0], 3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_of_the_last_block_only_what_the_head_reads_is_computed(variant):
    """Of a class-token model 196 of 197 tokens went on through a projection and an MLP that nobody read."""
    model, sizes = random_model(**VARIANTS[variant]), []
    pixels, tokens = pixels_for(model), model.config.tokens
    read = {"class": 1, "class-distilled": 2}.get(model.config.pool, tokens)
    model.blocks[-1].mlp.register_forward_hook(lambda *call: sizes.append(call[2].shape[1]))

    def run(forward):
        model.zero_grad()
        logits = forward(pixels)
        logits = sum(logits) / 2 if isinstance(logits, tuple) else logits
        logits.square().sum().backward()
        return logits.detach(), [parameter.grad.clone() for parameter in model.parameters()]

    logits, gradients = run(model.eval())
    for forward in (model.train(), lambda pixels: model.logits_from(model.embed(pixels))):
        found, theirs = run(forward)
        torch.testing.assert_close(found, logits)
        torch.testing.assert_close(theirs, gradients, rtol=1e-4, atol=1e-5)
    assert sizes == [tokens, read, read]


@pytest.mark.parametrize("variant", VARIANTS)
def test_packed_sequences_do_not_see_each_other(variant):
    model = random_model(**VARIANTS[variant])
    tokens = model.embed(pixels_for(model))[:1]
    lengths = [tokens.shape[1], model.config.prefix + 2, model.config.prefix + 1]
    sequences = [tokens[:, :length] for length in lengths]
    packed = model.logits_from(torch.cat(sequences, dim=1), lengths=lengths)
    torch.testing.assert_close(packed, torch.cat([model.logits_from(sequence) for sequence in sequences]))
    later = model.logits_from(torch.cat(sequences, dim=1), 1, lengths)
    torch.testing.assert_close(later, torch.cat([model.logits_from(sequence, 1) for sequence in sequences]))


def test_lengths_have_to_fill_the_tokens():
    model = random_model()
    tokens = model.embed(pixels_for(model))
    for wrong in (tokens[:1, :5], tokens):
        with pytest.raises(ValueError, match=r"lengths \[4, 2\] need tokens \[1, 6, D\]"):
            model.logits_from(wrong, lengths=[4, 2])


@pytest.mark.parametrize("pool", ["mean-patches", "class+mean"])
def test_a_mean_over_patches_needs_one(pool):
    model = random_model(pool=pool)
    tokens = model.embed(pixels_for(model))
    with pytest.raises(ValueError, match="at least one"):
        model.logits_from(tokens[:, : model.config.prefix])
    with pytest.raises(ValueError, match="at least one"):
        model.logits_from(tokens[:1, : model.config.prefix + 3], lengths=[3, model.config.prefix])


def test_patch_norms_are_lucidrains_pipeline():
    """Rearrange 'b c (h p1) (w p2) -> b (h w) (p1 p2 c)', LayerNorm, Linear, LayerNorm. Its columns run channel last,
    which only permutes the norm's and the projection's weights; ours run channel first, as a convolution's."""
    model = random_model(patch_norms=True)
    embed, pixels = model.patch_embed, pixels_for(model)
    theirs = nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 12), nn.LayerNorm(12))
    permuted = torch.arange(48).view(3, 4, 4).permute(1, 2, 0).flatten()
    with torch.no_grad():
        theirs[0].weight.copy_(embed.norm_before.weight[permuted])
        theirs[0].bias.copy_(embed.norm_before.bias[permuted])
        theirs[1].weight.copy_(embed.projection.weight.flatten(1)[:, permuted])
        theirs[1].bias.copy_(embed.projection.bias)
    theirs[2].load_state_dict(embed.norm_after.state_dict())
    patches = pixels.unfold(2, 4, 4).unfold(3, 4, 4)  # [b, c, h, w, p1, p2]
    patches = patches.permute(0, 2, 3, 4, 5, 1).reshape(2, 16, 48)
    assert_close(embed(pixels), theirs(patches), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("patch_size", [(2, 2), (4, 4), (16, 16), (2, 16)])
def test_convolution_and_linear_product_are_the_same(patch_size):
    model = random_model(image_size=32, patch_size=patch_size)
    pixels = pixels_for(model)
    expected = F.conv2d(
        pixels, model.patch_embed.projection.weight, model.patch_embed.projection.bias, stride=patch_size
    )
    assert_close(model.patch_embed(pixels), expected.flatten(2).mT, rtol=1e-4, atol=1e-4)


def test_a_new_model_has_a_zero_head():
    torch.manual_seed(0)
    for changes in ({}, {"pool": "class-distilled", "distillation_token": True}, {"pre_logits": 7}):
        model = VisionTransformer(replace(BASE, **changes)).eval()
        assert torch.equal(model(pixels_for(model)), torch.zeros(2, 5))


def test_distillation_trains_on_two_heads():
    model = random_model(**VARIANTS["distilled"])
    evaluated = model(pixels_for(model))
    by_class, by_distillation = model.train()(pixels_for(model))
    assert_close((by_class + by_distillation) / 2, evaluated)
    assert not torch.allclose(by_class, by_distillation)
    with pytest.raises(ValueError, match=r"in train mode returns two logits; call model\.eval\(\) before tracing"):
        model.trace(pixels_for(model))


def test_wrong_pixels_are_named():
    model = random_model()
    for shape in ((2, 3, 16, 20), (2, 1, 16, 16), (3, 16, 16)):
        with pytest.raises(
            ValueError, match=r"expected pixels \[B, 3, 16, 16\], got .*for another size use model.at_size"
        ):
            model(torch.zeros(shape))


def test_labels_must_fit():
    with pytest.raises(ValueError, match="2 labels for 5 classes"):
        VisionTransformer(BASE, labels=["cat", "dog"])
    assert VisionTransformer(BASE).labels == ("class 0", "class 1", "class 2", "class 3", "class 4")


def test_drop_path_keeps_the_expectation_and_rests_in_eval():
    torch.manual_seed(0)
    block = Block(BASE, drop_path=0.5).train()
    branch = torch.ones(8000, 2, 3)
    dropped = block._branch(branch, None)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped[:, :1, :1].expand_as(dropped), dropped)  # one coin a sample
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)
    assert block.eval()._branch(branch, None) is branch


def test_drop_path_grows_linearly_with_depth():
    model = VisionTransformer(replace(BASE, depth=5, drop_path=0.2))
    assert [block.drop_path for block in model.blocks] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])


@pytest.mark.parametrize("rate", ["dropout", "attention_dropout", "embedding_dropout", "drop_path"])
def test_dropout_acts_in_train_mode_alone(rate):
    torch.manual_seed(0)
    model = random_model(**{rate: 0.5})
    pixels = pixels_for(model)
    assert torch.equal(model(pixels), random_model()(pixels))
    model.train()
    assert not torch.allclose(model(pixels), model(pixels))


def test_preprocess_makes_pixels_that_fit():
    model = random_model(image_size=(8, 24), patch_size=(2, 8))
    pixels, box = model.preprocess(Image.new("RGB", (100, 50)))
    assert model(pixels).shape == (1, 5) and (box.right, box.bottom) == (100, 50)


@pytest.mark.parametrize("method", ["bilinear", "timm"])
def test_at_size_shares_all_storage_but_the_positions(method):
    model = random_model(**VARIANTS["distilled-with-registers"])
    model.origin = Origin(interpolation=method)
    other = model.at_size((8, 32))
    assert other.config == replace(model.config, image_size=(8, 32))
    assert other.preprocessing.size == (8, 32) and model.preprocessing.size == (16, 16)
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (ours.data_ptr() == theirs.data_ptr()) == (name != "positions"), name
    expected = resample_positions(model.positions, (4, 4), (2, 8), prefix=2, method=method)
    assert torch.equal(other.positions, expected)
    assert not any(parameter.requires_grad for parameter in other.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert_close(other(pixels_for(other)), reference(other, pixels_for(other)), rtol=1e-3, atol=1e-3)


def test_at_size_takes_another_interpolation_and_offers_sizes_that_fit():
    model = random_model()
    jax, plain = model.at_size(32, interpolation="jax"), model.at_size(32)
    assert (jax.positions - plain.positions).abs().max() > 1e-3
    with pytest.raises(ValueError, match="nearest that fit are 16x32 and 20x32"):
        model.at_size((18, 32))


def test_at_size_of_the_same_size_gives_the_same_logits():
    model = random_model()
    assert torch.equal(model.at_size(16)(pixels_for(model)), model(pixels_for(model)))


def test_models_are_safe_to_share_between_threads():
    """Two threads trace (with and without graph) and resize one model: logits stay, and so does the model."""
    model = random_model()
    pixels = pixels_for(model)
    expected, at_32 = model(pixels).detach(), model.at_size(32)(pixels_for(model.at_size(32)))
    wrong: list[str] = []

    def visit():
        for _ in range(15):
            other = model.at_size(32)
            if not torch.equal(other(pixels_for(other)), at_32):
                wrong.append("at_size")
            trace = model.trace(pixels, differentiable=True)
            trace.attention_gradient(0, trace.logits[0, 1])
            if not torch.equal(trace.logits, expected) or not torch.equal(model.trace(pixels).logits, expected):
                wrong.append("trace")

    def run():
        try:
            visit()
        except Exception as error:  # handed to the main thread, which fails the test
            wrong.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("dtype", "tokens", "unfused"),
    [(torch.bfloat16, 17, True), (torch.bfloat16, 1030, False), (torch.float32, 17, False)],
)
def test_training_on_a_cpu_computes_what_the_fused_attention_does(dtype, tokens, unfused, monkeypatch):
    """There the fused kernel's backward pass is slow, and two explicit products take its place for short sequences."""
    torch.manual_seed(0)
    fused_calls, kernel, tolerance = [], F.scaled_dot_product_attention, 0.02 if dtype == torch.bfloat16 else 1e-5
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: fused_calls.append(1) or kernel(*a, **b))
    config = ViTConfig(
        image_size=(4, 4 * (tokens - 1)), patch_size=4, width=16, depth=1, heads=2, mlp_width=16, classes=2
    )
    attention = VisionTransformer(config).blocks[0].attention
    x, results = torch.randn(2, tokens, 16), []
    for train in (True, False):
        attention.train(train)
        attention.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = attention.project(*attention(x, keep=False))
        out.float().square().sum().backward()
        results.append((out.float(), attention.qkv.weight.grad.clone()))
    assert len(fused_calls) == (1 if unfused else 2)
    (out, gradient), (fused, fused_gradient) = results
    torch.testing.assert_close(out, fused, rtol=tolerance, atol=tolerance * fused.abs().max().item())
    assert (gradient - fused_gradient).norm() < 1.5 * tolerance * fused_gradient.norm()
