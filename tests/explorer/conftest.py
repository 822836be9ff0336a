"""Tiny models, traces whose attention is given, and the whole page, served once for all tests of a process."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.analysis import attention
from training.runs.runs import Runs
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


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The runs of the served page: an empty folder at first."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIT_EXPLORER_RUNS", str(folder))
        yield Runs()


@pytest.fixture(scope="session")
def served(runs):
    """Address of the page as `python app.py` serves it, on loopback."""
    import app
    from explorer.page.page import build_page

    demo = build_page(local_paths=True)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


@pytest.fixture(scope="session")
def trainer(runs):
    """Address of a page with the Train tab and next to nothing beside it: it opens in a fraction of the whole page's
    time."""
    import gradio as gr

    import app
    from explorer.tabs.train import tab as train

    with gr.Blocks(title="ViT Explorer", analytics_enabled=False, fill_width=True) as demo:
        with gr.Tabs(selected="train", elem_id="tabs") as strip:
            training = train.build(True, None)
            with gr.Tab("Elsewhere", id="elsewhere", elem_id="tab-elsewhere"):
                gr.Markdown("Nothing")
        training.wire(demo, strip)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


@pytest.fixture(scope="session")
def photograph():
    """A JPEG that looks like nothing the model knows: smooth colours and a bright disc, 300 x 200."""
    y, x = np.mgrid[:200, :300] / 200
    picture = np.stack([120 + 90 * np.sin(4 * x), 90 + 60 * np.cos(5 * y), 80 + 70 * x], axis=-1)
    picture[(x - 0.9) ** 2 + (y - 0.4) ** 2 < 0.05] = (250, 240, 90)
    data = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=92)
    return data.getvalue()
