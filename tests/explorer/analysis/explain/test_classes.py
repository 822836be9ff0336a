"""Classes by number and label, contrasts, and models for which there is nothing to explain."""

import pytest
import torch

from explorer import METHODS, explain
from explorer.analysis.explain.classes import chosen_classes, class_index, predicted_class
from explorer.analysis.explain.gradients import class_gradients, differentiated
from vit_model import VisionTransformer
from vit_model.errors import CodedError

PIXELS = torch.linspace(-1, 1, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * 3
LABELS = ("tabby, tabby cat", "Egyptian cat", "tiger, Panthera tigris", "7", "crane", "crane")
CLASS_METHODS = [name for name, method in METHODS.items() if method.needs_head]
LINEAR = ("attention-gradient", "input-gradient", "integrated-gradients", "occlusion")
QUICK = {"integrated-gradients": {"steps": 4}, "smoothgrad": {"samples": 3}}


@pytest.fixture
def labelled(tiny_model):
    model = tiny_model(classes=6)
    model.labels = LABELS
    return model


@pytest.mark.parametrize(
    ("named", "index"),
    [(2, 2), ("2", 2), ("Egyptian cat", 1), (" egyptian CAT ", 1), ("panthera_Tigris", 2), ("tabby", 0), ("7", 3)],
)
def test_a_class_by_number_or_label(labelled, named, index):
    assert class_index(labelled, named) == index


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (6, "target must be a class from 0 to 5, got 6"),
        ("-1", "target must be a class from 0 to 5, got -1"),
        (1.5, r"target must be a class from 0 to 5, got 1\.5"),
        (
            "cat",
            r"no class 'cat'; give a number from 0 to 5 or a label: did you mean 'tabby, tabby cat', 'Egyptian",
        ),
        ("Egiptian cat", "did you mean 'Egyptian cat'"),
        ("zzz", "a label: its labels start with 'tabby, tabby cat'"),
        ("x" * 10**6, r"no class 'x{60}'; give"),
    ],
)
def test_an_unknown_class_is_told_what_is_valid(labelled, named, message):
    with pytest.raises(CodedError, match=message) as raised:
        class_index(labelled, named)
    assert raised.value.code in ("unknown_class", "class_out_of_range")


def test_a_label_of_several_classes_is_refused_with_their_numbers(labelled, tiny_model):
    """Forty classes called "dup": the first was explained, without a word."""
    for named in ("crane", " CRANE "):
        with pytest.raises(CodedError, match=r"several classes: #4, #5 \(2 in all\); give the number, such as 4$"):
            class_index(labelled, named)
    labelled.labels = ("tabby, cat", "cat, tom", "cat", "2", "2", "CAT")
    assert class_index(labelled, "cat") == 2, "as it is written"
    assert class_index(labelled, "2") == 2, "a number is one, whatever classes are called"
    with pytest.raises(CodedError, match=r"'Cat' names several classes: #2, #5 \(2 in all\)"):
        class_index(labelled, "Cat")
    many = tiny_model(classes=44)
    many.labels = ("a", "b", "c", "d", *["dup"] * 40)
    with pytest.raises(CodedError, match=r"#4, #5, #6, #7, #8, \.\.\. \(40 in all\)") as raised:
        class_index(many, "dup")
    assert raised.value.code == "ambiguous_class"
    assert class_index(many, "7") == class_index(many, 7) == 7


def test_the_default_is_the_predicted_class_and_not_the_one_it_is_held_against(labelled):
    trace = labelled.trace(PIXELS)
    first, second = trace.logits[0].topk(2).indices.tolist()
    assert predicted_class(labelled, trace) == first
    assert chosen_classes(labelled, trace, None, second) == (first, second)
    assert chosen_classes(labelled, trace, None, first) == (second, first)
    with pytest.raises(CodedError, match=r"class 1 \(Egyptian cat\) cannot be explained against itself"):
        chosen_classes(labelled, trace, 1, "Egyptian cat")


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_labels_and_contrasts_in_every_class_method(labelled, method):
    by_label = explain(labelled, PIXELS, method, "Egyptian cat", against="tabby", **QUICK.get(method, {}))
    by_number = explain(labelled, PIXELS, method, 1, against=0, **QUICK.get(method, {}))
    assert torch.equal(by_label.values, by_number.values)
    assert (by_label.target, by_label.against) == (1, 0)
    plain = explain(labelled, PIXELS, method, 1, **QUICK.get(method, {}))
    assert plain.against is None
    if method != "grad-cam":  # which may find nothing in favour of either
        assert not torch.allclose(by_label.values, plain.values)


