"""The logit lens against the model itself, for every pool, and patches read one by one."""

import pytest
import torch

from explorer.analysis import lens
from explorer.analysis.lens import layer_logits, read_tokens, top_by_layer

POOLS = {
    "class": {},
    "class, registers, pre-logits": {"registers": 3, "pre_logits": 12},
    "mean-patches": {"pool": "mean-patches", "class_token": False},
    "mean-all": {"pool": "mean-all"},
    "class+mean": {"pool": "class+mean"},
    "class-distilled": {"pool": "class-distilled", "distillation_token": True},
}


@pytest.fixture(params=POOLS.values(), ids=POOLS)
def traced(request, tiny_model):
    model = tiny_model(**request.param)
    return model, model.trace(torch.randn(1, 3, 32, 32))


def test_the_last_row_is_the_models_own_logits_bit_for_bit(traced):
    model, trace = traced
    logits = layer_logits(model, trace)
    assert logits.shape == (4, 5)
    assert torch.equal(logits[-1], trace.logits[0])


def test_each_row_is_a_model_that_stops_there(traced):
    model, trace = traced
    for layer, logits in enumerate(layer_logits(model, trace)):
        tokens = trace.residual[0]
        for block in model.blocks[:layer]:
            tokens = block(tokens, None)
        torch.testing.assert_close(logits, model.classify(tokens)[0])


def test_top_classes_are_sorted_probabilities(traced):
    model, trace = traced
    top = top_by_layer(model, trace, 9)
    assert top.classes.shape == (4, 5), "there are five classes"
    expected = layer_logits(model, trace).softmax(-1)
    torch.testing.assert_close(top.probabilities, expected.sort(-1, descending=True).values)
    torch.testing.assert_close(expected.gather(1, top.classes), top.probabilities)


def test_a_patch_is_read_as_a_picture_that_holds_nothing_else(traced):
    model, trace = traced
    for state in (0, 2, 3):
        reading = read_tokens(model, trace, state, target=3)
        for token in (0, trace.prefix, trace.tokens - 1):
            alone = trace.residual[state][:, [token] * (model.config.prefix + 1)]
            probabilities = model.classify(alone)[0].softmax(-1)
            torch.testing.assert_close(reading.probabilities[token], probabilities.max())
            assert reading.classes[token] == probabilities.argmax()
            torch.testing.assert_close(reading.of_target[token], probabilities[3])


def test_the_class_token_among_the_tokens_is_the_lens_itself(tiny_model):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    for state, logits in enumerate(layer_logits(model, trace)):
        reading = read_tokens(model, trace, state)
        torch.testing.assert_close(reading.probabilities[0], logits.softmax(-1).max())
        assert reading.of_target is None


def test_a_thousand_classes_of_1369_tokens_never_exist_at_once(tiny_model, monkeypatch):
    model = tiny_model(image_size=37 * 8, classes=1000, width=8, heads=2, depth=1)
    trace = model.trace(torch.randn(1, 3, 296, 296))
    whole = read_tokens(model, trace, 1)
    monkeypatch.setattr(lens, "BLOCK_VALUES", 50_000)
    seen, classify = [], model.classify
    monkeypatch.setattr(model, "classify", lambda tokens: (seen.append(len(tokens)), classify(tokens))[1])
    small = read_tokens(model, trace, 1)
    assert max(seen) * 1000 <= 50_000
    assert sum(seen) == 1370
    torch.testing.assert_close(small.probabilities, whole.probabilities)
    assert torch.equal(small.classes, whole.classes)


def test_wording(tiny_model):
    model = tiny_model()
    trace = model.trace(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"state must be from 0 to 3, or negative to count from the last; got 4"):
        read_tokens(model, trace, 4)
    with pytest.raises(ValueError, match="target must be a class from 0 to 4, got 5"):
        read_tokens(model, trace, 0, target=5)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        top_by_layer(model, trace, 0)
    headless = tiny_model(classes=0)
    with pytest.raises(ValueError, match="no head to read its layers with"):
        layer_logits(headless, headless.trace(torch.randn(1, 3, 32, 32)))
    with pytest.raises(ValueError, match="one picture"):
        layer_logits(model, model.trace(torch.randn(2, 3, 32, 32)))
