"""Does a map depend on what the model has learned? Its weights are replaced by random ones, from the top layer down.

Cascading randomisation (Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv 1810.03292, section 4): first the
head, then the last block too, and so on down to the patch embedding. A map that keeps its order all the way shows
something else than the model: edges, say. A method that never looks at the head (rollout) keeps its map in the first
step, and rightly so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from explorer.analysis.explain.classes import class_index
from explorer.analysis.explain.gradients import Progress
from explorer.analysis.explain.methods import METHODS, explain
from explorer.analysis.faithfulness.agreement import spearman
from explorer.analysis.faithfulness.leaderboard import shared_gradients
from vit_model.model import VisionTransformer

STAYS = 0.5
"""A map whose rank correlation with the original never falls below this is marked. Maps of unrelated order on 144
patches are within 0.17 of 0 in 95 % of cases; smooth maps stray further."""


@dataclass(frozen=True)
class Sanity:
    """Rank correlation of the map after each step with the map of the trained weights: M methods, S steps so far.

    - `steps`: what was randomised, on top of all before: "head", "block 7", ..., "embedding"; `planned`: all there are
    - `correlation` [M, S]: Spearman's rho; `magnitude` [M, S]: of absolute values, which differs for signed maps only.
      NaN where the map has become constant or cannot be made.
    - `doing`: the method whose map was made last, `within` the next step that is this share done
    """

    methods: tuple[str, ...]
    planned: tuple[str, ...]
    steps: tuple[str, ...]
    correlation: np.ndarray
    magnitude: np.ndarray
    doing: str = ""
    within: float = 0.0

    @property
    def done(self) -> float:
        """Share of the work, 0 to 1."""
        return (len(self.steps) + self.within) / len(self.planned)

    @property
    def complete(self) -> bool:
        return len(self.steps) == len(self.planned)

    @property
    def lowest(self) -> np.ndarray:
        """The smallest correlation of any step, [M], of the values turned over if need be, or of their magnitudes,
        whichever stays higher. NaN where a step gave none."""
        if not self.steps:
            return np.full(len(self.methods), math.nan)
        return np.fmax(np.abs(self.correlation).min(1), self.magnitude.min(1))

    @property
    def marked(self) -> tuple[bool, ...]:
        """Whether the map hardly depends on the weights: its order stayed, at every step. All False until complete."""
        return tuple(bool(self.complete and low >= STAYS) for low in self.lowest)


def sanity(
    model: VisionTransformer,
    pixels: Tensor,
    target: int,
    methods: Sequence[str] | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[Sanity]:
    """Maps of `methods` (None: all of METHODS) for class `target` with ever more of the weights randomised. Yields
    after every map, so that it can be stopped at any time; the last one is complete. `model` is left as it is.

    `progress`: see `explain`. Costs every method once for each block, and thrice more. A method that cannot explain
    this model is left out.
    Raises ValueError for a model without a head, and where no method is left.
    """
    target = class_index(model, target)
    chosen = tuple(METHODS) if methods is None else tuple(methods)
    originals: dict[str, Tensor] = {}
    for name, values in _maps(model, pixels, chosen, target, progress):
        yield Sanity(chosen, step_names(model), (), *_nothing(len(chosen)), doing=name)
        if values is not None:
            originals[name] = values
    if not originals:
        raise ValueError("none of the chosen methods can explain this model")
    now = Sanity(tuple(originals), step_names(model), (), *_nothing(len(originals)))
    for step, changed in zip(now.planned, randomisations(model, seed), strict=True):
        pairs = []
        for index, (name, values) in enumerate(_maps(changed, pixels, now.methods, target, progress)):
            yield replace(now, doing=name, within=index / len(originals))
            pairs.append(_compared(originals[name], values))
        columns = np.array(pairs)[..., None]  # [M, 2, 1]
        correlation = np.concatenate([now.correlation, columns[:, 0]], axis=1)
        magnitude = np.concatenate([now.magnitude, columns[:, 1]], axis=1)
        now = replace(now, steps=(*now.steps, step), correlation=correlation, magnitude=magnitude)
    yield now


def step_names(model: VisionTransformer) -> tuple[str, ...]:
    """What is randomised, step by step, from the top: the head (with the final norm), every block, the embedding."""
    return ("head", *(f"block {index}" for index in reversed(range(model.config.depth))), "embedding")


def _nothing(methods: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((methods, 0)), np.empty((methods, 0))


def randomisations(model: VisionTransformer, seed: int = 0) -> Iterator[VisionTransformer]:
    """A copy of the model for each of `step_names`, with everything down to there randomised; lower weights are shared.

    Each tensor gets normal random numbers with its own mean and standard deviation: with fresh initial values, which
    are small, attention would be uniform and a zero head would have no gradient, whatever the method. Tensors whose
    entries are all alike stay.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[Callable[[VisionTransformer], tuple]] = [
        lambda copy: (copy.norm, copy.pre_logits, copy.head, copy.distillation_head),
        *(lambda copy, index=index: (copy.blocks[index],) for index in reversed(range(len(model.blocks)))),
        lambda copy: (copy.patch_embed, copy.pre_norm, copy),
    ]
    copy = model
    for part in parts:
        copy = copy._sharing_weights()
        for module in part(copy):
            if module is not None:
                _randomise(module, generator, recurse=module is not copy)
        yield copy


def _randomise(module: nn.Module, generator: torch.Generator, recurse: bool) -> None:
    """Replaces the module's parameters, and with `recurse` those of the modules in it; the old tensors stay as they
    are, since others may hold them."""
    for owner in module.modules() if recurse else (module,):
        for name, old in list(owner.named_parameters(recurse=False)):
            noise = torch.randn(old.shape, generator=generator).to(old.device, old.dtype)
            spread = old.std() if old.numel() > 1 else torch.zeros_like(old.mean())
            setattr(owner, name, nn.Parameter(noise * spread + old.mean(), requires_grad=False))


def _maps(
    model: VisionTransformer, pixels: Tensor, methods: Sequence[str], target: int, progress: Progress | None
) -> Iterator[tuple[str, Tensor | None]]:
    """Each method's map, None where it has none for this model."""
    trace, gradients = model.trace(pixels), shared_gradients(model, pixels, target)
    for name in methods:
        try:
            yield name, explain(model, pixels, name, target, trace=trace, gradients=gradients, progress=progress).values
        except ValueError:
            yield name, None


def _compared(original: Tensor, changed: Tensor | None) -> tuple[float, float]:
    if changed is None:
        return math.nan, math.nan
    return spearman(original, changed), spearman(original.abs(), changed.abs())