@pytest.mark.parametrize("method", LINEAR)
def test_a_contrast_is_the_difference_and_turns_its_sign_with_its_classes(labelled, method):
    choices = QUICK.get(method, {})
    a, b = (explain(labelled, PIXELS, method, target, **choices).values for target in (1, 0))
    for one, other, expected in ((1, 0, a - b), (0, 1, b - a)):
        found = explain(labelled, PIXELS, method, one, against=other, **choices).values
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_a_model_without_a_head_says_what_to_use(tiny_model, method):
    with pytest.raises(CodedError, match="has no head, so it has no class to explain; use 'attention' or 'rollout'"):
        explain(tiny_model(classes=0), PIXELS, method)


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_no_gradient_of_a_parameter_is_computed(tiny_model, method):
    model, computed = tiny_model().requires_grad_(True), []
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: computed.append(gradient))
    explain(model, PIXELS, method, 1, **QUICK.get(method, {}))
    assert computed == []
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_works_where_the_caller_has_switched_gradients_off(tiny_model, method):
    model, choices = tiny_model(), QUICK.get(method, {})
    with torch.no_grad():
        found = explain(model, PIXELS, method, 1, **choices)
    torch.testing.assert_close(found.values, explain(model, PIXELS, method, 1, **choices).values)
    assert not found.values.requires_grad


@pytest.mark.parametrize("method", [method for method in CLASS_METHODS if method != "occlusion"])
def test_gradients_that_are_not_finite_say_so(tiny_model, method):
    class Rooted(torch.nn.Module):
        """The identity, whose gradient is not a number."""

        def forward(self, x):
            return x + (x.abs() * 0).sqrt().nan_to_num() * 0 if x.requires_grad else x

    model = tiny_model(pool="mean-patches")
    model.norm = torch.nn.Sequential(model.norm, Rooted())
    with pytest.raises(CodedError, match=r"the gradients of class 1 .*are NaN or infinite") as raised:
        explain(model, PIXELS, method, 1, **QUICK.get(method, {}))
    assert raised.value.code == "gradients_not_finite"


def test_damaged_weights_are_told_apart_from_a_flat_map(tiny_model):
    model = tiny_model()
    model.blocks[0].attention.qkv.weight[0] = torch.nan
    for method in METHODS:
        with pytest.raises(CodedError, match="NaN or infinite") as raised:
            explain(model, PIXELS, method, **QUICK.get(method, {}))
        assert raised.value.code in ("gradients_not_finite", "map_not_finite")


@pytest.mark.parametrize("method", [method for method in METHODS if method not in QUICK])
def test_a_plain_trace_at_hand_spares_the_forward_pass(tiny_model, method, monkeypatch):
    model = tiny_model()
    trace, gradients = model.trace(PIXELS), class_gradients(model, PIXELS, 1)
    expected = explain(model, PIXELS, method, 1)
    monkeypatch.setattr(VisionTransformer, "_run", lambda *_: pytest.fail("ran the model again"))
    found = explain(model, PIXELS, method, 1, trace=trace, gradients=gradients)
    torch.testing.assert_close(found.values, expected.values)


def test_gradients_of_another_class_are_refused(tiny_model):
    model = tiny_model()
    with pytest.raises(ValueError, match=r"expected gradients of \(target, against\) \(2, None\), got those of \(1,"):
        explain(model, PIXELS, "relevance", 2, gradients=class_gradients(model, PIXELS, 1))


def test_gradients_and_progress_are_no_choices():
    assert not {"gradients", "progress"} & {name for method in METHODS.values() for name in method.defaults}


@pytest.mark.parametrize("method", ["relevance", "gradient-rollout", "attention-gradient", "input-gradient"])
def test_methods_of_one_backward_pass_run_the_model_once(tiny_model, method, monkeypatch):
    model, calls, run = tiny_model(), [], VisionTransformer._run
    monkeypatch.setattr(VisionTransformer, "_run", lambda *all: calls.append(1) or run(*all))
    explain(model, PIXELS, method, 1)
    assert len(calls) == 1


@pytest.mark.parametrize(("pool", "read"), [("class", 1), ("mean-patches", 17)])
def test_gradients_are_those_of_every_token_in_every_layer(tiny_model, pool, read):
    """By a trace whose last layer ends for the tokens that the head reads: the others' gradients are zero."""
    model = tiny_model(pool=pool)
    short, gradients = differentiated(model, PIXELS, 1)
    whole = model.trace(PIXELS, differentiable=True)
    for found, expected in zip(gradients.outputs, whole.output_gradients(whole.logits[0, 1]), strict=True):
        torch.testing.assert_close(found, expected)
    assert not gradients.outputs[-1][:, :, read:].any()
    for name in ("residual", "queries", "keys", "values", "head_outputs"):
        *lower, last = zip(getattr(short, name), getattr(whole.detached(), name), strict=True)
        assert all(torch.equal(*pair) for pair in lower)
        assert last[0].shape == last[1].shape
    torch.testing.assert_close(short.residual[-1][:, :read], whole.residual[-1][:, :read].detach())
    assert short.residual[-1][:, read:].isnan().all()  # so that nobody takes them for numbers


def test_a_backward_pass_without_the_pixels_ends_at_the_first_head_outputs(tiny_model):
    model, entered = tiny_model(), []
    model.patch_embed.register_full_backward_hook(lambda *_: entered.append(1))
    _, whole = differentiated(model, PIXELS, 1)
    assert entered
    entered.clear()
    _, gradients = differentiated(model, PIXELS, 1, of_pixels=False)
    assert not entered
    assert gradients.pixels is None
    assert 0 < gradients.nbytes < whole.nbytes
    for one, other in zip(whole.outputs, gradients.outputs, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="without those of the pixels"):
        explain(model, PIXELS, "input-gradient", 1, gradients=gradients)
