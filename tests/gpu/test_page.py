"""The page on the GPU: its endpoints, and each tab's numbers, are those of the CPU."""

import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed")
pytest.importorskip("plotly", reason="plotly is not installed")

from gradio_client import Client, handle_file

from explorer import METHODS, explain
from explorer.figures.export import load_npz
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.examples import example_files
from tests.explorer.page.test_other_device import TABS, forget, saved
from vit_model import load_model
from vit_model.device import SETTING
from vit_model.picture import read_picture

EXAMPLE = str(example_files()[0])


@pytest.fixture(scope="module")
def client(device, tmp_path_factory):
    import app
    from explorer.page.page import build_page

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIT_EXPLORER_RUNS", str(tmp_path_factory.mktemp("runs")))
        demo = build_page(local_paths=True)
        _, url, _ = app.launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield Client(url, verbose=False, analytics_enabled=False, download_files=str(tmp_path_factory.mktemp("client")))
        demo.close()


@pytest.fixture(scope="module")
def reference():
    """The bundled model on the CPU, and the example's pixels."""
    model = load_model("bundled")
    return model, model.preprocess(read_picture(EXAMPLE))[0]


def test_predict(client, device, reference):
    model, pixels = reference
    answer = client.predict("bundled", handle_file(EXAMPLE), "native", 3, api_name="/predict")
    assert scene_of(ModelChoice(), EXAMPLE).trace.logits.device.type == device.type, "the page runs there"
    shares = model.trace(pixels).logits[0].softmax(-1).topk(3)
    assert [each["label"] for each in answer["top"]] == [model.labels[index] for index in shares.indices.tolist()]


def test_attention(client, reference):
    model, pixels = reference
    answer = client.predict("bundled", handle_file(EXAMPLE), "native", -1, 5, "to", api_name="/attention")
    np.testing.assert_allclose(answer["heads"], model.trace(pixels).attention(-1)[0][:, 5], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("integrated-gradients", "smoothgrad")])
def test_explain(client, reference, method):
    model, pixels = reference
    answer = client.predict("bundled", handle_file(EXAMPLE), "native", method, "church", "{}", api_name="/explain")
    expected = explain(model, pixels, method, model.labels.index("church")).values.numpy()
    np.testing.assert_allclose(answer["values"], expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())


def test_faithfulness_and_positions(client):
    sent = ["bundled", handle_file(EXAMPLE), "native", "church", ["rollout", "input-gradient"], 3, "logit"]
    answer, _ = client.predict(*sent, api_name="/faithfulness")
    assert {"rollout", "input-gradient"} <= {each["method"] for each in answer["ranking"]}
    assert load_npz(client.predict("bundled", "native", "", "cosine", api_name="/positions"))[0]


@pytest.mark.parametrize("name", TABS)
def test_a_tab_against_the_cpu(monkeypatch, tmp_path, device, name):
    there, here = tmp_path / "there.npz", tmp_path / "here.npz"
    forget(monkeypatch)
    found = saved(name, there)
    forget(monkeypatch)
    monkeypatch.setenv(SETTING, "cpu")
    expected = saved(name, here)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        if values.dtype.kind == "f":
            most = float(np.nanmax(np.abs(values))) if values.size else 0.0
            np.testing.assert_allclose(found[key], values, rtol=1e-2, atol=1e-3 * most + 1e-6, err_msg=key)
