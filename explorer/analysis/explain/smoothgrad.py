"""SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825): the gradient of one class's score, averaged over noisy copies.

    M = mean over samples of d score / d x at x + noise,      noise normal with sigma = noise * (max x - min x),

and the value of a patch is the sum of |M| over its pixels and channels: how much the score reacts there at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.analysis.explain.classes import Class, chosen_classes
from explorer.analysis.explain.explanation import Explanation, over_patches
from explorer.analysis.explain.gradients import Progress, pictures_at_once, pixel_gradients
from explorer.analysis.explain.method import Count, Method, Number
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def smoothgrad(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    noise: float = 0.15,
    samples: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """SmoothGrad of every patch: not negative, in units of the score a unit of the input.

    - `noise`: its standard deviation as a share of the input's range; the paper finds 0.1 to 0.2 best. 0 is the plain
      gradient.
    - `samples`: noisy copies, each a forward and a backward pass. `seed`: of the noise, the same on every device.

    Raises CodedError for a class that the model does not have and for gradients that are not finite.
    """
    target, against = chosen_classes(model, trace, target, against)
    pixels, total = pixels.detach(), torch.zeros_like(pixels)
    sigma, random = noise * (pixels.max() - pixels.min()), torch.Generator().manual_seed(seed)
    for chunk in torch.arange(samples).split(pictures_at_once(model, pixels.device)):
        if progress is not None:
            progress(int(chunk[0]), samples)
        normal = torch.randn(len(chunk), *pixels.shape[1:], generator=random).to(pixels)
        total += pixel_gradients(model, pixels + sigma * normal, target, against).sum(0)
    return SMOOTHGRAD.explanation(over_patches((total / samples).float().abs(), trace), target, against)


SMOOTHGRAD = Method(
    "smoothgrad",
    smoothgrad,
    (
        Number(
            "noise",
            low=0,
            high=1,
            expected="from 0 to 1, a share of the input's range",
            offered=True,
            slider=(0, 0.5, 0.01),
        ),
        Count("samples", offered=True, slider=(4, 64, 4)),
        Count("seed", low=0, high=2**32 - 1),
    ),
    gradients="own",
    passes=lambda choices, grid: choices["samples"],
    most_passes=64,
)
