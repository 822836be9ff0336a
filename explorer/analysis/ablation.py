"""What each head, MLP and layer does for a class: switch it off and see how the logit moves.

What is switched off in layer l leaves all below it as it was, so every variant starts from the trace: `residual[l]` and
the layer's own head outputs. Naively each of the L * (H + 2) variants runs all L blocks; here a variant of layer l runs
the L - 1 - l blocks above it and, of its own, the MLP alone: little more than half of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.analysis.attention import check_one_picture
from vit_model.errors import CodedError
from vit_model.messages import message
from vit_model.model import Block, VisionTransformer
from vit_model.trace import Trace

BATCH_TOKENS = 4096
"""Tokens of all variants that run through the blocks at a time; at least one variant does."""


@dataclass(frozen=True)
class Ablation:
    """Changes when one part is off, off minus on, H heads and two columns more: the MLP, and the whole layer.

    - `logits`, `probabilities` [L, H + 2]: of class `target`, NaN where not known yet
    - `logit`, `probability`: of the class with everything on
    - `done`, `total`: block evaluations, of one picture each
    """

    target: int
    logit: float
    probability: float
    logits: Tensor
    probabilities: Tensor
    done: int
    total: int


def ablate(model: VisionTransformer, trace: Trace, target: int | None = None) -> Iterator[Ablation]:
    """Switch off each head, each MLP and each layer in turn, from the last layer down, and yield the table after every
    batch; the last one is complete. Stopping in between costs nothing: it is a generator.

    A head is off where its output does not reach the residual stream, an MLP where its branch adds nothing, a layer
    where its block returns its input; as `edits.apply_edits` does it, to the last rounding. `trace`: of one picture by
    this model. `target`: a class, None for the predicted one.

    Raises ValueError for a model without a head, a class that it does not have, and a trace of several pictures.
    """
    check_one_picture(trace)
    if not model.config.classes:
        text = "this model has no head, so there is no class to lose"
        raise CodedError(message("ablation_needs_head", text))
    target = int(trace.logits[0].argmax()) if target is None else target
    if not 0 <= target < model.config.classes:
        raise ValueError(f"target must be a class from 0 to {model.config.classes - 1}, got {target}")
    return _steps(model, trace, target)


def evaluations(layers: int, heads: int) -> int:
    """Block evaluations that `ablate` makes: a variant's own block counts as one where its MLP runs."""
    return sum((heads + 2) * (layers - 1 - layer) + heads for layer in range(layers))


def _steps(model: VisionTransformer, trace: Trace, target: int) -> Iterator[Ablation]:
    L, H = trace.layers, trace.heads
    on = trace.logits[0].float()
    logit, probability = float(on[target]), float(on.softmax(-1)[target])
    logits, probabilities = torch.full((2, L, H + 2), float("nan")).unbind(0)
    done, total, most = 0, evaluations(L, H), max(BATCH_TOKENS // trace.tokens, 1)
    for layer in reversed(range(L)):
        for first in range(0, H + 2, most):
            columns = range(first, min(first + most, H + 2))
            with torch.no_grad():
                tokens = _variants(model.blocks[layer], trace, layer, columns)
                off = model.logits_from(tokens, layer + 1).float()
            logits[layer, columns] = off[:, target].cpu() - logit
            probabilities[layer, columns] = off.softmax(-1)[:, target].cpu() - probability
            done += len(columns) * (L - 1 - layer) + sum(column < H for column in columns)
            yield Ablation(target, logit, probability, logits.clone(), probabilities.clone(), done, total)


def _variants(block: Block, trace: Trace, layer: int, columns: range) -> Tensor:
    """What leaves the block with one part off: [variants, N, D], for columns among the heads, the MLP, the layer."""
    x, outputs = trace.residual[layer], trace.head_outputs[layer]  # [1, N, D], [1, H, N, d]
    H = outputs.shape[1]
    heads = [column for column in columns if column < H]
    variants = []
    if heads:
        partial = outputs.repeat(len(heads), 1, 1, 1)
        partial[range(len(heads)), heads] = 0.0
        variants.append(block.rest(x, partial))
    if H in columns:
        variants.append(block.attended(x, outputs))
    if H + 1 in columns:
        variants.append(x)
    return torch.cat(variants)
