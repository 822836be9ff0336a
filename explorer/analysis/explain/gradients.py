"""Gradients of one class's score, by one forward and one backward pass: what several methods share.

With head outputs O = A V the gradient of the attention is (d score / d O) V^T, so gradients of the head outputs
[H, N, d] stand for those of every attention matrix: attention stays fused, and memory linear in the tokens N.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.analysis.attention import rows_of_layer
from explorer.analysis.explain.classes import Class, chosen_classes, class_score
from vit_model.errors import CodedError
from vit_model.linear import linear
from vit_model.messages import Message, message
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

Progress = Callable[[int, int], None]
"""Told (done, of how many) before each batch of a long method; what it raises ends the work."""


@dataclass(frozen=True)
class Gradients:
    """d score / d activations of one picture, where score = logit[target], or logit[target] - logit[against].

    They hold no graph, so unlike a differentiable trace they can be kept.

    - `outputs`: of the head outputs, L of [1, H, N, d]
    - `pixels`: of the model's input, [1, C, h, w]; None where they were not asked for
    """

    outputs: tuple[Tensor, ...]
    pixels: Tensor | None
    target: int
    against: int | None = None

    @property
    def nbytes(self) -> int:
        tensors = (*self.outputs, *(() if self.pixels is None else (self.pixels,)))
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def class_gradients(
    model: VisionTransformer, pixels: Tensor, target: Class | None = None, against: Class | None = None
) -> Gradients:
    """`differentiated`'s gradients alone."""
    return differentiated(model, pixels, target, against)[1]


def differentiated(
    model: VisionTransformer,
    pixels: Tensor,
    target: Class | None = None,
    against: Class | None = None,
    *,
    of_pixels: bool = True,
) -> tuple[Trace, Gradients]:
    """A plain trace and its gradients, by one forward and one backward pass over pixels [1, C, h, w]; no gradient of a
    parameter is computed. A target of None is the predicted class. Without `of_pixels` the backward pass ends at the
    first layer's head outputs, and so before that layer's attention and the patch projection.

    In the last layer only the tokens that the head reads go on after attention: the trace's last `head_outputs` and
    `residual` are NaN for the others, whose gradients are zero.

    Raises CodedError for a class that the model does not have, for a model without a head, and where gradients are NaN
    or infinite.
    """
    pixels = pixels.detach().requires_grad_()
    trace = model.trace(pixels, differentiable=True, whole=False)
    target, against = chosen_classes(model, trace, target, against)
    with torch.enable_grad():  # the caller may have switched it off
        score = class_score(trace.logits[0], target, against)
    found = torch.autograd.grad(score, [*trace.head_outputs, *([pixels] if of_pixels else [])])
    check_finite(found, gradients_of(model, target))
    *outputs, last = found[: trace.layers]
    gradients = Gradients((*outputs, _padded(last, trace, 0.0)), found[-1] if of_pixels else None, target, against)
    trace = trace.detached()
    heads, states = (
        (*tensors[:-1], _padded(tensors[-1], trace, torch.nan)) for tensors in (trace.head_outputs, trace.residual)
    )
    return replace(trace, head_outputs=heads, residual=states), gradients


def _padded(tensor: Tensor, trace: Trace, value: float) -> Tensor:
    """[..., n, d] of the first n tokens -> [..., N, d]."""
    return F.pad(tensor, (0, 0, 0, trace.tokens - tensor.shape[-2]), value=value)


def gradients_for(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    against: Class | None,
    known: Gradients | None,
) -> Gradients:
    """`known` where it is given, else `class_gradients`. Raises ValueError where it is of other classes."""
    target, against = chosen_classes(model, trace, target, against)
    if known is None:
        return class_gradients(model, pixels, target, against)
    if (known.target, known.against) != (target, against):
        asked, got = (target, against), (known.target, known.against)
        raise ValueError(f"expected gradients of (target, against) {asked}, got those of {got}")
    return known


def weighted_attention(trace: Trace, gradients: Gradients, layer: int, of: int | None = None) -> Callable[..., Tensor]:
    """(n tokens, heads) -> their rows of A * d score / d A in one layer, in fresh memory: [h, n, N], by default of all
    heads, or [n, N] of a single one. `of`: another layer whose d score / d A it is."""
    of = layer if of is None else of
    attention, outputs = rows_of_layer(trace, layer), gradients.outputs[of][0]
    values = trace.values[of][0].contiguous()

    def rows(tokens: slice | Tensor, heads: slice | int = slice(None)) -> Tensor:
        gradient, value = outputs[heads, tokens], values[heads]
        product = linear(gradient, value) if value.dim() == 2 else gradient @ value.transpose(-2, -1)
        return product.mul_(attention(tokens, heads)).float()

    return rows


def pixel_gradients(model: VisionTransformer, pixels: Tensor, target: int, against: int | None) -> Tensor:
    """d score / d pixels of every picture in a batch [B, C, h, w], by one forward and one backward pass."""
    with torch.enable_grad():
        pixels = pixels.detach().requires_grad_()
        score = class_score(model.logits_from(model.embed(pixels)), target, against).sum()
        gradient = torch.autograd.grad(score, pixels)[0]
    check_finite((gradient,), gradients_of(model, target))
    return gradient


def pictures_at_once(model: VisionTransformer, device: torch.device) -> int:
    """How many pictures a batch of forward and backward passes takes. On a CPU at most 2,400 tokens, and 800 of B/16,
    which is about a second on two cores: only between batches can the work be ended, and others take their turn. It
    bounds memory too: measured, activations take 56 bytes for each token, layer and channel."""
    config = model.config
    if device.type == "cuda":
        return max(16384 // config.tokens, 1)
    tokens = min(2400, 800 * 9216 // (config.depth * config.width))
    return max(tokens // config.tokens, 1)


def check_finite(tensors: tuple[Tensor, ...], what: Message) -> None:
    if not all(tensor.isfinite().all() for tensor in tensors):
        text = (
            "{what} are NaN or infinite; the weights may be damaged, or too large for {type}: check them with `python "
            "-m vit_model inspect`, or use a method without gradients, such as rollout"
        )
        raise CodedError(message("gradients_not_finite", text, what=what, type=tensors[0].dtype))


def gradients_of(model: VisionTransformer, target: int, layer: int | None = None) -> Message:
    """What `check_finite` calls the gradients of a class, in one layer or all."""
    details = {"target": target, "label": model.labels[target]}
    if layer is None:
        return message("gradients_named", "the gradients of class {target} ({label})", **details)
    return message(
        "gradients_in_layer", "the gradients of class {target} ({label}) in layer {layer}", layer=layer, **details
    )
