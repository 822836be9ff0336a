"""METHODS: name -> function(model, pixels, trace, target, **choices) -> Explanation, each a Method that knows itself.

A new method is one file with its function and its record, one line of the table, and its words in
`methods.words.json`; without words it goes by its name.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from explorer.analysis.attention import check_one_picture
from explorer.analysis.explain.attention_flow import ATTENTION, ROLLOUT
from explorer.analysis.explain.attention_gradient import ATTENTION_GRADIENT
from explorer.analysis.explain.classes import Class, class_index
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.grad_cam import GRAD_CAM
from explorer.analysis.explain.gradient_rollout import GRADIENT_ROLLOUT
from explorer.analysis.explain.gradients import Gradients, Progress, differentiated
from explorer.analysis.explain.input_gradient import INPUT_GRADIENT
from explorer.analysis.explain.integrated_gradients import INTEGRATED_GRADIENTS
from explorer.analysis.explain.legrad import LEGRAD
from explorer.analysis.explain.method import Method
from explorer.analysis.explain.occlusion import OCCLUSION
from explorer.analysis.explain.relevance import RELEVANCE
from explorer.analysis.explain.smoothgrad import SMOOTHGRAD
from vit_model.errors import CodedError, quoted
from vit_model.messages import message
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
    - `choices`: see `METHODS[method].defaults`.

    Raises ValueError, naming what is valid, for an unknown method or choice and for a value out of range; CodedError
    for an unknown class, for a model without a head where the method looks at a class, and for a map not finite.
    """
    record = method_of(method)
    record.check_names(choices)
    if target is not None and not model.config.classes and not record.needs_head:
        raise ValueError(f"this model has no head, so it has no class {target}; leave target out")
    target = None if target is None else class_index(model, target)
    if trace is None and gradients is None and record.shares_gradients and len(pixels) == 1:
        of_pixels = record.gradients == "pixels"
        trace, gradients = differentiated(model, pixels, target, choices.get("against"), of_pixels=of_pixels)
    trace = model.trace(pixels) if trace is None else trace
    check_one_picture(trace)
    given = ({"gradients": gradients} if record.shares_gradients else {}) | (
        {"progress": progress} if record.slow else {}
    )
    found = record(model, pixels, trace, target, **given, **choices)
    if not found.values.isfinite().all():
        text = (
            "the map of {method} holds NaN or infinite values; the weights may be damaged: check them with `python -m "
            "vit_model inspect`"
        )
        raise CodedError(message("map_not_finite", text, method=method))
    return found


def method_of(name: str) -> Method:
    """The record of a method. Raises ValueError, naming all, for one that there is not."""
    if name not in METHODS:
        raise ValueError(f"unknown method {quoted(name)}; the methods are {', '.join(METHODS)}")
    return METHODS[name]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        ATTENTION,
        ROLLOUT,
        GRADIENT_ROLLOUT,
        RELEVANCE,
        LEGRAD,
        GRAD_CAM,
        ATTENTION_GRADIENT,
        INPUT_GRADIENT,
        INTEGRATED_GRADIENTS,
        SMOOTHGRAD,
        OCCLUSION,
    )
}
