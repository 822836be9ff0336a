"""The named endpoints, called by gradio_client as a stranger would call them."""

import threading
import time

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from explorer.analysis.faithfulness.leaderboard import leaderboard
from explorer.figures.export import load_npz
from explorer.page import endpoints as api
from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.events.progress import StoppedError
from explorer.ui.examples import example_files


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    return Client(served, verbose=False, analytics_enabled=False, download_files=str(tmp_path_factory.mktemp("client")))


@pytest.fixture(scope="module")
def example():
    return str(example_files()[0])


def test_the_endpoints_and_no_others_are_named(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    explore = {"/predict", "/attention", "/explain", "/faithfulness", "/positions"}
    train = {"/start_run", "/run_status", "/stop_run"}
    assert set(named) == explore | train


def test_predict(client, example):
    answer = client.predict("bundled", handle_file(example), "native", 3, api_name="/predict")
    scene = scene_of(ModelChoice(), example)
    assert [entry["label"] for entry in answer["top"]] == [label for label, _ in scene.top(3)]
    assert answer["grid"] == [12, 12]
    assert answer["checksum"] == scene.model.origin.checksum


@pytest.mark.parametrize("direction", ["to", "by"])
def test_attention(client, example, direction):
    answer = client.predict("bundled", handle_file(example), "native", -1, 5, direction, api_name="/attention")
    whole = scene_of(ModelChoice(), example).trace.attention(-1)[0]
    expected = whole[:, 5] if direction == "to" else whole[:, :, 5]
    np.testing.assert_allclose(answer["heads"], expected.numpy(), rtol=1e-4, atol=1e-7)


def test_explain_holds_one_class_against_another(client, example):
    sent = ["bundled", handle_file(example), "native"]
    found = client.predict(*sent, "input-gradient", "church", "{}", "gas_pump", api_name="/explain")
    turned = client.predict(*sent, "input-gradient", "gas_pump", '{"against": "church"}', api_name="/explain")
    assert (found["target"], found["against"], found["signed"]) == (turned["against"], turned["target"], True)
    np.testing.assert_allclose(found["values"], -np.array(turned["values"]), rtol=1e-4, atol=1e-6)


def test_explain_takes_choices_and_labels(client, example):
    plain = client.predict("bundled", handle_file(example), "native", "rollout", "", "{}", api_name="/explain")
    chosen = '{"head_fusion": "max", "discard_ratio": 0.9}'
    other = client.predict("bundled", handle_file(example), "native", "rollout", "", chosen, api_name="/explain")
    assert np.shape(plain["values"]) == (12, 12)
    assert plain["values"] != other["values"]
    by_label = client.predict(
        "bundled", handle_file(example), "native", "gradient-rollout", "church", "{}", api_name="/explain"
    )
    assert by_label["target"] == 2


def test_faithfulness_ranks_methods_beside_two_baselines_and_gives_the_curves(client, example):
    sent = ["bundled", handle_file(example), "native", "church", ["rollout", "input-gradient"], 3, "logit"]
    answer, path = client.predict(*sent, api_name="/faithfulness")
    scene = scene_of(ModelChoice(), example)
    *_, board = leaderboard(
        scene.model, scene.pixels, 2, trace=scene.trace, methods=["rollout", "input-gradient"], steps=3, value="logit"
    )
    assert [entry["method"] for entry in answer["ranking"]] == [board.curves.names[row] for row in board.ranking]
    assert {entry["method"] for entry in answer["ranking"] if entry["baseline"]} == {"random", "sobel"}
    for entry in answer["ranking"]:
        row = board.curves.names.index(entry["method"])
        for kind, areas in board.curves.areas.items():
            assert entry[kind] == pytest.approx(areas[row], rel=1e-4, abs=1e-5), (entry["method"], kind)
    assert (answer["target"], answer["label"], answer["refused"]) == (2, "church", {})
    arrays, manifest = load_npz(path)
    np.testing.assert_allclose(arrays["positive"], board.curves.positive, rtol=1e-4, atol=1e-5)
    assert arrays["map_rollout"].shape == (12, 12)
    assert manifest["choices"]["complete"] is True
    assert (manifest["model"], manifest["picture_sha256"]) == ("bundled", scene.picture_hash)
    again, _ = client.predict(*sent, api_name="/faithfulness")
    assert again == answer, "known by now"


def test_faithfulness_tells_how_far_it_is_and_can_be_cancelled(client, example, monkeypatch):
    stopped = threading.Event()

    def slow(asked, progress):
        try:
            while True:  # until it is stopped
                time.sleep(0.05)
                progress(0, 1)
        except StoppedError:
            stopped.set()
            raise

    monkeypatch.setattr(api, "measure", slow)
    sent = ["bundled", handle_file(example), "native", "gas_pump", ["rollout"], 3, "logit"]
    job = client.submit(*sent, api_name="/faithfulness")
    while not job.outputs():
        assert not job.done()
        time.sleep(0.1)
    assert job.outputs()[0][0] == {"done": 0.0}
    job.cancel()
    assert stopped.wait(120), "the work ends, too"


def test_positions(client):
    path = client.predict("bundled", "64x128", "bilinear", "cosine", api_name="/positions")
    arrays, manifest = load_npz(path)
    assert arrays["similarity"].shape == (8, 16, 8, 16)
    assert manifest["choices"] == {"view": "positions", "kind": "cosine", "interpolation": "bilinear"}


@pytest.mark.parametrize(
    ("endpoint", "arguments", "words"),
    [
        ("/predict", ["../../nowhere/passwd", "PICTURE", "native", 5], "Hub id .*got '../../nowhere/passwd'$"),
        ("/positions", ["../x", "native", "", "cosine"], "a Hub id such as .*got '../x'$"),
        ("/predict", ["bundled", "PICTURE", "97", 5], "multiple of the patch size"),
        ("/predict", ["bundled", "PICTURE", "9999x9999", 5], "patches"),
        ("/predict", ["bundled", "PICTURE", "native", -3], "top must be"),
        ("/predict", ["bundled", "PICTURE", "native", 1e300], "top must be"),
        ("/predict", ["bundled", None, "native", 5], "send a picture"),
        ("/attention", ["bundled", "PICTURE", "native", 1.5, 0, "to"], "layer must be"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", '{"discard_ratio": "most"}'], "discard_ratio"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", '{"trace": 1}'], "no choice trace; its choices"),
        (
            "/explain",
            ["bundled", "PICTURE", "native", "rollout", "", '{"method": "x"}'],
            "no choice method; its choices",
        ),
        ("/explain", ["bundled", "PICTURE", "native", "legrad", "", '{"model": 1}'], "no choice model; its choices"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", "{}", "church"], "no choice against; its choices"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", '{"query": [1]}'], "query|token|fit"),
        ("/predict", ["bundled", "PICTURE", "1e9", 5], "height x width"),
        ("/attention", ["bundled", "PICTURE", "native", 99, 0, "to"], "99"),
        ("/attention", ["bundled", "PICTURE", "native", 0, 9999, "to"], "9999"),
        ("/attention", ["bundled", "PICTURE", "native", 0, 0, "__class__"], "direction"),
        ("/explain", ["bundled", "PICTURE", "native", "magic", "", "{}"], "rollout"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", "[1]"], "JSON object"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "", '{"wrong": 1}'], "head_fusion"),
        ("/explain", ["bundled", "PICTURE", "native", "relevance", "chruch", "{}"], "did you mean 'church'"),
        ("/explain", ["bundled", "PICTURE", "native", "relevance", "3", "{}", "3"], "against itself"),
        ("/explain", ["bundled", "PICTURE", "native", "smoothgrad", "", '{"samples": 4000}'], "allows 64 times"),
        ("/explain", ["bundled", "PICTURE", "native", "rollout", "99", "{}"], "99"),
        ("/faithfulness", ["bundled", "PICTURE", "native", "chruch", [], 3, "logit"], "did you mean 'church'"),
        ("/faithfulness", ["bundled", "PICTURE", "native", "", ["magic"], 3, "logit"], "'magic'"),
        ("/faithfulness", ["bundled", "PICTURE", "native", "", [["rollout"]], 3, "logit"], "methods must be among"),
        ("/faithfulness", ["bundled", "PICTURE", "native", "", ["rollout"], 41, "logit"], "from 1 to 40"),
        (
            "/faithfulness",
            ["bundled", "PICTURE", "native", "", ["rollout"], 3, "loss"],
            "that: value must",
        ),
        ("/explain", ["bundled", "PICTURE", "native", "attention", "", '{"head": "<b>"}'], "left out .*; got '<b>'"),
        (
            "/explain",
            ["bundled", "PICTURE", "native", "occlusion", "", '{"window": "a"}'],
            "window must be a whole",
        ),
        ("/predict", ["a" * 500, "PICTURE", "native", 5], "model must be"),
        ("/predict", ["~nobody/x", "PICTURE", "native", 5], "model must be|no model"),
        ("/predict", ["bundled", "PICTURE", "100000", 5], "100000 is too large; this host allows"),
        (
            "/faithfulness",
            ["bundled", "PICTURE", "512", "", [], 3, "logit"],
            "occlusion would run the model 4096 times",
        ),
        ("/positions", ["bundled", "native", "magic", "cosine"], "magic"),
        ("/positions", ["bundled", "native", "", "magic"], "magic"),
    ],
)
def test_wrong_arguments_are_answered_in_words(client, example, endpoint, arguments, words):
    sent = [handle_file(example) if argument == "PICTURE" else argument for argument in arguments]
    with pytest.raises(AppError, match=words):
        client.predict(*sent, api_name=endpoint)
