"""The oracle of methods that need gradients of attention: autograd through a stored attention, softmax and all."""

import pytest
import torch
import torch.nn.functional as F


def stored_attention(model, pixels):
    """(logits [1, K], attention of every layer [1, H, N, N]), all with their graph."""
    stored = []

    def attention(q, k, v, dropout_p=0.0):
        stored.append(torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1))
        return stored[-1] @ v

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", attention)
        logits = model(pixels.clone().requires_grad_())
    return logits, stored


def explicit(model, pixels, target, against=None):
    """Attention and its gradient of every layer, [H, N, N] each, for one class's logit or the difference of two."""
    logits, stored = stored_attention(model, pixels)
    score = logits[0, target] if against is None else logits[0, target] - logits[0, against]
    gradients = torch.autograd.grad(score, stored)
    return [weights[0].detach() for weights in stored], [gradient[0] for gradient in gradients]
