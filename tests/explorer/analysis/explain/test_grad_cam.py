"""Grad-CAM against pytorch-grad-cam on timm's own model, and against the same arithmetic by hooks."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from explorer import explain
from vit_model import load_model

PIXELS = torch.linspace(-1, 1, 3 * 32 * 48).sin().reshape(1, 3, 32, 48) * 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """timm's model with random weights, and ours read from its file."""
    torch.manual_seed(0)
    shape = {"img_size": (32, 48), "patch_size": 8, "embed_dim": 192, "depth": 3, "num_heads": 3, "num_classes": 5}
    theirs = timm.create_model("vit_tiny_patch16_224", **shape).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)
    file = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(theirs.state_dict(), file)
    return theirs, load_model(str(file), image_size=(32, 48))


@pytest.mark.parametrize("target", range(5))
def test_parity_with_pytorch_grad_cam(pair, target):
    package = pytest.importorskip("pytorch_grad_cam", reason="grad-cam is not installed", exc_type=ImportError)
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    theirs, ours = pair

    class Raw(package.GradCAM):
        """The map before it is stretched to 0 to 1 and to the picture's size."""

        def compute_cam_per_layer(self, input_tensor, targets, eigen_smooth):
            layer = self.target_layers[0]
            activations, gradients = (each[0].cpu().data.numpy() for each in self.parts())
            cam = self.get_cam_image(input_tensor, layer, targets, activations, gradients, eigen_smooth)
            return [np.maximum(cam, 0)[:, None]]

        def parts(self):
            return self.activations_and_grads.activations, self.activations_and_grads.gradients

        def aggregate_multi_layers(self, cams):
            return cams[0][:, 0]

    def on_grid(tensor):
        return tensor[:, 1:].reshape(1, 4, 6, -1).permute(0, 3, 1, 2)

    with Raw(model=theirs, target_layers=[theirs.blocks[-1].norm1], reshape_transform=on_grid) as cam:
        expected = cam(input_tensor=PIXELS, targets=[ClassifierOutputTarget(target)])[0]
    found = explain(ours, PIXELS, "grad-cam", target).values
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5 + 1e-4 * expected.max())


def by_hooks(theirs, layer, score):
    """relu of patches' features, weighted by the spatial mean of their gradient."""
    kept = []
    hook = theirs.blocks[layer].norm1.register_forward_hook(lambda *call: kept.append(call[-1]))
    logits = theirs(PIXELS)
    hook.remove()
    gradient = torch.autograd.grad(score(logits), kept[0])[0]
    return (kept[0][0, 1:].detach() * gradient[0, 1:].mean(0)).sum(-1).relu().reshape(4, 6)


@pytest.mark.parametrize("layer", [-1, 1, 0])
def test_any_layer_and_a_contrast(pair, layer):
    theirs, ours = pair
    expected = [by_hooks(theirs, layer, lambda logits, k=k: logits[0, k] - logits[0, 4]) for k in range(4)]
    assert max(each.max() for each in expected) > 0
    for target, each in enumerate(expected):
        found = explain(ours, PIXELS, "grad-cam", target, against=4, layer=layer)
        assert (found.target, found.against, found.signed) == (target, 4, False)
        torch.testing.assert_close(found.values, each, rtol=2e-3, atol=1e-4)


def test_every_pooling_and_prefix(tiny_model):
    pixels = PIXELS[..., :32]
    for fields in (
        {"pool": "mean-patches", "class_token": False},
        {"pool": "mean-all", "registers": 2},
        {"pool": "class-distilled", "distillation_token": True},
        {"pool": "class+mean", "mlp": "swiglu", "layer_scale": 0.5},
    ):
        model = tiny_model(**fields)
        kept = []
        hook = model.blocks[-1].norm1.register_forward_hook(lambda *call, kept=kept: kept.append(call[-1]))
        logits = model(pixels.clone().requires_grad_())
        hook.remove()
        prefix = model.config.prefix
        for target in range(5):
            gradient = torch.autograd.grad(logits[0, target], kept[0], retain_graph=True)[0][0, prefix:].mean(0)
            expected = (kept[0][0, prefix:].detach() * gradient).sum(-1).relu().reshape(4, 4)
            found = explain(model, pixels, "grad-cam", target).values
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
