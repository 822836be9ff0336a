"""Tiny models, and traces whose attention is given."""

import pytest
import torch

from explorer import attention
from vit_model.config import ViTConfig
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


def _tiny(**fields) -> VisionTransformer:
    """A model small enough for a test whose attention and logits are far from uniform."""
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 3, "heads": 4, "mlp_width": 48, "classes": 5}
    model = VisionTransformer(ViTConfig(**shape | fields)).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=0.3)
    return model


def _given(attention, grid, prefix=1) -> Trace:
    """A trace whose attention is `attention` [L, H, N, N]: queries are scaled unit vectors, keys logarithms."""
    attention = torch.as_tensor(attention, dtype=torch.float32)
    layers, heads, tokens, _ = attention.shape
    queries = (torch.eye(tokens) * tokens**0.5).expand(1, heads, -1, -1)
    nothing = torch.zeros(1, heads, tokens, tokens)
    return Trace(
        logits=torch.zeros(1, 1),
        residual=(torch.zeros(1, tokens, 1),) * (layers + 1),
        queries=(queries,) * layers,
        keys=tuple(layer.log().transpose(-2, -1)[None] for layer in attention),
        values=(nothing,) * layers,
        head_outputs=(nothing,) * layers,
        grid=grid,
        prefix=prefix,
    )


@pytest.fixture
def blocks_of(monkeypatch):
    """Has attention made in blocks of at most so many weights."""

    def blocks_of(values: int) -> None:
        monkeypatch.setattr(attention, "BLOCK_VALUES", values)
        monkeypatch.setattr(attention, "BLOCK_ROWS", 1)
        monkeypatch.setattr(attention, "FUSED_VALUES", values)
        monkeypatch.setattr(attention, "HEAD_VALUES", values)

    return blocks_of


@pytest.fixture
def tiny_model():
    return _tiny


@pytest.fixture
def given_trace():
    return _given


@pytest.fixture
def random_attention():
    """(layers, heads, tokens) -> rows that sum to 1, no two entries alike."""

    def make(layers: int, heads: int, tokens: int) -> torch.Tensor:
        torch.manual_seed(0)
        return torch.softmax(2 * torch.randn(layers, heads, tokens, tokens), dim=-1)

    return make
