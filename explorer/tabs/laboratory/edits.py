"""What a visitor's browser says it wants changed, read without trust, and what comes of it: before and after."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.analysis.ablation import Ablation, ablate
from explorer.analysis.carried import Carried, carried_over
from explorer.analysis.edits import Edited, Edits, PatchEdit, apply_edits
from explorer.analysis.explain.classes import class_index
from explorer.analysis.explain.gradients import Progress
from explorer.analysis.rollout import rollout, rollout_matrices
from explorer.analysis.tokens import asking_row
from explorer.device import ZERO_GPU, steps_on_gpu
from explorer.session.scenes import MAX_PATCHES, ModelChoice, Scene, on_best_device, parse_size, resized, scene_at_size
from explorer.session.turns import TURNS
from vit_model import VisionTransformer
from vit_model.errors import CodedError
from vit_model.messages import message
from vit_model.positions import METHODS
from vit_model.trace import Trace

OWN = "own"  # the interpolation of the checkpoint's origin
MAX_STEPS = 100
MAX_TEXT = 200
WHOLE_TOKENS = 577  # up to here all rows of a rollout are made for a model without a class token
MAPS = ("rollout", "positions")
VALUES_AT_ONCE = 8000  # attention maps of all layers are sent together while they have no more values than this
_FIELDS = {"steps", "grid", "positions", "seed", "heads", "mlps", "layers", "size", "method", "target"}


@dataclass(frozen=True)
class Wish:
    """Edits, the size and interpolation to see them at, and the class to watch (None: the predicted one). `carried`:
    where the steps came from another grid, what became of them."""

    edits: Edits
    size: tuple[int, int] | None
    method: str | None
    target: int | None
    carried: Carried | None = None

    @property
    def changes(self) -> bool:
        """Whether anything is other than the scene has it."""
        return self.edits != Edits() or self.size is not None


@dataclass(frozen=True)
class Outcome:
    """A scene before, and after its edits. `maps`: name -> (before, after) on their grids, NaN where a patch was
    dropped; rollout in multiples of a patch's even share, position similarity as cosines. `attention`: layer -> the
    same of what the class token attends to in it, in multiples of an even share."""

    before: Scene
    edited: Edited
    logits: Tensor  # [K], after
    maps: dict[str, tuple[Tensor, Tensor]]
    attention: dict[int, tuple[Tensor, Tensor]]


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
    steps = _listed(told.get("steps", []), MAX_STEPS)
    seen = config.grid if pixels is None else tuple(s // p for s, p in zip(pixels, config.patch_size, strict=True))
    grid = tuple(_whole_numbers(told.get("grid", list(seen)), 2, least=1))
    if len(grid) != 2 or (grid != seen and grid[0] * grid[1] > MAX_PATCHES):
        raise _unread()
    heads = {tuple(_whole_numbers(pair, 2)) for pair in _listed(told.get("heads", []), config.depth * config.heads)}
    if any(len(pair) != 2 for pair in heads):
        raise _unread()
    try:
        edits = Edits(
            tuple(_step(step, min(grid[0] * grid[1], MAX_PATCHES)) for step in steps),
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
    wish = Wish(edits, pixels, None if method == OWN else method, chosen)
    return wish if grid == seen or not edits.steps else _carried(wish, scene, grid)


def outcome_of(scene: Scene, wish: Wish, layers: Sequence[int] | None = None) -> Outcome:
    """One forward pass of the edited model, and the maps of both. `layers`: whose attention; None for all."""
    edited, trace = _edited(scene, wish)
    plain = apply_edits(scene.model, scene.pixels.to(scene.trace.logits.device), Edits())
    layers = range(trace.layers) if layers is None else layers
    before, after = _maps(plain, scene.trace), _maps(edited, trace)
    maps = {name: (before[name], after[name]) for name in MAPS}
    attention = {layer: (_attention(plain, scene.trace, layer), _attention(edited, trace, layer)) for layer in layers}
    return Outcome(scene, edited, trace.logits[0], maps, attention)


def layers_at_once(scene: Scene, wish: Wish, chosen: int) -> Sequence[int]:
    """The layers whose attention maps are sent together: all of them, or where that would be much, the chosen one."""
    (ph, pw), (gh, gw) = scene.model.config.patch_size, scene.trace.grid
    patches = gh * gw if wish.size is None else max(gh * gw, (wish.size[0] // ph) * (wish.size[1] // pw))
    return range(scene.trace.layers) if scene.trace.layers * patches <= VALUES_AT_ONCE else (chosen,)


def watched(scene: Scene, wish: Wish) -> int | None:
    """The class that is watched: the chosen one, or the one predicted before the edits; None without a head."""
    if not scene.model.config.classes:
        return None
    return int(scene.trace.logits[0].argmax()) if wish.target is None else wish.target


def ablation_of(scene: Scene, wish: Wish, progress: Progress | None = None) -> Iterator[Ablation]:
    """`ablate` of the edited model on the edited picture, for the class that is watched: what each part is worth as
    things are. `progress` is told after each step; what it raises ends the work. Raises as `ablate`."""
    target = watched(scene, wish)
    if ZERO_GPU and target is not None:
        seen = _seen_at(scene, wish)
        steps = _ablations_on_zero_gpu(seen.choice, seen.pixels.numpy(), seen.resizing, wish.edits, target)
    else:
        edited, trace = _edited(scene, wish)
        steps = ablate(edited.model, trace, target)
    return _in_turns(steps, progress)


def _in_turns(steps: Generator, progress: Progress | None) -> Iterator[Ablation]:
    with closing(steps), TURNS.slow(progress) as turn:
        for step in steps:
            yield step
            turn(step.done, step.total)


def _ablations(
    choice: ModelChoice, pixels: np.ndarray, resizing: tuple | None, edits: Edits, target: int
) -> Iterator[Ablation]:
    edited = apply_edits(*on_best_device(choice, pixels, resizing), edits)
    yield from ablate(edited.model, edited.model.trace(edited.pixels), target)


_ablations_on_zero_gpu = steps_on_gpu(_ablations)


def difference(before: Tensor, after: Tensor) -> Tensor:
    """After minus before on the grid of `before`; a dropped patch counts as 0, another grid is interpolated."""
    after = after.nan_to_num()
    if after.shape != before.shape:
        after = F.interpolate(after[None, None], size=tuple(before.shape), mode="bilinear", align_corners=False)[0, 0]
    return after - before.nan_to_num()


def _seen_at(scene: Scene, wish: Wish) -> Scene:
    return scene if wish.size is None else scene_at_size(scene, wish.size, wish.method)


def _edited(scene: Scene, wish: Wish) -> tuple[Edited, Trace]:
    """The edited model and picture, and their trace."""
    seen = _seen_at(scene, wish)
    edited = apply_edits(seen.model, seen.pixels.to(scene.trace.logits.device), wish.edits)
    if seen is scene and wish.edits == Edits():
        return edited, scene.trace
    with TURNS.quick():
        return edited, edited.model.trace(edited.pixels)


def _carried(wish: Wish, scene: Scene, grid: tuple[int, int]) -> Wish:
    """The wish with its steps, which are of `grid`, carried over to the grid that it asks to see."""
    ph, pw = scene.model.config.patch_size
    sizes = ((grid[0] * ph, grid[1] * pw), wish.size or scene.model.config.image_size)
    before, after = (resized(scene.model, size) for size in sizes)
    boxes = [model.preprocess(scene.picture)[1] for model in (before, after)]
    carried = carried_over(wish.edits.steps, grid, boxes[0], after.config.grid, boxes[1])
    return replace(wish, edits=replace(wish.edits, steps=carried.steps), carried=carried)


def _maps(edited: Edited, trace: Trace) -> dict[str, Tensor]:
    return {
        "rollout": _share(edited, trace, _rolled(edited, trace)),
        "positions": edited.on_grid(_position_row(edited.model, _nearest(edited))),
    }


def _attention(edited: Edited, trace: Trace, layer: int) -> Tensor:
    return _share(edited, trace, asking_row(trace, layer))


def _share(edited: Edited, trace: Trace, row: Tensor) -> Tensor:
    """A row over all tokens [N] -> its patches on the grid, in multiples of their mean."""
    patches = row[trace.prefix :].float().cpu()
    return edited.on_grid(patches * (len(patches) / patches.sum().clamp_min(1e-30)))


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
    return CodedError(message("edits_unread", "these changes could not be read; reload the page and make them again"))
