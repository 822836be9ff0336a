"""The store of what open pages may ask for, the sources in it, and the two functions that anyone may call."""

import base64
import gzip
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.viewer import AttentionSource, AttentionViewer, StackSource, ViewerStore, token_names, viewer_value
from explorer.viewer.kit.pack import unpack
from vit_model.config import ViTConfig
from vit_model.model import VisionTransformer


def stack(size=2, layers=2, panels=3):
    grid, tokens = (size, size), size * size
    return StackSource([np.full((panels, tokens, tokens), layer + 1.0, np.float32) for layer in range(layers)], grid)


def trace():
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=(24, 16), patch_size=8, width=16, depth=2, heads=2, mlp_width=16, classes=3, registers=1
    )
    model = VisionTransformer(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.trace(torch.randn(1, 3, 24, 16))


# ---- bounds


def test_tokens_are_long_and_give_their_own_source():
    store, first, second = ViewerStore(), stack(), stack()
    tokens = [store.put(first), store.put(second)]
    assert store.get(tokens[0]) is first and store.get(tokens[1]) is second
    assert tokens[0] != tokens[1] and all(len(token) >= 32 for token in tokens)
    assert store.get("x" * 32) is None


def test_least_recently_used_source_leaves_when_bytes_run_out():
    one = stack().nbytes
    store = ViewerStore(max_bytes=2 * one)
    old, used = store.put(stack()), store.put(stack())
    store.get(old)
    new = store.put(stack())
    assert store.get(used) is None
    assert store.get(old) is not None and store.get(new) is not None
    assert store.nbytes == 2 * one and len(store) == 2


def test_a_source_larger_than_the_store_is_refused_in_words():
    with pytest.raises(ValueError, match=r"take 0 MiB and the store holds 0 MiB; use a smaller image size"):
        ViewerStore(max_bytes=10).put(stack())


def test_sources_expire_by_age_even_when_used():
    now = [0.0]
    store = ViewerStore(max_age_seconds=60, clock=lambda: now[0])
    token = store.put(stack())
    now[0] = 60.0
    assert store.get(token) is not None
    now[0] = 60.1
    assert store.get(token) is None
    assert store.nbytes == 0


def test_a_source_that_left_is_made_again():
    """Numbers of every picture were kept for hours, up to 2 GiB, in case that an open page asks for another layer."""
    store, made = ViewerStore(most=2), []

    def again():
        made.append(stack())
        return made[-1]

    token = store.put(stack(), again)
    lost = store.put(stack())
    others = [store.put(stack(), stack) for _ in range(10)]
    assert len(store) == 2
    assert token in store and all(other in store for other in others)
    assert lost not in store and store.get(lost) is None
    assert not made
    assert store.get(token) is made[0] is store.get(token)
    assert len(store) == 2 and len(made) == 1


def test_a_source_whose_picture_is_gone_has_expired():
    store = ViewerStore(most=1)
    token = store.put(stack(), lambda: Path("/nowhere/picture.png").read_bytes())
    store.put(stack())
    assert store.get(token) is None and token not in store


def test_many_threads_stay_within_bounds():
    one = stack().nbytes
    store, faults = ViewerStore(max_bytes=3 * one), []

    def work():
        for _ in range(200):
            store.get(store.put(stack()))
            if store.nbytes > 3 * one:
                faults.append(store.nbytes)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(store) == 3


def test_bounds_must_be_positive():
    with pytest.raises(ValueError, match="bounds must be positive, got 0 bytes"):
        ViewerStore(max_bytes=0)


# ---- sources


def test_attention_source_agrees_with_the_trace_in_both_directions():
    source, recorded = AttentionSource(trace()), trace()
    for layer in range(2):
        expected = recorded.attention(layer)[0]
        torch.testing.assert_close(source.matrices(layer), expected)
        for query in (0, 1, 5):
            torch.testing.assert_close(source.rows(layer, query, "to"), expected[:, query])
            torch.testing.assert_close(source.rows(layer, query, "by"), expected[:, :, query])
    assert source.nbytes < recorded.nbytes
    assert (source.layers, source.grid, source.prefix, source.signed) == (2, (3, 2), 2, (False, False))


def test_stack_source_says_which_shape_it_wanted():
    with pytest.raises(
        ValueError, match=r"layer 1: expected \[1, 5, 5\] for a 2x2 grid with 1 special tokens, got \[1, 4, 4\]"
    ):
        StackSource([np.zeros((1, 5, 5)), np.zeros((1, 4, 4))], (2, 2), prefix=1)
    with pytest.raises(ValueError, match="2 entries in signed for 1 panels"):
        StackSource([np.zeros((1, 4, 4))], (2, 2), signed=[True, False])


def test_token_names():
    config = ViTConfig(pool="class-distilled", distillation_token=True, registers=2)
    assert token_names(config) == ["CLS", "DIST", "REG1", "REG2"]
    assert token_names(ViTConfig(class_token=False, pool="mean-patches")) == []


# ---- the component's Python side


@pytest.fixture
def viewer(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return AttentionViewer(store=ViewerStore(), elem_id="v")


def test_value_is_small_and_its_file_holds_the_shown_layer(viewer):
    source = stack()
    value = viewer_value(source, viewer._store, shown_layer=1)
    assert viewer._store.get(value["token"]) is source
    assert len(str(value)) < 2000
    packed = gzip.decompress(Path(value["data"]["path"]).read_bytes())
    np.testing.assert_allclose(unpack(packed, 4, 4, source.signed), 2.0)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"shown_layer": 2}, "shown_layer 2 is out of range: the source has layers 0 to 1"),
        ({"panel_names": ["a"]}, "panel_names has 1 entries, the source has 3"),
        ({"prefix_names": ["CLS"]}, "prefix_names has 1 entries, the source has 0"),
    ],
)
def test_value_refuses_what_does_not_fit(viewer, choices, message):
    with pytest.raises(ValueError, match=message):
        viewer_value(stack(), viewer._store, **choices)


