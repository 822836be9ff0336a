"""Shapes of converted tensors, and what a config.json declares, -> ViTConfig; an error says where the two disagree."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vit_model.checkpoints import formats
from vit_model.checkpoints.conversion import Converted
from vit_model.checkpoints.declared import Declared
from vit_model.checkpoints.formats import Format
from vit_model.config import ViTConfig
from vit_model.errors import CheckpointError, quoted

SQUARE_ASSUMED = "if the model's pictures are not square"  # in the note of positions that could be on another grid
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1536: 24}  # the named sizes Ti, S, B, L, H and DINOv2's g
_TIMM_HEADS = {256: 4, 320: 5, 512: 8, 640: 10, 832: 13, 896: 14, 1152: 16, 1408: 16, 1664: 16}


def architecture(
    format: Format,
    converted: Converted,
    declared: Declared,
    heads: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> tuple[ViTConfig, dict[str, Tensor], tuple[str, ...]]:
    """(config, state, notes): the config at the size that the positions are for, and the state with the positions as
    our model has them. `heads` and `image_size` are what the user says about a file that does not tell.

    CheckpointError where shapes and declaration disagree (it names both), or where neither tells.
    """
    fields = _from_shapes(format, converted.state)
    fields |= _pooling(converted, declared, fields)
    for name, said in declared.fields.items():
        found = fields.get(name, converted.heads if name == "heads" else None)
        if found is not None and found != said:
            raise CheckpointError(f"config.json says {name} {_words(said)}, the weights have {_words(found)}")
    fields["heads"] = _heads(format, declared, converted, fields["width"], heads)
    state, size, notes = _place_positions(format, converted.state, fields, declared, image_size)
    if "patch_embed.projection.bias" not in state:
        state = state | {"patch_embed.projection.bias": torch.zeros(fields["width"])}
        notes += ("the patch projection has no bias: zeros stand for it",)
    assumed: dict[str, Any] = {"norm_eps": format.norm_eps} | declared.assumed
    if fields["layer_scale"] is None:
        assumed["layer_scale"] = None
    try:
        return ViTConfig(**(fields | assumed), image_size=size), state, notes
    except ValueError as error:
        raise CheckpointError(f"{format.name}: {error}") from error


def _from_shapes(format: Format, state: dict[str, Tensor]) -> dict[str, Any]:
    projection = _get(format, state, "patch_embed.projection.weight", 4)
    fc1 = _get(format, state, "blocks.0.mlp.fc1.weight", 2)
    fc2 = _get(format, state, "blocks.0.mlp.fc2.weight", 2)
    if fc1.shape[0] not in (fc2.shape[1], 2 * fc2.shape[1]):
        raise CheckpointError(
            f"{format.name}: the MLP's first layer makes {fc1.shape[0]} numbers and its second takes {fc2.shape[1]}; "
            "expected as many (GELU), or half of them (SwiGLU)"
        )
    blocks = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    absent = sorted(set(range(max(blocks))) - blocks)
    if absent:
        raise CheckpointError(f"{format.name}: block {absent[0]} is missing; there are blocks up to {max(blocks)}")
    head = _get(format, state, "head.weight", 2) if "head.weight" in state else None
    return {
        "patch_size": tuple(projection.shape[2:]),
        "channels": projection.shape[1],
        "width": projection.shape[0],
        "depth": len(blocks),
        "mlp_width": fc2.shape[1],
        "mlp": "gelu" if fc1.shape[0] == fc2.shape[1] else "swiglu",
        "classes": 0 if head is None else head.shape[0],
        "class_token": "class_token" in state,
        "distillation_token": "distillation_token" in state,
        "registers": _get(format, state, "registers", 3).shape[1] if "registers" in state else 0,
        "qkv_bias": "blocks.0.attention.qkv.bias" in state,
        "pre_logits": _get(format, state, "pre_logits.weight", 2).shape[0] if "pre_logits.weight" in state else 0,
        "pre_norm": "pre_norm.weight" in state,
        "patch_norms": "patch_embed.norm_before.weight" in state,
        "layer_scale": 1.0 if "blocks.0.scale1" in state else None,
    }


def _pooling(converted: Converted, declared: Declared, fields: dict[str, Any]) -> dict[str, Any]:
    """How tokens become features: by the heads, by what config.json says, else by the class token if there is one."""
    state, pool = converted.state, declared.pool
    after = any(name.startswith("fc_norm.") for name in converted.plain)
    if "distillation_head.weight" in state:
        return {"pool": "class-distilled"}
    if fields["classes"] and not fields["pre_logits"] and state["head.weight"].shape[1] == 2 * fields["width"]:
        return {"pool": "class+mean"}
    if pool is None:
        pool = "class" if fields["class_token"] and not after else "mean-patches"
    if pool == "class" and after:
        raise CheckpointError("config.json says global_pool 'token', but the weights have the fc_norm of a mean pool")
    return {"pool": pool, "norm_after_pool": after}


def _heads(format: Format, declared: Declared, converted: Converted, width: int, asked: int | None) -> int:
    known = declared.fields.get("heads") or converted.heads
    if known is not None:
        if asked not in (None, known):
            raise CheckpointError(f"heads={asked} was asked for, but the checkpoint has {known}")
        return known
    table = HEADS | _TIMM_HEADS if format is formats.TIMM and declared.likely_size else HEADS
    found = asked or table.get(width)
    if found is None:
        known = ", ".join(f"{w}: {h}" for w, h in HEADS.items())
        message = (
            f"this file does not tell its number of attention heads, and width {width} is none of the named sizes "
            f'({known}); add a config.json with {{"num_attention_heads": ...}}, uploaded with it or in its folder, and '
            "load both; or, in Python, pass heads="
        )
        raise CheckpointError(message, "heads_unknown", width=width, known=known)
    return found


def _place_positions(
    format: Format, state: dict[str, Tensor], fields: dict, declared: Declared, asked: tuple[int, int] | None
) -> tuple[dict[str, Tensor], tuple[int, int], tuple[str, ...]]:
    """(state, image size, notes) with positions for [class, distillation, patches], as our model has them.

    timm also stores positions for the patches alone (`no_embed_class`), or for registers too: the former get zeros in
    front, the latter are added to the registers themselves.
    """
    positions = _get(format, state, "positions", 3)
    count, tokens = positions.shape[1], int(fields["class_token"]) + int(fields["distillation_token"])
    prefixes = (
        [tokens, 0, tokens + fields["registers"]] if format.name.startswith(("timm", "DINO", "MAE")) else [tokens]
    )
    prefix, grid, notes = _grid(count, prefixes, fields["patch_size"], declared, asked)
    if prefix < tokens:
        zeros = positions.new_zeros(1, tokens, positions.shape[2])
        state = state | {"positions": torch.cat([zeros, positions], dim=1)}
    elif prefix > tokens:
        front, registers, body = positions.split([tokens, fields["registers"], count - prefix], dim=1)
        state = state | {"positions": torch.cat([front, body], dim=1), "registers": state["registers"] + registers}
        notes += ("the registers' positions were added to the registers",)
    patch = fields["patch_size"]
    return state, (grid[0] * patch[0], grid[1] * patch[1]), notes


def _grid(
    count: int,
    prefixes: Sequence[int],
    patch: tuple[int, int],
    declared: Declared,
    asked: tuple[int, int] | None,
) -> tuple[int, tuple[int, int], tuple[str, ...]]:
    """(tokens with a position before the patches, grid, notes) of `count` positions: what config.json says, or the
    likely or the asked size where it fits, else the square."""
    stated, grid = declared.image_size, (0, 0)
    for size in [stated] if stated else [declared.likely_size, asked]:
        if size is not None:
            grid = size[0] // patch[0], size[1] // patch[1]
            for prefix in prefixes:
                if prefix + grid[0] * grid[1] == count:
                    return prefix, grid, ()
    if stated:
        raise CheckpointError(
            f"config.json says image size {_words(stated)} with {_words(patch)} patches, a grid of {_words(grid)} = "
            f"{grid[0] * grid[1]} positions and {prefixes[0]} before them; the weights have {count} positions"
        )
    for prefix in prefixes:
        side = math.isqrt(max(count - prefix, 0))
        if side and prefix + side * side == count:
            likely = declared.likely_size
            notes = [f"config.json's input size {_words(likely)} does not fit {count} positions"] if likely else []
            if prefix < prefixes[0]:  # (n - 1) x (n + 1) and a class token are as many as n x n
                notes.append(
                    f"{count} positions are read as {side}x{side} patches, with none before them; {SQUARE_ASSUMED}, "
                    "pass their size, image_size=(height, width)"
                )
            return prefix, (side, side), tuple(notes)
    got = f"image_size={_words(asked)} makes {(asked[0] // patch[0]) * (asked[1] // patch[1])}; " if asked else ""
    raise CheckpointError(
        f"the checkpoint holds {count} positions, {prefixes[0]} of them before the patches: no square grid; {got}"
        f"pass image_size=(height, width), the size that the positions are for, with {_words(patch)} patches"
    )


def check_shapes(format: Format, expected: dict[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """Compare shapes with a model's; returns the names that are missing. CheckpointError names what does not fit."""
    for name, tensor in state.items():
        theirs = next((key for key, part in format.source(name) if part is None), name)
        if name not in expected:
            raise CheckpointError(
                f"{format.name}: {quoted(theirs)} has no counterpart in the other blocks of this checkpoint"
            )
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                f"{format.name}: {quoted(theirs)} should have the shape {list(expected[name].shape)}, "
                f"got {list(tensor.shape)} (in our order of axes)"
            )
    return [name for name in expected if name not in state]


def _get(format: Format, state: dict[str, Tensor], name: str, dims: int) -> Tensor:
    theirs = next((key for key, part in format.source(name) if part is None), name)
    if name not in state:
        raise CheckpointError(f"{format.name}: {quoted(theirs)} is missing")
    if state[name].dim() != dims or 0 in state[name].shape:
        raise CheckpointError(f"{format.name}: {quoted(theirs)} should have {dims} axes, got {list(state[name].shape)}")
    return state[name]


def _words(value: object) -> str:
    return "x".join(map(quoted, value)) if isinstance(value, tuple) else quoted(value)
