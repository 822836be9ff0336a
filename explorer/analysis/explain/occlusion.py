"""Occlusion by leaving out tokens: how much one class's score falls without each patch.

Zeiler & Fergus (2014, arXiv 1311.2901) cover a window with grey and so show the model a picture of another kind, with
an edge where there was none. A ViT can do without a patch (Naseer et al. 2021, arXiv 2105.10497): its token is left
out, the others keep their positions, and nothing takes its place. The value of a patch is

    mean over the windows w that hold it of score(all patches) - score(all but w).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from explorer.analysis.explain.classes import Class, chosen_classes, class_score
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.gradients import Progress, check_finite
from explorer.analysis.explain.method import Count, Method, OneOf
from vit_model.messages import message
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

TOKENS_AT_ONCE = {"cpu": 8192, "cuda": 65536}  # 100 MB of MLP for B/16 on a CPU, where larger batches save no time
WORK_AT_ONCE = 2048 * 12 * 768  # tokens times depth times width on a CPU: about a second of B/16 on two cores


@torch.no_grad()
def occlusion(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    window: int = 1,
    unit: str = "logit",
    progress: Progress | None = None,
) -> Explanation:
    """What the score loses without each patch: signed, negative where the picture speaks better without it.

    - `window`: height and width in patches of what is left out at a time; it stands at every place of the grid, which
      takes as many forward passes, in batches.
    - `unit`: "logit", or "probability" after the softmax.

    Raises CodedError for a class that the model does not have.
    """
    (gh, gw), device = trace.grid, trace.logits.device
    target, against = chosen_classes(model, trace, target, against)

    def scores(logits: Tensor) -> Tensor:
        logits = logits.float()
        return class_score(logits.softmax(-1) if unit == "probability" else logits, target, against)

    whole, tokens = scores(trace.logits)[0], trace.residual[0][0]  # [N, D]
    windows = _windows(gh, gw, window).to(device)  # [places, gh * gw], True inside
    falls, done = torch.empty(len(windows), device=device), 0
    at_once = TOKENS_AT_ONCE.get(device.type, 8192)
    if device.type == "cpu":
        at_once = min(at_once, WORK_AT_ONCE // (model.config.depth * model.config.width))
    for inside in windows.split(max(at_once // trace.tokens, 1)):
        if progress is not None:
            progress(done, len(windows))
        kept = torch.nn.functional.pad(~inside, (trace.prefix, 0), value=True).nonzero()[:, 1].view(len(inside), -1)
        falls[done : done + len(inside)] = whole - scores(model.logits_from(tokens[kept]))
        done += len(inside)
    check_finite((falls,), message("scores_named", "the scores without a patch"))
    share = windows.float()
    values = (falls @ share) / share.sum(0)
    return OCCLUSION.explanation(values.reshape(gh, gw), target, against)


def _windows(gh: int, gw: int, size: int) -> Tensor:
    """Every place of a window on the grid: [places, gh * gw], True inside it."""
    rows, columns = torch.arange(gh)[:, None], torch.arange(gw)
    corners = [(y, x) for y in range(gh - size + 1) for x in range(gw - size + 1)]
    inside = [(rows >= y) & (rows < y + size) & (columns >= x) & (columns < x + size) for y, x in corners]
    return torch.stack(inside).flatten(1)


def _places(choices: Mapping[str, Any], grid: tuple[int, int]) -> int:
    return max(grid[0] - choices["window"] + 1, 1) * max(grid[1] - choices["window"] + 1, 1)


OCCLUSION = Method(
    "occlusion",
    occlusion,
    (
        Count("window", high=lambda trace: max(min(trace.grid) - 1, 1), offered=True, slider=(1, 6, 1)),
        OneOf("unit", options=("logit", "probability"), offered=True),
    ),
    signed=True,
    passes=_places,
)
