"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) for a ViT, as pytorch-grad-cam does it.

With the patch tokens a_p [D] after the first LayerNorm of a block (the last one, `blocks[-1].norm1`),

    w = mean over patches p of d score / d a_p [D],        map[p] = relu(w . a_p).

Later layers are no target: with a class-token head the patches after the last block have no gradient at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.analysis.attention import check_layer
from explorer.analysis.explain.classes import Class, chosen_classes, class_score
from explorer.analysis.explain.explanation import Explanation, on_grid
from explorer.analysis.explain.gradients import check_finite, gradients_of
from explorer.analysis.explain.method import Layer, Method
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def grad_cam(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    layer: int = -1,
) -> Explanation:
    """Patches whose features before the attention of block `layer` point the way that raises the score: not negative.

    The trace holds that block's input, so only the blocks from there on are run again, forward and backward.

    Raises CodedError for a class that the model does not have and for gradients that are not finite.
    """
    target, against = chosen_classes(model, trace, target, against)
    layer = check_layer(trace, layer)
    x, records = trace.residual[layer].detach(), []
    with torch.enable_grad():
        logits = model.logits_from(x.requires_grad_(), layer, records=records)
        score = class_score(logits[0], target, against)
        parts = torch.autograd.grad(score, [records[0].queries, records[0].keys, records[0].values])
    check_finite(parts, gradients_of(model, target, layer))
    with torch.no_grad():
        block = model.blocks[layer]
        of_qkv = torch.cat([part.transpose(1, 2).flatten(2) for part in parts], dim=-1)  # [1, N, 3 D]
        features, gradient = block.norm1(trace.residual[layer])[0], (of_qkv @ block.attention.qkv.weight)[0]
        cam = (features * gradient[trace.prefix :].mean(0)).sum(-1).relu()
    return GRAD_CAM.explanation(on_grid(cam, trace), target, against)


GRAD_CAM = Method("grad-cam", grad_cam, (Layer("layer", offered=True),), gradients="own")
