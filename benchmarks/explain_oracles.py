"""Other implementations of the methods: captum, pytorch-grad-cam, and papers' arithmetic through a stored attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from torch import Tensor, nn

from benchmarks.peers import timm_model
from vit_model import ViTConfig

Oracle = Callable[..., object]
"""(pixels, target, **choices) -> the method's map, in whatever form the oracle gives it."""

AT_ONCE = 8  # pictures in a batch of captum's, which leaves the number to its caller


def captums(model: nn.Module) -> dict[str, Oracle]:
    """By captum, over our model: with the same forward pass under it, only the method differs."""

    def input_gradient(pixels: Tensor, target: int) -> Tensor:
        return InputXGradient(model).attribute(pixels.detach().requires_grad_(), target=target)

    def integrated(pixels: Tensor, target: int, steps: int) -> Tensor:
        explainer = IntegratedGradients(model)
        return explainer.attribute(pixels.detach(), target=target, n_steps=steps, internal_batch_size=AT_ONCE)

    def smoothed(pixels: Tensor, target: int, samples: int) -> Tensor:
        explainer = NoiseTunnel(Saliency(model))
        noise = {"nt_samples": samples, "nt_samples_batch_size": min(samples, AT_ONCE), "stdevs": 0.15}
        return explainer.attribute(pixels.detach(), target=target, abs=False, **noise)

    def occluded(pixels: Tensor, target: int) -> Tensor:
        window = (pixels.shape[1], *model.config.patch_size)
        with torch.no_grad():
            return Occlusion(model).attribute(
                pixels, window, strides=window, target=target, perturbations_per_eval=AT_ONCE
            )

    return {
        "input-gradient": input_gradient,
        "integrated-gradients": integrated,
        "smoothgrad": smoothed,
        "occlusion": occluded,
    }


def grad_cams(config: ViTConfig, device: torch.device | str = "cpu") -> dict[str, Oracle]:
    """Grad-CAM by pytorch-grad-cam over timm's model; nothing where that package is missing."""
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return {}
    model = timm_model(config).eval().requires_grad_(False).to(device)

    def on_grid(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].reshape(len(tokens), *config.grid, -1).permute(0, 3, 1, 2)

    def grad_cam(pixels: Tensor, target: int) -> object:
        with GradCAM(model=model, target_layers=[model.blocks[-1].norm1], reshape_transform=on_grid) as cam:
            return cam(input_tensor=pixels.detach().requires_grad_(), targets=[ClassifierOutputTarget(target)])

    return {"grad-cam": grad_cam}


def with_stored_attention(config: ViTConfig, device: torch.device | str = "cpu") -> dict[str, Oracle]:
    """Generic relevance and LeGrad as their authors write them, over timm's model with its attention stored: matrices
    [N, N] of every head and layer, their gradients by autograd, and for relevance a product of matrices a layer."""
    model = timm_model(config).eval().requires_grad_(False).to(device)
    stored: list[Tensor] = []
    states: list[Tensor] = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *call: stored.append(call[-1]))
        block.register_forward_hook(lambda *call: states.append(call[-1]))

    def forward(pixels: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        stored.clear()
        states.clear()
        logits = model(pixels.detach().requires_grad_())
        found = logits, list(stored), list(states)
        stored.clear()
        states.clear()
        return found

    def relevance(pixels: Tensor, target: int) -> Tensor:
        logits, attention, _ = forward(pixels)
        gradients = torch.autograd.grad(logits[0, target], attention)
        result = torch.eye(attention[0].shape[-1], device=pixels.device)
        with torch.no_grad():
            for weights, gradient in zip(attention, gradients, strict=True):
                result = result + (gradient * weights).clamp(min=0).mean(dim=1)[0] @ result
        return result[0, 1:]

    def legrad(pixels: Tensor, target: int) -> Tensor:
        _, attention, layers = forward(pixels)
        total = torch.zeros(attention[0].shape[-1], device=pixels.device)
        for weights, state in zip(attention, layers, strict=True):
            score = model.forward_head(model.norm(state))[0, target]
            gradient = torch.autograd.grad(score, weights, retain_graph=True)[0]
            total += gradient.clamp(min=0).mean(dim=(1, 2))[0]
        return total[1:] / len(layers)

    return {"relevance": relevance, "legrad": legrad}
