"""What a visitor's browser says it wants changed, read without trust, and what comes of it: before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.classes import class_index
from explorer.edits import Edited, Edits, PatchEdit, apply_edits
from explorer.rollout import rollout, rollout_matrices
from explorer.session import MAX_PATCHES, Scene, look_at_size, parse_size
from explorer.tokens import asking_row
from vit_model import VisionTransformer
from vit_model.errors import CodedError
from vit_model.positions import METHODS
from vit_model.trace import Trace

OWN = "own"  # the interpolation of the checkpoint's origin
MAX_STEPS = 100
MAX_TEXT = 200
WHOLE_TOKENS = 577  # up to here all rows of a rollout are made for a model without a class token
MAPS = ("attention", "rollout", "positions")
_FIELDS = {"steps", "grid", "positions", "seed", "heads", "mlps", "layers", "size", "method", "target"}


@dataclass(frozen=True)
class Wish:
    """Edits, the size and interpolation to see them at, and the class to watch (None: the predicted one)."""

    edits: Edits
    size: tuple[int, int] | None
    method: str | None
    target: int | None


@dataclass(frozen=True)
class Outcome:
    """A scene before, and after its edits. `maps`: name -> (before, after) on their grids, NaN where a patch was
    dropped; attention and rollout in multiples of a patch's even share, position similarity as cosines."""

    before: Scene
    edited: Edited
    logits: Tensor  # [K], after
    maps: dict[str, tuple[Tensor, Tensor]]


def read_wish(told: Any, scene: Scene) -> Wish:
    """`told`: what the browser sent, an object with `_FIELDS`. CodedError for anything that is not what our own script
    writes; sizes, interpolations and classes are judged with words of their own, as people type them."""
    model = scene.model
    if not isinstance(told, dict) or not set(told) <= _FIELDS:
        raise _unread()
    config = model.config
    size, method, target = told.get("size", ""), told.get("method", OWN), told.get("target", "")
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in (size, method, target)):
        raise _unread()
    if method not in (OWN, *METHODS):
        raise _unread()
    pixels = parse_size(size, config.patch_size)
    seen = config.grid if pixels is None else tuple(s // p for s, p in zip(pixels, config.patch_size, strict=True))
    steps = _listed(told.get("steps", []), MAX_STEPS)
    if tuple(_whole_numbers(told.get("grid", list(config.grid)), 2)) != tuple(seen):
        steps = []  # patches of another grid: the browser has not heard of the new one yet
    heads = {tuple(_whole_numbers(pair, 2)) for pair in _listed(told.get("heads", []), config.depth * config.heads)}
    if any(len(pair) != 2 for pair in heads):
        raise _unread()
    try:
        edits = Edits(
            tuple(_step(step, min(seen[0] * seen[1], MAX_PATCHES)) for step in steps),
            told.get("positions", "kept"),
            *_whole_numbers([told.get("seed", 0)], 1),
            tuple(sorted(heads)),
            tuple(sorted(set(_whole_numbers(told.get("mlps", []), config.depth)))),
            tuple(sorted(set(_whole_numbers(told.get("layers", []), config.depth)))),
        )
    except ValueError as error:
        raise _unread() from error
    chosen = None
    if target.strip() and config.classes:
        named = target.strip()
        chosen = class_index(model, int(named) if named.isascii() and named.isdigit() and len(named) < 9 else named)
    return Wish(edits, pixels, None if method == OWN else method, chosen)


def outcome_of(scene: Scene, wish: Wish) -> Outcome:
    """One forward pass of the edited model, and the maps of both."""
    seen = scene if wish.size is None else look_at_size(scene, wish.size, wish.method)
    device = scene.trace.logits.device
    edited = apply_edits(seen.model, seen.pixels.to(device), wish.edits)
    trace = scene.trace if seen is scene and wish.edits == Edits() else edited.model.trace(edited.pixels)
    plain = apply_edits(scene.model, scene.pixels.to(device), Edits())
    before, after = _maps(plain, scene.trace), _maps(edited, trace)
    return Outcome(scene, edited, trace.logits[0], {name: (before[name], after[name]) for name in MAPS})


def difference(before: Tensor, after: Tensor) -> Tensor:
    """After minus before on the grid of `before`; a dropped patch counts as 0, another grid is interpolated."""
    after = after.nan_to_num()
    if after.shape != before.shape:
        after = F.interpolate(after[None, None], size=tuple(before.shape), mode="bilinear", align_corners=False)[0, 0]
    return after - before.nan_to_num()


def _maps(edited: Edited, trace: Trace) -> dict[str, Tensor]:
    def share(row: Tensor) -> Tensor:
        patches = row[trace.prefix :].float().cpu()
        return edited.on_grid(patches * (len(patches) / patches.sum().clamp_min(1e-30)))

    return {
        "attention": share(asking_row(trace, trace.layers - 1)),
        "rollout": share(_rolled(edited, trace)),
        "positions": edited.on_grid(_position_row(edited.model, _nearest(edited))),
    }


def _rolled(edited: Edited, trace: Trace) -> Tensor:
    """Rollout of the class token, without one the mean over all tokens, [N]; NaN where there is nothing to follow, or
    too many tokens to follow all."""
    if edited.nothing_mixes(trace) or (not trace.prefix and trace.tokens > WHOLE_TOKENS):
        return torch.full((trace.tokens,), float("nan"))
    mixing = edited.mixing(trace)
    return rollout(mixing) if trace.prefix else rollout_matrices(mixing)[-1].mean(0)


def _nearest(edited: Edited) -> int:
    """Among the patches that are left, the number of the one nearest to the middle of the grid."""
    gh, gw = edited.grid
    middle = (gh // 2, gw // 2)
    away = [(place // gw - middle[0]) ** 2 + (place % gw - middle[1]) ** 2 for place in edited.kept]
    return away.index(min(away))


def _position_row(model: VisionTransformer, patch: int) -> Tensor:
    """Cosine similarity of every patch's position embedding with that of one, [n]; 0 where it is zero."""
    positions = F.normalize(model.positions[0, model.config.positioned_prefix :].float(), dim=-1)
    return positions @ positions[patch]


def _step(told: Any, places: int) -> PatchEdit:
    if not isinstance(told, dict) or not set(told) <= {"kind", "patches", "by", "seed"}:
        raise _unread()
    patches = tuple(_whole_numbers(told.get("patches"), places))
    by = _whole_numbers(told.get("by", [0, 0]), 2, least=-places)
    if len(by) != 2:
        raise _unread()
    return PatchEdit(told.get("kind"), patches, tuple(by), *_whole_numbers([told.get("seed", 0)], 1))


def _listed(value: Any, most: int) -> list:
    if not isinstance(value, list) or len(value) > most:
        raise _unread()
    return value


def _whole_numbers(value: Any, most: int, least: int = 0) -> list[int]:
    """A list of at most `most` whole numbers from `least` to 2^31 - 1."""
    if any(type(number) is not int or not least <= number < 2**31 for number in _listed(value, most)):
        raise _unread()
    return value


def _unread() -> CodedError:
    return CodedError("these changes could not be read; reload the page and make them again", "edits_unread")
