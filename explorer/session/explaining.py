"""Explanations of scenes, made once for all visitors and views."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch

from explorer.analysis.explain.classes import Class, chosen_classes, class_index
from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.gradients import Progress
from explorer.analysis.explain.methods import METHODS, explain, method_of
from explorer.device import ZERO_GPU, on_gpu
from explorer.session.cache import ByteCache
from explorer.session.scenes import ModelChoice, Scene, gradients_of, on_best_device
from explorer.session.turns import TURNS
from vit_model.errors import CodedError
from vit_model.messages import message

MOST_WORK = int(os.environ.get("VIT_EXPLORER_MAX_EXPLAINING", 2_000_000))
"""Most passes times tokens of one map. Occlusion of a 37 x 37 grid, one patch at a time, is just below it."""

_EXPLANATIONS: ByteCache[Explanation] = ByteCache(32 * 2**20, 3600, lambda made: made.values.nbytes + 1000)


def explained(
    scene: Scene, method: str, target: int | None, progress: Progress | None = None, **choices: Any
) -> Explanation:
    """Explain a scene, or return the explanation made before. `target`: a class's number; None for the predicted one.

    Raises what `explain` raises, and CodedError for a map that takes more work than this host allows.
    """
    choices = choices if "against" not in choices else choices | {"against": _number(scene, choices["against"])}
    check_work(scene, method, choices)

    def make() -> Explanation:
        record = METHODS[method]
        if ZERO_GPU and record.slow:
            values, *classes = _on_zero_gpu(scene.choice, scene.pixels.numpy(), method, target, choices, scene.resizing)
            return record.explanation(torch.from_numpy(values), *classes)
        gradients = None
        if record.shares_gradients and scene.model.config.classes:
            gradients = gradients_of(scene, *chosen_classes(scene.model, scene.trace, target, choices.get("against")))
        pixels = scene.pixels.to(scene.trace.logits.device)
        with TURNS.slow(progress) as step:
            known: dict[str, Any] = {"trace": scene.trace, "gradients": gradients, "progress": step}
            return explain(scene.model, pixels, method, target, **known, **choices)

    return _EXPLANATIONS.get(_key(scene, method, target, choices), make)


def is_explained(scene: Scene, method: str, target: int | None, **choices: object) -> bool:
    """Return whether that map was made already."""
    return _key(scene, method, target, choices) in _EXPLANATIONS


def check_work(scene: Scene, method: str, choices: dict) -> None:
    """Raise ValueError for a method or choices that there are not, CodedError where a map takes more passes than this
    host gives to one."""
    record = method_of(method)
    record.check(choices, scene.trace)
    count, tokens = record.count_passes(choices, scene.trace.grid), scene.trace.tokens
    most = max(MOST_WORK // tokens, 1)
    most = most if record.most_passes is None else min(most, record.most_passes)
    if record.slow and count > most:
        text = (
            "{method} would run the model {count} times over {tokens} tokens; this host allows {most} times: choose "
            "fewer, or a lower resolution"
        )
        raise CodedError(message("too_much_explaining", text, method=method, count=count, tokens=tokens, most=most))


def _number(scene: Scene, against: Class | None) -> int | None:
    return None if against is None else class_index(scene.model, against)


def _key(scene: Scene, method: str, target: int | None, choices: dict) -> Hashable:
    return (scene.key, method, target, *sorted(choices.items()))


def _explanation(
    choice: ModelChoice, pixels: np.ndarray, method: str, target: int | None, choices: dict, resizing: tuple | None
) -> tuple:
    """Explain inside ZeroGPU's worker, where numbers go in and come out as numpy arrays."""
    model, moved = on_best_device(choice, pixels, resizing)
    found = explain(model, moved, method, target, **choices)
    return found.values.numpy(), found.target, found.against


_on_zero_gpu = on_gpu(_explanation)
