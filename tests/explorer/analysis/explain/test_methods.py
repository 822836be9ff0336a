"""METHODS and explain: what every method promises, and the wording of errors."""

import inspect

import pytest
import torch

from explorer import METHODS, Explanation, explain
from explorer.analysis.attention import attention_columns, attention_rows
from explorer.analysis.explain.method import Layer, Method

PIXELS = torch.linspace(-1, 1, 3 * 32 * 48).sin().reshape(1, 3, 32, 48) * 3


@pytest.fixture
def model(tiny_model):
    return tiny_model(image_size=(32, 48), registers=2)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_raw_map_over_the_grid(model, method):
    found = explain(model, PIXELS, method)
    assert found.method == method
    assert found.values.shape == (4, 6)
    assert found.values.dtype == torch.float32
    assert found.values.isfinite().all()
    if METHODS[method].needs_head:  # Grad-CAM may find nothing in favour of a class
        assert any(explain(model, PIXELS, method, target).values.std() > 0 for target in range(5))
    else:
        assert found.values.std() > 0
    assert found.signed or found.values.min() >= 0


@pytest.mark.parametrize("method", METHODS)
def test_every_method_uses_the_trace_that_it_is_given_and_has_named_choices(model, method):
    names = [name for name in inspect.signature(METHODS[method]).parameters if name not in ("gradients", "progress")]
    assert names == ["model", "pixels", "trace", "target", *METHODS[method].defaults]
    trace = model.trace(PIXELS)
    assert torch.equal(explain(model, PIXELS, method, trace=trace).values, explain(model, PIXELS, method).values)
    assert torch.equal(METHODS[method](model, PIXELS, trace, None).values, explain(model, PIXELS, method).values)


def test_choices_of_rollout():
    assert METHODS["rollout"].defaults == {
        "head_fusion": "mean",
        "discard_ratio": 0.0,
        "discard": "matrix",
        "start_layer": 0,
        "query": 0,
        "compat": None,
    }


def test_attention_of_a_head_and_of_their_mean_in_both_directions(model):
    trace = model.trace(PIXELS)
    rows, columns = attention_rows(trace, 1, 7), attention_columns(trace, 1, 7)
    found = explain(model, PIXELS, "attention", layer=1, head=2, query=7).values
    torch.testing.assert_close(found, rows[2, 3:].reshape(4, 6))
    found = explain(model, PIXELS, "attention", layer=1, query=7, direction="by").values
    torch.testing.assert_close(found, columns.mean(0)[3:].reshape(4, 6))


def test_methods_that_look_at_no_class_name_none(model):
    assert explain(model, PIXELS, "rollout", target=3).target is None
    assert explain(model, PIXELS, "gradient-rollout", target=3).target == 3


def test_a_model_without_a_head_has_attention_and_rollout(tiny_model):
    model = tiny_model(classes=0)
    for method in ("attention", "rollout"):
        assert explain(model, torch.randn(1, 3, 32, 32), method).target is None


@pytest.mark.parametrize(
    ("method", "choices", "message"),
    [
        ("rollup", {}, r"unknown method 'rollup'; the methods are attention, rollout, gradient-rollout"),
        ("rollout", {"fusion": "max"}, r"rollout has no choice fusion; its choices are head_fusion, discard_ratio"),
        ("gradient-rollout", {"head_fusion": "max"}, r"gradient-rollout has no choice head_fusion; its choices are"),
        ("rollout", {"target": 5}, r"target must be a class from 0 to 4, got 5"),
        ("rollout", {"target": -1}, r"target must be a class from 0 to 4, got -1"),
        ("attention", {"layer": 3}, r"layer must be from 0 to 2, or negative to count from the last; got 3"),
        ("attention", {"head": 4}, r"head must be from 0 to 3, or left out for the mean of all; got 4"),
        ("attention", {"head": "mean"}, r"head must be from 0 to 3, or left out for the mean of all; got 'mean'"),
        ("attention", {"query": 27}, r"token must be from 0 to 26 \(3 before the patches, then 4x6 patches"),
        ("attention", {"direction": "from"}, r"direction must be 'to' or 'by', got 'from'"),
        ("attention", {"direction": ["to"]}, r"direction must be 'to' or 'by', got \['to'\]"),
        ("rollout", {"head_fusion": ["mean"]}, r"head_fusion must be one of mean, max, min, got \['mean'\]"),
    ],
)
def test_wording_of_errors(model, method, choices, message):
    with pytest.raises(ValueError, match=message):
        explain(model, PIXELS, method, **choices)


def test_a_class_of_a_model_without_a_head_is_an_error(tiny_model):
    with pytest.raises(ValueError, match="this model has no head, so it has no class 3; leave target out"):
        explain(tiny_model(classes=0), torch.randn(1, 3, 32, 32), "rollout", target=3)


def test_several_pictures_are_refused(model):
    with pytest.raises(ValueError, match="expected the trace of one picture, got a batch of 2"):
        explain(model, PIXELS.repeat(2, 1, 1, 1))


def test_explanations_check_their_values():
    with pytest.raises(ValueError, match=r"an explanation's values are \[gh, gw\], got \[4\]"):
        Explanation("new", torch.zeros(4))
    with pytest.raises(ValueError, match="new is unsigned and yet holds -1; pass signed=True"):
        Explanation("new", torch.full((2, 2), -1.0))
    assert Explanation("new", torch.full((2, 2), -1.0, dtype=torch.float64), signed=True).values.dtype == torch.float32


@pytest.mark.parametrize("method", METHODS)
def test_a_record_says_whether_its_maps_are_signed(model, method):
    record = METHODS[method]
    assert record.name == method
    assert explain(model, PIXELS, method).signed is record.signed
    assert all(explain(model, PIXELS, method, target).values.min() >= 0 for target in range(5)) is not record.signed


@pytest.mark.parametrize("method", [name for name, record in METHODS.items() if record.slow])
def test_a_record_counts_the_passes_that_a_map_takes(model, method):
    """The last batch begins below the total that progress is of."""
    told = []
    explain(model, PIXELS, method, progress=lambda done, total: told.append((done, total)))
    assert {total for _, total in told} == {METHODS[method].count_passes({}, (4, 6))}


def test_a_record_that_does_not_fit_its_function_is_refused():
    def function(model, pixels, trace, target, *, layer=-1, against=None): ...

    assert Method("new", function, (Layer("layer"),)).defaults == {"layer": -1, "against": None}
    with pytest.raises(ValueError, match="the record of new and its function's keyword arguments differ in layer"):
        Method("new", function)
    with pytest.raises(ValueError, match="differ in against, progress"):
        Method("new", function, (Layer("layer"),), needs_head=False, passes=lambda choices, grid: 4)
