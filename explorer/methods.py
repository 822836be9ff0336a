"""METHODS: name -> function(model, pixels, trace, target, **choices) -> Explanation. A new method is one line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from explorer.attention import attention_columns, attention_rows
from explorer.explanation import Explanation
from explorer.gradient_rollout import gradient_rollout
from explorer.rollout import rollout
from vit_model import Trace, VisionTransformer


def explain(
    model: VisionTransformer,
    pixels: Tensor,
    method: str = "rollout",
    target: int | None = None,
    trace: Trace | None = None,
    **choices: object,
) -> Explanation:
    """Explain one picture, `pixels` [1, C, h, w], by a method of METHODS; `trace` if the caller already has it.

    `target`: a class, None for the predicted one. ValueError, naming what is valid, for an unknown method, choice or
    class.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    function = METHODS[method]
    valid = list(inspect.signature(function).parameters)[4:]
    if unknown := sorted(set(choices) - set(valid)):
        raise ValueError(f"{method} has no choice {', '.join(unknown)}; it has {', '.join(valid)}")
    if len(pixels) != 1:
        raise ValueError(f"explain takes one picture, pixels [1, C, h, w], got {list(pixels.shape)}")
    if target is not None and not 0 <= target < model.config.classes:
        raise ValueError(f"class {target} is out of range: this model has {model.config.classes} classes, from 0")
    return function(model, pixels, trace if trace is not None else model.trace(pixels), target, **choices)


def _attention(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    layer: int = -1,
    head: int | None = None,
    query: int = 0,
    direction: str = "to",
) -> Explanation:
    """Attention of one token in one layer; `head` None for the mean of all."""
    directions = {"to": attention_rows, "by": attention_columns}
    if direction not in directions:
        raise ValueError(f"direction must be 'to' or 'by', got {direction!r}")
    if head is not None and not 0 <= head < trace.heads:
        raise ValueError(f"head {head} is out of range: this model has heads 0 to {trace.heads - 1}")
    values = directions[direction](trace, layer, query)
    return _on_grid("attention", values.mean(0) if head is None else values[head], trace)


def _rollout(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    head_fusion: str = "mean",
    discard_ratio: float = 0.0,
    start_layer: int = 0,
    query: int = 0,
    discard: str = "matrix",
    compat: str | None = None,
) -> Explanation:
    """Attention rollout; see `explorer.rollout.rollout`. With compat="vit-explain" divided by its maximum, as there."""
    row = rollout(trace, query, head_fusion, discard_ratio, discard, start_layer, compat)
    patches = row[trace.prefix :]
    return _on_grid("rollout", row / patches.max() if compat else row, trace)


def _gradient_rollout(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: int | None,
    discard_ratio: float = 0.0,
    start_layer: int = 0,
    query: int = 0,
    discard: str = "matrix",
) -> Explanation:
    """Gradient rollout; see `explorer.gradient_rollout`."""
    target = predicted_class(model, trace) if target is None else target
    row = gradient_rollout(model, pixels, target, query, discard_ratio, discard, start_layer)
    return _on_grid("gradient-rollout", row, trace, target)


METHODS: dict[str, Callable[..., Explanation]] = {
    "attention": _attention,
    "rollout": _rollout,
    "gradient-rollout": _gradient_rollout,
}


def predicted_class(model: VisionTransformer, trace: Trace) -> int:
    """The class with the largest logit; ValueError for a model without a head."""
    if not model.config.classes:
        raise ValueError("this model has no classifier, so there is no class to explain; use attention or rollout")
    return int(trace.logits[0].argmax())


def _on_grid(method: str, row: Tensor, trace: Trace, target: int | None = None, signed: bool = False) -> Explanation:
    """A row over all tokens -> the map over the patches."""
    values = row[trace.prefix :].reshape(trace.grid).detach().to("cpu", torch.float32).numpy()
    return Explanation(method, values, target, signed)
