"""Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365): a score's rise from a baseline, shared out.

With the baseline x' and the path x_t = x' + t (x - x'), the value of a patch is the sum over its pixels and channels of

    (x - x') * integral over t from 0 to 1 of d score / d x_t,

taken by Gauss-Legendre quadrature. Completeness: the whole map sums to score(x) - score(x'), up to the quadrature's
error, which shrinks with `steps`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.explain.classes import Class, chosen_classes
from explorer.analysis.explain.explanation import Explanation, over_patches
from explorer.analysis.explain.gradients import Progress, pictures_at_once, pixel_gradients
from explorer.analysis.explain.method import Count, Method, OneOf
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def integrated_gradients(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    baseline: str = "mean",
    steps: int = 32,
    progress: Progress | None = None,
) -> Explanation:
    """Integrated gradients of every patch: signed, in units of the score (logits).

    - `baseline`: what counts as nothing: "mean" the colour that preprocessing subtracts (zeros for the model), "black",
      "white", or "blur" this picture out of focus. What looks like its baseline gets nothing: a black object against
      "black".
    - `steps`: points of the quadrature, each a forward and a backward pass.

    Raises CodedError for a class that the model does not have and for gradients that are not finite.
    """
    target, against = chosen_classes(model, trace, target, against)
    pixels = pixels.detach()
    start = BASELINES[baseline](model, pixels)
    points, weights = (torch.from_numpy(each / 2).to(pixels) for each in np.polynomial.legendre.leggauss(steps))
    points, total = points + 0.5, torch.zeros_like(pixels)
    for chunk in torch.arange(steps).split(pictures_at_once(model, pixels.device)):
        if progress is not None:
            progress(int(chunk[0]), steps)
        batch = start + points[chunk, None, None, None] * (pixels - start)
        total += (weights[chunk, None, None, None] * pixel_gradients(model, batch, target, against)).sum(0)
    values = over_patches(((pixels - start) * total).float(), trace)
    return INTEGRATED_GRADIENTS.explanation(values, target, against)


def _flat(level: float) -> Callable[[VisionTransformer, Tensor], Tensor]:
    """A picture of one grey, from 0 (black) to 1, as the model gets it."""

    def baseline(model: VisionTransformer, pixels: Tensor) -> Tensor:
        mean, std = (torch.tensor(each).to(pixels) for each in (model.preprocessing.mean, model.preprocessing.std))
        return ((level - mean) / std)[:, None, None].expand_as(pixels)

    return baseline


def _blurred(model: VisionTransformer, pixels: Tensor) -> Tensor:
    """The picture itself, blurred by a twelfth of its shorter side."""
    from torchvision.transforms.v2.functional import gaussian_blur  # here, as torchvision is slow to import

    sigma = min(pixels.shape[-2:]) / 12
    return gaussian_blur(pixels, [2 * int(2 * sigma) + 1] * 2, [sigma] * 2)


BASELINES: dict[str, Callable[[VisionTransformer, Tensor], Tensor]] = {
    "mean": lambda model, pixels: torch.zeros_like(pixels),
    "black": _flat(0.0),
    "white": _flat(1.0),
    "blur": _blurred,
}

INTEGRATED_GRADIENTS = Method(
    "integrated-gradients",
    integrated_gradients,
    (
        OneOf("baseline", options=tuple(BASELINES), offered=True),
        Count("steps", offered=True, slider=(4, 128, 4)),
    ),
    signed=True,
    gradients="own",
    passes=lambda choices, grid: choices["steps"],
    most_passes=128,
    adds_up=True,
)
