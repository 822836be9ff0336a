"""The whole page, served once for all of these tests."""

import io

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import app
from explorer.tabs import train
from explorer.tabs.page import build_page
from training.runs import Runs


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
    demo = build_page(local_paths=True)
    _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield url
    demo.close()


@pytest.fixture(scope="session")
def trainer(runs):
    """Address of a page with the Train tab and next to nothing beside it: it opens in a fraction of the whole page's
    time."""
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
