"""METHODS: name -> function(model, pixels, trace, target, **choices) -> Explanation.

A new method is one function and one line of the table; its keyword-only parameters are its choices.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Integral

from torch import Tensor

from explorer.attention import attention_columns, attention_rows, check_one_picture
from explorer.explanation import Explanation
from explorer.gradient_rollout import gradient_rollout
from explorer.rollout import rollout
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def explain(
    model: VisionTransformer,
    pixels: Tensor,
    method: str = "rollout",
    target: int | None = None,
    *,
    trace: Trace | None = None,
    **choices: object,
) -> Explanation:
    """Explain what `model` makes of one picture, pixels [1, C, h, w], by a method of METHODS.

    `target`: a class, None for the predicted one; methods that look at no class leave it aside and return None there.
    `trace`: of these pixels, where the caller has it already. `choices`: see `choices_of(method)`.

    Raises ValueError, naming what is valid, for an unknown method or choice and for a value out of range.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; the methods are {', '.join(METHODS)}")
    valid = choices_of(method)
    if unknown := [name for name in choices if name not in valid]:
        raise ValueError(f"{method} has no choice {', '.join(unknown)}; its choices are {', '.join(valid)}")
    if target is not None and not model.config.classes:
        raise ValueError(f"this model has no head, so it has no class {target}; leave target out")
    if target is not None and not 0 <= target < model.config.classes:
        raise ValueError(f"target must be a class from 0 to {model.config.classes - 1}, got {target}")
    trace = model.trace(pixels) if trace is None else trace
    check_one_picture(trace)
    return METHODS[method](model, pixels, trace, target, **choices)


def choices_of(method: str) -> dict[str, object]:
    """The choices of a method and their defaults."""
    parameters = inspect.signature(METHODS[method]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def predicted_class(model: VisionTransformer, trace: Trace) -> int:
    """The class with the largest logit. Raises ValueError for a model without a head."""
    if not model.config.classes:
        raise ValueError("this model has no head, so it predicts no class; use 'attention' or 'rollout'")
    return int(trace.logits[0].argmax())


def _attention(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    *,
    layer: int = -1,
    head: int | None = None,
    query: int = 0,
    direction: str = "to",
) -> Explanation:
    """What `query` attends "to", or is attended "by", in one layer and head (None: the mean of all heads)."""
    directions = {"to": attention_rows, "by": attention_columns}
    if direction not in tuple(directions):
        raise ValueError(f"direction must be 'to' or 'by', got {direction!r}")
    if head is not None and (not isinstance(head, Integral) or not 0 <= head < trace.heads):
        raise ValueError(f"head must be from 0 to {trace.heads - 1}, or None for the mean of all; got {head}")
    heads = directions[direction](trace, layer, query)
    return Explanation("attention", on_grid(heads.mean(0) if head is None else heads[head], trace))


def _rollout(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    *,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    query: int = 0,
    compat: str | None = None,
) -> Explanation:
    """`rollout`'s row on the grid; with `compat="vit-explain"` divided by its maximum, as that tool returns it."""
    row = rollout(
        trace,
        query,
        head_fusion,
        discard_ratio=discard_ratio,
        discard=discard,
        start_layer=start_layer,
        compat=compat,
    )
    return Explanation("rollout", _as_returned(on_grid(row, trace), compat))


def _gradient_rollout(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    *,
    discard_ratio: float = 0.0,
    discard: str = "matrix",
    start_layer: int = 0,
    query: int = 0,
    compat: str | None = None,
) -> Explanation:
    """`gradient_rollout`'s row on the grid; with `compat="vit-explain"` divided by its maximum."""
    target = predicted_class(model, trace) if target is None else target
    row = gradient_rollout(
        model,
        pixels,
        target,
        query,
        discard_ratio=discard_ratio,
        discard=discard,
        start_layer=start_layer,
        compat=compat,
    )
    return Explanation("gradient-rollout", _as_returned(on_grid(row, trace), compat), target)


METHODS: dict[str, Callable[..., Explanation]] = {
    "attention": _attention,
    "rollout": _rollout,
    "gradient-rollout": _gradient_rollout,
}


def on_grid(row: Tensor, trace: Trace) -> Tensor:
    """Values of all tokens [N] -> those of the patches [gh, gw]."""
    return row[trace.prefix :].reshape(trace.grid)


def _as_returned(values: Tensor, compat: str | None) -> Tensor:
    return values if compat is None else values / values.max()
