"""Input x gradient (Shrikumar et al. 2016, arXiv 1605.01713): to first order, what each patch adds to a class's score.

The value of a patch is the sum of x * d score / d x over its pixels and their channels, x being what the model gets:
pixels after its preprocessing, where 0 is the colour that is subtracted as the mean.
"""

from __future__ import annotations

from torch import Tensor

from explorer.analysis.explain.classes import Class
from explorer.analysis.explain.explanation import Explanation, over_patches
from explorer.analysis.explain.gradients import Gradients, gradients_for
from explorer.analysis.explain.method import Method
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def input_gradient(
    model: VisionTransformer,
    pixels: Tensor,
    trace: Trace,
    target: Class | None,
    *,
    against: Class | None = None,
    gradients: Gradients | None = None,
) -> Explanation:
    """Input x gradient of every patch: signed, in units of the score (logits). It is noisy, being the slope at one
    point; see integrated gradients and SmoothGrad.

    `gradients`: of these classes and with those of the pixels, where the caller has them. Raises CodedError for a class
    that the model does not have.
    """
    gradients = gradients_for(model, pixels, trace, target, against, gradients)
    if gradients.pixels is None:
        raise ValueError("these gradients were made without those of the pixels; leave `gradients` out")
    values = over_patches((pixels.detach() * gradients.pixels).float(), trace)
    return INPUT_GRADIENT.explanation(values, gradients.target, gradients.against)


INPUT_GRADIENT = Method("input-gradient", input_gradient, signed=True, gradients="pixels")
