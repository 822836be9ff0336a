"""Matrix products in the kernel that is fastest on this CPU.

For a product in fp32 torch calls MKL, which on processors that are not Intel's runs its AVX2 kernels, also where there
is AVX-512. For a convolution it calls oneDNN, which uses all of any processor. A linear layer is a convolution whose
kernel is one pixel: on an AMD EPYC with AVX-512 that takes half the time, forward and backward; see BENCHMARKS.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEWEST_ROWS = 100
"""With fewer, arranging the weights for oneDNN takes as long as its product saves."""
FEWEST_QUERIES = 512
"""With fewer, one product for all heads is as fast as a convolution for each."""
CPUINFO = Path("/proc/cpuinfo")


def _mkl_leaves_half() -> bool:
    """Whether this is a processor with AVX-512 of another maker than Intel, and torch has both libraries."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    try:
        with CPUINFO.open(encoding="utf-8", errors="replace") as file:
            described = file.read(4096)  # the first processor
    except OSError:
        described = os.environ.get("PROCESSOR_IDENTIFIER", "GenuineIntel")  # Windows has it
    return "GenuineIntel" not in described


BY_CONVOLUTION = _mkl_leaves_half()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [..., D] weight [K, D]^T + bias [K]: [..., K], as `torch.nn.functional.linear`, and as differentiable."""
    rows = x.shape[:-1].numel()
    if rows < FEWEST_ROWS or not _by_convolution(x, weight):
        return F.linear(x, weight, bias)
    frozen = not weight.requires_grad and (bias is None or not bias.requires_grad)
    if frozen and x.requires_grad and torch.is_grad_enabled():
        return _OfFrozen.apply(x, weight, bias)
    return _from_pixels(F.conv2d(_as_pixels(x), weight[:, :, None, None], bias), x.shape)


class _OfFrozen(torch.autograd.Function):
    """The product by a weight that needs no gradient, which then need not keep x; a convolution would."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return linear(x, weight, bias)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated too
            return linear(gradient, weight.T), None, None
        shape = (*gradient.shape[:-1], weight.shape[1])
        inputs = (_as_pixels(gradient), _as_pixels(gradient.new_empty(shape)), weight[:, :, None, None])
        once = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, transposed, its padding, groups
        of_pixels = torch.ops.aten.convolution_backward(*inputs, None, *once, [True, False, False])[0]
        return _from_pixels(of_pixels, shape), None, None


def _as_pixels(x: Tensor) -> Tensor:
    """[..., D] -> a picture [1, D, rows, 1] one pixel wide, channels last."""
    return x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)


def _from_pixels(pixels: Tensor, shape: Sequence[int]) -> Tensor:
    """[1, K, rows, 1] -> [..., K], the leading axes being those of `shape`."""
    return pixels.permute(0, 2, 3, 1).reshape(*shape[:-1], pixels.shape[1])


@torch.no_grad()
def softmax_products(queries: Tensor, keys: Tensor) -> Tensor:
    """softmax(queries keys^T), without a gradient: [..., n, N] of [..., n, d], already scaled, and [..., N, d]."""
    if queries.dim() > 2 and queries.shape[-2] >= FEWEST_QUERIES and _by_convolution(queries, keys):
        weights = queries.new_empty(*queries.shape[:-1], keys.shape[-2])
        heads = (part.flatten(0, -3) for part in (queries, keys, weights))
        for q, k, rows in zip(*heads, strict=True):
            torch.softmax(linear(q, k), dim=-1, out=rows)
        return weights
    scores = linear(queries, keys) if queries.dim() == 2 else queries @ keys.transpose(-2, -1)
    return torch.softmax(scores, dim=-1, out=scores)


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def _by_convolution(x: Tensor, weight: Tensor) -> bool:
    return (
        BY_CONVOLUTION
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and torch.get_num_threads() > 1  # torch itself keeps few pictures on one thread from oneDNN
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
