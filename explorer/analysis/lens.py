"""The logit lens: what the model would predict if it stopped after each layer, and what every patch says by itself.

Nostalgebraist's logit lens (2020, "interpreting GPT: the logit lens") for a ViT: a state of the residual stream is read
by the model's own final norm and head, which were trained to read the last one only. That early layers read badly says
that they are not yet written for the head, not that they know nothing.

What is read depends on the pool: the class token's state (`class`), the class and the distillation token's by their own
heads, averaged (`class-distilled`), the class token's beside the mean patch (`class+mean`), or the mean of the tokens
(`mean-patches`, `mean-all`); pre-logits stand between as they do in the model. The norm is `model.norm` in each case.
State l enters layer l; the last, L, is what the model predicts from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from explorer.analysis.attention import check_one_picture
from vit_model.errors import CodedError
from vit_model.messages import message
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

BLOCK_VALUES = 2**22
"""Numbers held at a time while patches are read, logits or tokens: 16 MiB in float32."""


class PatchReading(NamedTuple):
    """What each token of one state says by itself: `classes` [N], the most probable class, `probabilities` [N], its
    softmax probability, and `of_target` [N], the probability of a class that was asked for, else None."""

    classes: Tensor
    probabilities: Tensor
    of_target: Tensor | None


class TopClasses(NamedTuple):
    """The most probable classes of each state, [L+1, count] each, the most probable first."""

    classes: Tensor
    probabilities: Tensor


@torch.no_grad()
def layer_logits(model: VisionTransformer, trace: Trace) -> Tensor:
    """The logits of every state, [L+1, K]; the last row is `trace.logits`, bit for bit.

    Raises ValueError for a model without a head and for a trace of several pictures.
    """
    check_readable(model, trace)
    return torch.cat([model.classify(state) for state in trace.residual])


def top_by_layer(model: VisionTransformer, trace: Trace, count: int = 5) -> TopClasses:
    """The `count` (or K) most probable classes of every state. Raises as `layer_logits`, and for a count below 1."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    probabilities = layer_logits(model, trace).float().softmax(-1)
    values, classes = probabilities.topk(min(count, probabilities.shape[1]))
    return TopClasses(classes, values)


@torch.no_grad()
def read_tokens(model: VisionTransformer, trace: Trace, state: int, target: int | None = None) -> PatchReading:
    """Every token of one state read as if the model had nothing else: the token stands wherever the pool looks (for
    the class token, for the mean of the patches, or for both). State from 0 to L, negative from the end.

    The class token's entry equals `layer_logits` where the pool is `class`. All N x K logits never exist at once.
    Raises ValueError for a state or target out of range, and as `layer_logits`.
    """
    check_readable(model, trace)
    states = len(trace.residual)
    if not -states <= state < states:
        raise ValueError(f"state must be from 0 to {states - 1}, or negative to count from the last; got {state}")
    if target is not None and not 0 <= target < model.config.classes:
        raise ValueError(f"target must be a class from 0 to {model.config.classes - 1}, got {target}")
    parts = []
    for tokens in _blocks(model, trace.residual[state][0]):
        alone = tokens[:, None].expand(-1, model.config.prefix + 1, -1)  # [n, prefix + 1, D]: it is all tokens
        probabilities = model.classify(alone).float().softmax(-1)
        best = probabilities.max(-1)
        parts.append((best.indices, best.values, probabilities[:, 0 if target is None else target].clone()))
    classes, most, of_target = (torch.cat(part) for part in zip(*parts, strict=True))
    return PatchReading(classes, most, None if target is None else of_target)


def check_readable(model: VisionTransformer, trace: Trace) -> None:
    if not model.config.classes:
        text = "this model has no head to read its layers with; token colours, similarity and norms need none"
        raise CodedError(message("lens_needs_head", text))
    check_one_picture(trace)


def _blocks(model: VisionTransformer, tokens: Tensor) -> Iterator[Tensor]:
    """[N, D] in runs that need at most BLOCK_VALUES numbers, whichever is more of tokens and logits."""
    each = max(model.config.classes, (model.config.prefix + 1) * model.config.width)
    yield from tokens.split(max(BLOCK_VALUES // each, 1))
