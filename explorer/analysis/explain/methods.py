"""METHODS: name -> function(model, pixels, trace, target, **choices) -> Explanation.

A new method is one function and one line of the table; its keyword-only parameters are its choices, but for
`gradients` and `progress`, which a caller may hand to all methods and which change no result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Integral
from typing import Any

from torch import Tensor

from explorer.analysis.attention import attention_columns, attention_rows, check_one_picture
from explorer.analysis.explain.attention_gradient import attention_gradient
from explorer.analysis.explain.classes import Class, class_index
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.grad_cam import grad_cam
from explorer.analysis.explain.gradient_rollout import gradient_rollout
from explorer.analysis.explain.gradients import Gradients, Progress, differentiated
from explorer.analysis.explain.input_gradient import input_gradient
from explorer.analysis.explain.integrated_gradients import integrated_gradients
from explorer.analysis.explain.legrad import legrad
from explorer.analysis.explain.occlusion import occlusion
from explorer.analysis.explain.relevance import relevance
from explorer.analysis.explain.smoothgrad import smoothgrad
from explorer.analysis.rollout import rollout
from vit_model.errors import CodedError, quoted
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def explain(
    model: VisionTransformer,
    pixels: Tensor,
    method: str = "rollout",
    target: Class | None = None,
    *,
    trace: Trace | None = None,
    gradients: Gradients | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Explanation:
    """Explain what `model` makes of one picture, pixels [1, C, h, w], by a method of METHODS.

    - `target`: a class's number or label, None for the predicted one; methods that look at no class leave it aside and
      return None there. Those that look at one have the choice `against`: why `target` and not that class.
    - `trace`, `gradients` (`class_gradients` of the same classes): where the caller has them already.
    - `progress`: told (done, of how many) by methods of many passes; what it raises ends the work.
    - `choices`: see `choices_of(method)`.

    Raises ValueError, naming what is valid, for an unknown method or choice and for a value out of range; CodedError
    for an unknown class, for a model without a head where the method looks at a class, and for a map not finite.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {quoted(method)}; the methods are {', '.join(METHODS)}")
    valid = choices_of(method)
    if unknown := [name for name in choices if name not in valid]:
        raise ValueError(f"{method} has no choice {', '.join(unknown)}; its choices are {', '.join(valid)}")
    if target is not None and not model.config.classes and not looks_at_a_class(method):
        raise ValueError(f"this model has no head, so it has no class {target}; leave target out")
    target = None if target is None else class_index(model, target)
    if trace is None and gradients is None and uses_gradients(method) and len(pixels) == 1:
        of_pixels = method == "input-gradient"  # the others look at head outputs alone
        trace, gradients = differentiated(model, pixels, target, choices.get("against"), of_pixels=of_pixels)
    trace = model.trace(pixels) if trace is None else trace
    check_one_picture(trace)
    given = {"gradients": gradients, "progress": progress}
    taken = {name: value for name, value in given.items() if name in _keywords(method)}
    found = METHODS[method](model, pixels, trace, target, **taken, **choices)
    if not found.values.isfinite().all():
        message = (
            f"the map of {method} holds NaN or infinite values; the weights may be damaged: check them with "
            "`python -m vit_model inspect`"
        )
        raise CodedError(message, "map_not_finite", method=method)
    return found


def choices_of(method: str) -> dict[str, object]:
    """The choices of a method and their defaults."""
    return {name: default for name, default in _keywords(method).items() if name not in ("gradients", "progress")}


def looks_at_a_class(method: str) -> bool:
    """Whether a method explains one class, and so needs a model with a head."""
    return "against" in _keywords(method)


def uses_gradients(method: str) -> bool:
    """Whether a method works from `class_gradients`, which then can be handed to it."""
    return "gradients" in _keywords(method)


def _keywords(method: str) -> dict[str, object]:
    parameters = inspect.signature(METHODS[method]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


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
        raise ValueError(f"direction must be 'to' or 'by', got {quoted(direction)}")
    if head is not None and (not isinstance(head, Integral) or not 0 <= head < trace.heads):
        raise ValueError(
            f"head must be from 0 to {trace.heads - 1}, or left out for the mean of all; got {quoted(head)}"
        )
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
    values = on_grid(row, trace)
    return Explanation("rollout", values if compat is None else values / values.max())


METHODS: dict[str, Callable[..., Explanation]] = {
    "attention": _attention,
    "rollout": _rollout,
    "gradient-rollout": gradient_rollout,
    "relevance": relevance,
    "legrad": legrad,
    "grad-cam": grad_cam,
    "attention-gradient": attention_gradient,
    "input-gradient": input_gradient,
    "integrated-gradients": integrated_gradients,
    "smoothgrad": smoothgrad,
    "occlusion": occlusion,
}
