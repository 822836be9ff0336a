"""LeGrad (Bousselham et al. 2024, "LeGrad: An Explainability Method for Vision Transformers via Feature Formation
Sensitivity", arXiv 2404.03214).

After each layer l the residual stream Z_l is read as if it were the last: s_l = the class's score of the pooled Z_l
through the final norm and the head. Then

    map = mean over layers l, heads h and queries i of relu(d s_l / d A_l)[h, i, prefix:].

s_l depends on A_l through the rest of block l alone, so no gradient crosses a layer. A plain trace holds what that
takes (the block's input and its head outputs O_l): only the tokens that the head reads are run through projection and
MLP again, and d s_l / d A_l = (d s_l / d O_l) V_l^T.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from explorer.analysis.attention import check_layer, token_blocks
from explorer.analysis.explain.classes import Class, chosen_classes, class_score
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.gradients import check_finite, gradients_of
from explorer.analysis.explain.method import Layer, Method, OneOf
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def legrad(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    start_layer: int = 0,
    pooling: str = "head",
) -> Explanation:
    """To which patches attention should turn so that class `target` shows more in each layer: not negative.

    - `start_layer`: the first layer that takes part.
    - `pooling`: how Z_l is pooled: "head" as this model's head reads it (the class token, or the mean of what it
      pools); "mean" as the authors' code does for CLIP, the mean of all tokens, which the final norm then gets.

    Raises CodedError for a class that the model does not have and for gradients that are not finite.
    """
    target, against = chosen_classes(model, trace, target, against)
    layers = range(check_layer(trace, start_layer), trace.layers)
    of_layers = (_of_layer(model, trace, layer, target, against, pooling) for layer in layers)
    row = reduce(torch.add, of_layers) / len(layers)
    return LEGRAD.explanation(on_grid(row, trace), target, against)


def _of_layer(
    model: VisionTransformer, trace: Trace, layer: int, target: int, against: int | None, pooling: str
) -> Tensor:
    """mean over heads and queries of relu(d s_l / d A_l), [N]."""
    read = slice(0, model.config.tokens_read if pooling == "head" else None)
    with torch.enable_grad():
        outputs = trace.head_outputs[layer][:, :, read].detach().requires_grad_()
        state = model.blocks[layer].rest(trace.residual[layer][:, read].detach(), outputs)
        if pooling == "mean":  # the head reads a picture whose tokens are all the mean
            state = state.mean(1, keepdim=True).expand(-1, model.config.prefix + 1, -1)
        score = class_score(model.classify(state)[0], target, against)
        gradient = torch.autograd.grad(score, outputs)[0][0]  # [H, n, d]
    check_finite((gradient,), gradients_of(model, target, layer))
    values = trace.values[layer][0].detach().transpose(-2, -1)
    rows = (gradient[:, tokens] @ values for tokens in token_blocks(trace) if tokens.start < gradient.shape[1])
    return reduce(torch.add, (block.float().relu_().mean(0).sum(0) for block in rows)) / trace.tokens


LEGRAD = Method(
    "legrad",
    legrad,
    (Layer("start_layer", lowest=0, offered=True), OneOf("pooling", options=("head", "mean"), offered=True)),
    gradients="own",
)
