"""Shapes of converted tensors, and what a config.json declares, -> ViTConfig; an error says where the two disagree."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vit_model.checkpoints.conversion import Converted
from vit_model.checkpoints.declared import Declared
from vit_model.checkpoints.format import Format
from vit_model.config import ViTConfig
from vit_model.errors import CheckpointError, quoted
from vit_model.messages import message, message_of

SQUARE_ASSUMED = "if the model's pictures are not square"  # in the note of positions that could be on another grid
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1536: 24}  # the named sizes Ti, S, B, L, H and DINOv2's g


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
    fields |= _pooling(format, converted, declared, fields)
    for name, said in declared.fields.items():
        found = fields.get(name, converted.heads if name == "heads" else None)
        if found is not None and found != said:
            text = "config.json says {name} {stated}, the weights have {found}"
            raise CheckpointError(message("config_misfit", text, name=name, stated=_words(said), found=_words(found)))
    fields["heads"] = _heads(declared, converted, fields["width"], heads)
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
        text = "{format}: {reason}"
        raise CheckpointError(message("format_refused", text, format=format.name, reason=message_of(error))) from error


def _from_shapes(format: Format, state: dict[str, Tensor]) -> dict[str, Any]:
    projection = _get(format, state, "patch_embed.projection.weight", 4)
    fc1 = _get(format, state, "blocks.0.mlp.fc1.weight", 2)
    fc2 = _get(format, state, "blocks.0.mlp.fc2.weight", 2)
    if fc1.shape[0] not in (fc2.shape[1], 2 * fc2.shape[1]):
        raise CheckpointError(
            message(
                "mlp_misfit",
                "{format}: the MLP's first layer makes {first} numbers and its second takes {second}; expected as many "
                "(GELU), or half of them (SwiGLU)",
                format=format.name,
                first=fc1.shape[0],
                second=fc2.shape[1],
            )
        )
    blocks = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    absent = sorted(set(range(max(blocks))) - blocks)
    if absent:
        text = "{format}: block {block} is missing; there are blocks up to {last}"
        raise CheckpointError(message("block_missing", text, format=format.name, block=absent[0], last=max(blocks)))
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


def _pooling(format: Format, converted: Converted, declared: Declared, fields: dict) -> dict:
    """How tokens become features: by the heads, by what config.json says, else by the class token if there is one."""
    state, pool = converted.state, declared.pool
    after = bool(format.pooled_norm) and any(name.startswith(format.pooled_norm) for name in converted.plain)
    if "distillation_head.weight" in state:
        return {"pool": "class-distilled"}
    if fields["classes"] and not fields["pre_logits"] and state["head.weight"].shape[1] == 2 * fields["width"]:
        return {"pool": "class+mean"}
    if pool is None:
        pool = "class" if fields["class_token"] and not after else "mean-patches"
    if pool == "class" and after:
        text = "config.json says global_pool 'token', but the weights have the fc_norm of a mean pool"
        raise CheckpointError(message("pool_misfit", text))
    return {"pool": pool, "norm_after_pool": after}


def _heads(declared: Declared, converted: Converted, width: int, asked: int | None) -> int:
    known = declared.fields.get("heads") or converted.heads
    if known is not None:
        if asked not in (None, known):
            text = "heads={asked} was asked for, but the checkpoint has {known}"
            raise CheckpointError(message("heads_misfit", text, asked=asked, known=known))
        return known
    found = asked or {**HEADS, **declared.heads_by_width}.get(width)
    if found is None:
        known = ", ".join(f"{w}: {h}" for w, h in HEADS.items())
        raise CheckpointError(
            message(
                "heads_unknown",
                "this file does not tell its number of attention heads, and width {width} is none of the named sizes "
                '({known}); add a config.json with {{"num_attention_heads": ...}}, uploaded with it or in its folder, '
                "and load both; or, in Python, pass heads=",
                width=width,
                known=known,
            )
        )
    return found


def _place_positions(
    format: Format, state: dict[str, Tensor], fields: dict, declared: Declared, asked: tuple[int, int] | None
) -> tuple[dict[str, Tensor], tuple[int, int], tuple[str, ...]]:
    """(state, image size, notes) with positions for [class, distillation, patches], as our model has them.

    Some formats also store positions for the patches alone (timm's `no_embed_class`), or for registers too: the former
    get zeros in front, the latter are added to the registers themselves.
    """
    positions = _get(format, state, "positions", 3)
    count, tokens = positions.shape[1], int(fields["class_token"]) + int(fields["distillation_token"])
    prefixes = [tokens, 0, tokens + fields["registers"]] if format.loose_positions else [tokens]
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
            message(
                "positions_misfit",
                "config.json says image size {size} with {patch} patches, a grid of {grid} = {positions} positions and "
                "{prefix} before them; the weights have {count} positions",
                size=_words(stated),
                patch=_words(patch),
                grid=_words(grid),
                positions=grid[0] * grid[1],
                prefix=prefixes[0],
                count=count,
            )
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
    got: str = ""
    if asked:
        made = (asked[0] // patch[0]) * (asked[1] // patch[1])
        got = message("size_makes", "image_size={size} makes {count}; ", size=_words(asked), count=made)
    raise CheckpointError(
        message(
            "positions_not_square",
            "the checkpoint holds {count} positions, {prefix} of them before the patches: no square grid; {got}pass "
            "image_size=(height, width), the size that the positions are for, with {patch} patches",
            count=count,
            prefix=prefixes[0],
            got=got,
            patch=_words(patch),
        )
    )


def check_shapes(format: Format, expected: dict[str, Tensor], state: dict[str, Tensor]) -> list[str]:
    """Compare shapes with a model's; returns the names that are missing. CheckpointError names what does not fit."""
    for name, tensor in state.items():
        theirs = next((key for key, part in format.source(name) if part is None), name)
        if name not in expected:
            text = "{format}: {name} has no counterpart in the other blocks of this checkpoint"
            raise CheckpointError(message("tensor_alone", text, format=format.name, name=quoted(theirs)))
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                message(
                    "tensor_shape",
                    "{format}: {name} should have the shape {expected}, got {got} (in our order of axes)",
                    format=format.name,
                    name=quoted(theirs),
                    expected=list(expected[name].shape),
                    got=list(tensor.shape),
                )
            )
    return [name for name in expected if name not in state]


def _get(format: Format, state: dict[str, Tensor], name: str, dims: int) -> Tensor:
    theirs = next((key for key, part in format.source(name) if part is None), name)
    if name not in state:
        raise CheckpointError(
            message("tensor_missing", "{format}: {name} is missing", format=format.name, name=quoted(theirs))
        )
    if state[name].dim() != dims or 0 in state[name].shape:
        text, got = "{format}: {name} should have {count} axes, got {got}", list(state[name].shape)
        raise CheckpointError(
            message("tensor_axes", text, format=format.name, name=quoted(theirs), count=dims, got=got)
        )
    return state[name]


def _words(value: object) -> str:
    return "x".join(map(quoted, value)) if isinstance(value, tuple) else quoted(value)
