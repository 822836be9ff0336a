"""All methods on one picture: their maps, beside two that know nothing of the model, and their deletion curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.explain.classes import class_index
from explorer.analysis.explain.gradients import Gradients, Progress, class_gradients
from explorer.analysis.explain.methods import METHODS, explain
from explorer.analysis.faithfulness.agreement import rank_agreement
from explorer.analysis.faithfulness.baselines import random_maps, sobel_map
from explorer.analysis.faithfulness.faithfulness import Curves, faithfulness
from vit_model.errors import quoted
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

RANDOM, SOBEL = "random", "sobel"
BASELINES = (RANDOM, SOBEL)
DRAWS = 5


@dataclass(frozen=True)
class Leaderboard:
    """How far it is: the maps made so far, then the curves of all of them.

    - `target`: the class; `maps`: [gh, gw] of each method and `sobel`, [draws, gh, gw] of `random`
    - `refused`: the methods that cannot explain this model or picture, each with its reason
    - `curves`: None until all maps are there
    - `doing`: the method whose map is made next, empty while curves are measured; `done`: share of the work, 0 to 1
    """

    target: int
    maps: dict[str, Tensor]
    refused: dict[str, Exception] = field(default_factory=dict)
    curves: Curves | None = None
    doing: str = ""
    done: float = 0.0

    @property
    def ranking(self) -> list[int]:
        """Rows of the curves, the largest gap between negative and positive area first."""
        return np.argsort(-self.curves.areas["gap"], kind="stable").tolist() if self.curves else []

    @property
    def agreement(self) -> Tensor:
        """Rank correlation of every pair of maps, [M, M]; of `random` the first draw."""
        return rank_agreement([each[0] if each.dim() == 3 else each for each in self.maps.values()])


def leaderboard(
    model: VisionTransformer,
    pixels: Tensor,
    target: int,
    *,
    trace: Trace | None = None,
    methods: Sequence[str] | None = None,
    steps: int = 20,
    draws: int = DRAWS,
    seed: int = 0,
    value: str = "probability",
    progress: Progress | None = None,
) -> Iterator[Leaderboard]:
    """Every method of METHODS (or those named) for class `target` on pixels [1, C, h, w], each with its default
    choices, measured by `faithfulness` together with `random` (the mean of `draws` random orders) and `sobel` (edges of
    the picture). Yields before each map and after each step; the last one is complete. `progress`: see `explain`.

    Raises ValueError for a model without a head, unknown methods, and what `faithfulness` refuses.
    """
    target = class_index(model, target)
    names = tuple(METHODS) if methods is None else tuple(dict.fromkeys(methods))
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"unknown method {quoted(unknown[0])}; the methods are {', '.join(METHODS)}")
    trace = model.trace(pixels) if trace is None else trace
    now, gradients = Leaderboard(target, {}), shared_gradients(model, pixels, target)
    for index, name in enumerate(names):
        yield replace(now, doing=name, done=0.5 * index / len(names))
        try:
            values = explain(model, pixels, name, target, trace=trace, gradients=gradients, progress=progress).values
            now = replace(now, maps=now.maps | {name: values})
        except ValueError as error:
            now = replace(now, refused=now.refused | {name: error})
    baselines = {RANDOM: random_maps(trace.grid, draws, seed), SOBEL: edges_of(model, pixels)}
    now = replace(now, maps=now.maps | baselines)
    for curves in faithfulness(model, pixels, now.maps, target, steps=steps, value=value, seed=seed):
        yield (now := replace(now, curves=curves, done=0.5 + 0.5 * len(curves.dropped) / curves.points))


def shared_gradients(model: VisionTransformer, pixels: Tensor, target: int) -> Gradients | None:
    """What several methods start from, made once; None where it cannot be, which each of them then says itself."""
    try:
        return class_gradients(model, pixels, target)
    except ValueError:
        return None


def edges_of(model: VisionTransformer, pixels: Tensor) -> Tensor:
    """`sobel_map` of what the model sees, its normalisation undone."""
    mean, std = (torch.tensor(each)[:, None, None] for each in (model.preprocessing.mean, model.preprocessing.std))
    return sobel_map(pixels[0].cpu().float() * std + mean, model.config.patch_size)