def test_layer_and_rows_answer_with_what_the_source_holds(viewer):
    source = stack()
    token = viewer._store.put(source)
    answer = viewer.layer({"token": token, "layer": 0})
    path = next(iter(viewer.temp_files))
    assert answer == {"file": f"file={path}"}
    np.testing.assert_allclose(unpack(gzip.decompress(Path(path).read_bytes()), 4, 4, source.signed), 1.0)
    rows = viewer.rows({"token": token, "layer": 1, "query": 3, "direction": "by"})["rows"]
    np.testing.assert_allclose(unpack(gzip.decompress(base64.b64decode(rows)), 1, 4, source.signed), 2.0)


def test_unknown_tokens_have_expired(viewer):
    assert viewer.layer({"token": "a" * 32, "layer": 0}) == {"expired": True}
    assert viewer.rows({"token": "a" * 32, "layer": 0, "query": 0, "direction": "to"}) == {"expired": True}


NONSENSE = [None, 3, "x", [], {}, {"token": 1, "layer": 0}, {"token": "a" * 65, "layer": 0}]


@pytest.mark.parametrize("request_", NONSENSE)
def test_nonsense_is_answered_with_an_error_not_an_exception(viewer, request_):
    assert set(viewer.layer(request_)) == {"error"}
    assert set(viewer.rows(request_)) == {"error"}


@pytest.mark.parametrize("layer", [-1, 2, 0.0, True, "0", None, [0], 10**30])
def test_layers_out_of_range_or_of_another_type(viewer, layer):
    token = viewer._store.put(stack())
    assert viewer.layer({"token": token, "layer": layer}) == {"error": "layer must be a whole number from 0 to 1"}


def test_queries_and_directions_are_checked(viewer):
    request = {"token": viewer._store.put(stack()), "layer": 0, "query": 0, "direction": "to"}
    assert viewer.rows(request | {"query": 4}) == {"error": "query must be a whole number from 0 to 3"}
    assert viewer.rows(request | {"direction": "sideways"}) == {"error": "direction must be 'to' or 'by'"}
    assert viewer.rows(request | {"direction": ["to"]}) == {"error": "direction must be 'to' or 'by'"}


def test_whole_layers_of_long_sequences_are_refused(viewer):
    class Long:
        layers, grid, prefix, signed, nbytes = 1, (100, 100), 1, (False,), 1

    answer = viewer.layer({"token": viewer._store.put(Long()), "layer": 0})
    assert answer == {"error": "10001 tokens: ask for rows"}


def test_the_endpoint_takes_and_gives_an_object(viewer):
    assert viewer.api_info() == {"type": "object"}


def test_templates_are_static(viewer):
    for template in (viewer.html_template, viewer.css_template):
        assert not any(mark in template for mark in ("{{", "${", "`", "\\"))
