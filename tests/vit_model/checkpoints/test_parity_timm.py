"""Models that timm made and saved, with config.json or as bare tensors: same logits, same attention in every layer."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from vit_model import CheckpointError, load_model

CASES = {
    "plain": {},
    "DeiT distilled": {"name": "deit_tiny_distilled_patch16_224"},
    "DeiT III: positions for patches only, LayerScale": {"name": "deit3_small_patch16_224"},
    "mean pool, fc_norm, no class token": {"class_token": False, "global_pool": "avg"},
    "mean pool with the norm before it": {"global_pool": "avg", "fc_norm": False},
    "mean pool, class token kept": {"global_pool": "avg"},
    "mean of all tokens": {"global_pool": "avg", "pool_include_prefix": True},
    "registers with positions": {"reg_tokens": 3},
    "registers without positions": {"reg_tokens": 3, "no_embed_class": True},
    "registers, no class token": {"reg_tokens": 2, "class_token": False, "global_pool": "avg"},
    "no_embed_class": {"no_embed_class": True},
    "LayerScale": {"init_values": 1e-5},
    "SwiGLU packed": {"name": "vit_giant_patch14_dinov2", "mlp_ratio": 4},
    "DINOv2 with registers": {"name": "vit_small_patch14_reg4_dinov2", "patch_size": 8},
    "CLIP's tower: norm_pre, no patch bias": {"name": "vit_base_patch16_clip_224"},
    "qkv without bias": {"qkv_bias": False},
    "rectangle": {"img_size": (16, 48)},
    "rectangular patches": {"patch_size": (8, 4)},
    "one channel": {"in_chans": 1},
    "without a head": {"num_classes": 0},
}


def _attention(module: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T / sqrt d) from timm's own qkv layer."""
    B, N, D = inputs.shape
    qkv = module.qkv(inputs).reshape(B, N, 3, module.num_heads, D // module.num_heads).permute(2, 0, 3, 1, 4)
    return torch.softmax(qkv[0] @ qkv[1].transpose(-2, -1) / (D // module.num_heads) ** 0.5, dim=-1)


def _compare(model, theirs, attention_inputs, assert_close) -> None:
    pixels = torch.randn(2, model.config.channels, *model.config.image_size)
    expected, seen = attention_inputs(theirs, pixels, ".attn")
    trace = model.trace(pixels)
    assert_close(trace.logits, expected)
    assert len(seen) == trace.layers
    for layer, (module, inputs) in enumerate(seen):
        assert_close(trace.attention(layer), _attention(module, inputs))


@pytest.mark.parametrize("case", CASES)
def test_folder(case, timm_folder, attention_inputs, assert_close):
    theirs, folder = timm_folder(**CASES[case])
    model = load_model(folder)
    assert model.origin.format == "timm"
    _compare(model, theirs, attention_inputs, assert_close)


@pytest.mark.parametrize(
    "case",
    [
        *("plain", "DeiT distilled", "mean pool, fc_norm, no class token", "registers without positions"),
        *("DINOv2 with registers", "SwiGLU packed", "no_embed_class", "without a head", "registers with positions"),
    ],
)
def test_bare_tensors(case, timm_folder, attention_inputs, assert_close, tmp_path):
    theirs, folder = timm_folder(**CASES[case])
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, tmp_path / "bare.safetensors")
    model = load_model(tmp_path / "bare.safetensors", heads=3)
    _compare(model, theirs, attention_inputs, assert_close)


def test_bare_tensors_of_a_rectangle_need_image_size(timm_folder, attention_inputs, assert_close, tmp_path):
    theirs, folder = timm_folder(img_size=(16, 40))
    save_file(load_file(folder / "model.safetensors"), tmp_path / "bare.safetensors")
    with pytest.raises(
        CheckpointError, match=r"11 positions, 1 of them before the patches: no square grid; pass image_size"
    ):
        load_model(tmp_path / "bare.safetensors", heads=3)
    model = load_model(tmp_path / "bare.safetensors", heads=3, image_size=(16, 40))
    _compare(model, theirs, attention_inputs, assert_close)


def test_swiglu_in_two_layers(randomise, attention_inputs, assert_close, tmp_path):
    """timm's other SwiGLU: gate and value are layers of their own."""
    theirs = timm.models.VisionTransformer(
        32, 8, 3, 5, embed_dim=24, depth=2, num_heads=3, mlp_layer=timm.layers.SwiGLU, act_layer=torch.nn.SiLU
    )
    save_file(randomise(theirs).state_dict(), tmp_path / "bare.safetensors")
    _compare(load_model(tmp_path / "bare.safetensors", heads=3), theirs, attention_inputs, assert_close)


@pytest.mark.parametrize("wrap", ["model", "state_dict", "teacher"])
def test_wrapped_pth(wrap, timm_folder, attention_inputs, assert_close, tmp_path):
    """Training checkpoints: weights under a name, keys behind `module.` and `backbone.`, other things beside them."""
    theirs, _ = timm_folder(num_classes=0)
    state = {f"module.backbone.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({wrap: state, "epoch": 3, "optimizer": {"state": {}}}, tmp_path / "run.pth")
    model = load_model(tmp_path / "run.pth", heads=3)
    assert any(
        f"read '{wrap}' of the training checkpoint, left epoch, optimizer" in note for note in model.origin.notes
    )
    _compare(model, theirs, attention_inputs, assert_close)


def test_original_dino_teacher_is_taken_and_its_head_dropped(timm_folder, attention_inputs, assert_close, tmp_path):
    import argparse

    theirs, _ = timm_folder(num_classes=0)
    teacher = {f"backbone.{key}": value for key, value in theirs.state_dict().items()}
    teacher |= {"head.mlp.0.weight": torch.randn(8, 24), "head.last_layer.weight_g": torch.randn(8, 1)}
    student = {key: torch.zeros_like(value) for key, value in teacher.items()}
    torch.save(
        {"student": student, "teacher": teacher, "args": argparse.Namespace(lr=1.0)}, tmp_path / "checkpoint.pth"
    )
    model = load_model(tmp_path / "checkpoint.pth", heads=3)
    assert (model.origin.format, model.origin.interpolation) == ("DINO (original)", "dino")
    assert len(model.origin.dropped) == 2
    _compare(model, theirs, attention_inputs, assert_close)


def test_original_mae_drops_its_decoder(timm_folder, attention_inputs, assert_close, tmp_path):
    theirs, _ = timm_folder(num_classes=0)
    state = theirs.state_dict() | {
        "mask_token": torch.randn(1, 1, 16),
        "decoder_pos_embed": torch.randn(1, 17, 16),
        "decoder_embed.weight": torch.randn(16, 24),
        "decoder_blocks.0.norm1.weight": torch.randn(16),
    }
    torch.save({"model": state}, tmp_path / "pretrain.pth")
    model = load_model(tmp_path / "pretrain.pth", heads=3)
    assert model.origin.format == "MAE (original, encoder)"
    assert len(model.origin.dropped) == 4
    _compare(model, theirs, attention_inputs, assert_close)


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("chunked", [False, True])
def test_original_dinov2(registers, chunked, timm_folder, attention_inputs, assert_close, tmp_path):
    """Meta's names: mask_token, register_tokens, w12/w3; positions for class token and patches; blocks in chunks."""
    theirs, _ = timm_folder(
        name="vit_giant_patch14_dinov2",
        mlp_ratio=4,
        num_classes=0,
        reg_tokens=registers,
        no_embed_class=bool(registers),
    )
    state = {}
    for key, value in theirs.state_dict().items():
        key = key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3").replace("reg_token", "register_tokens")
        state[key.replace("blocks.", "blocks.0.") if chunked else key] = value
    state["mask_token"] = torch.randn(1, 24)
    if registers:  # theirs has a position for the class token, timm's merges it into the token
        position = torch.randn(1, 1, 24)
        state["pos_embed"] = torch.cat([position, state["pos_embed"]], dim=1)
        state["cls_token"] = state["cls_token"] - position
    torch.save(state, tmp_path / "pretrain.pth")
    model = load_model(tmp_path / "pretrain.pth", heads=3)
    assert model.origin.interpolation == ("dinov2-registers" if registers else "dino")
    assert [line.split(":")[0] for line in model.origin.dropped] == ["mask_token"]
    _compare(model, theirs, attention_inputs, assert_close)


def test_a_grid_that_could_be_square_or_not_is_noted(tmp_path, attention_inputs, assert_close):
    """4 x 6 patches and a class token have as many positions as 5 x 5 patches without one."""
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=(64, 96), depth=2, num_classes=7).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    guessed = load_model(tmp_path / "model.safetensors")
    assert guessed.config.grid == (5, 5)
    assert any("read as 5x5 patches" in note and "image_size=" in note for note in guessed.origin.notes)
    told = load_model(tmp_path / "model.safetensors", image_size=(64, 96))
    assert told.config.grid == (4, 6)
    assert not any("read as" in note for note in told.origin.notes)
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert_close(told(pixels), theirs(pixels))


def test_architectures_of_timm_are_understood_or_refused():
    """Every ViT and DeiT that timm can build, at its real size without weights: the heads, the norm's epsilon and the
    pool that we take from its name are timm's own, or it is refused by name."""
    from vit_model.checkpoints import formats
    from vit_model.checkpoints.architecture import architecture
    from vit_model.checkpoints.conversion import Converted
    from vit_model.errors import CheckpointError

    understood, refused = 0, 0
    for name in sorted({*timm.list_models("vit_*", module="vision_transformer"), *timm.list_models(module="deit")}):
        with torch.device("meta"):
            theirs = timm.create_model(name, depth=1)
        config = {"architecture": name, "global_pool": theirs.global_pool, "pretrained_cfg": {"input_size": [3, 0, 0]}}
        config["pretrained_cfg"]["input_size"] = [3, *theirs.patch_embed.img_size]
        block, state = theirs.blocks[0], {}
        plain = theirs.state_dict()
        gelu = isinstance(getattr(getattr(block, "mlp", None), "act", None), torch.nn.GELU)
        silu = isinstance(getattr(getattr(block, "mlp", None), "act", None), torch.nn.SiLU)
        ordinary = type(block) is timm.models.vision_transformer.Block and (gelu or silu)
        try:
            declared = formats.TIMM.declare(config, formats.TIMM.norm_eps)
            for key, value in plain.items():
                target = formats.TIMM.target(key)
                if target is None:
                    raise CheckpointError(key)
                state[target] = value
            ours, *_ = architecture(formats.TIMM, Converted(state, {}, {}, frozenset(plain)), declared)
        except CheckpointError:
            refused += 1
            continue
        understood += 1
        assert ordinary, f"{name} has {type(block).__name__} with {block.mlp.act}, and should be refused"
        assert ours.heads == block.attn.num_heads, name
        assert ours.norm_eps == block.norm1.eps, name
        assert ours.pool == {"token": "class", "avg": "mean-patches"}[theirs.global_pool] or ours.distillation_token, (
            name
        )
        assert ours.grid == theirs.patch_embed.grid_size, name
        assert ours.norm_after_pool == ("fc_norm.weight" in plain), name
    assert understood > 90 and refused > 30
