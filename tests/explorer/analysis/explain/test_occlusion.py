"""Occlusion by leaving out tokens, against a mask in the attention: nobody attends to what is left out."""

import pytest
import torch
import torch.nn.functional as F

from explorer import explain

PIXELS = torch.linspace(-1, 1, 3 * 32 * 48).sin().reshape(1, 3, 32, 48) * 3


def masked_logits(model, patches):
    """Logits where no token attends to `patches` (pooled over the class token, so they have no other way out)."""
    mask = torch.zeros(model.config.tokens)
    mask[[model.config.prefix + patch for patch in patches]] = -torch.inf

    def attention(q, k, v, dropout_p=0.0):
        return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + mask, dim=-1) @ v

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", attention)
        return model(PIXELS)[0]


@pytest.mark.parametrize("unit", ["logit", "probability"])
@pytest.mark.parametrize("against", [None, 0])
def test_parity_with_a_mask_in_the_attention(tiny_model, unit, against):
    model = tiny_model(image_size=(32, 48), registers=2)

    def score(logits):
        values = logits.softmax(-1) if unit == "probability" else logits
        return values[3] - (0 if against is None else values[against])

    whole = score(model(PIXELS)[0])
    expected = torch.stack([whole - score(masked_logits(model, [patch])) for patch in range(24)]).reshape(4, 6)
    found = explain(model, PIXELS, "occlusion", 3, against=against, unit=unit)
    assert (found.target, found.against, found.signed) == (3, against, True)
    torch.testing.assert_close(found.values, expected, rtol=1e-3, atol=1e-5)
    assert found.values.std() > 0


def test_a_patch_gets_the_mean_of_the_windows_that_hold_it(tiny_model):
    model = tiny_model(image_size=(32, 48))
    whole, falls, counts = model(PIXELS)[0, 2], torch.zeros(24), torch.zeros(24)
    for y in range(3):
        for x in range(5):
            patches = [row * 6 + column for row in (y, y + 1) for column in (x, x + 1)]
            falls[patches] += whole - masked_logits(model, patches)[2]
            counts[patches] += 1
    found = explain(model, PIXELS, "occlusion", 2, window=2).values
    torch.testing.assert_close(found.flatten(), falls / counts, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("fields", [{"pool": "mean-patches", "class_token": False}, {"pool": "mean-all"}])
def test_a_mean_pool_leaves_the_patch_out_too(tiny_model, fields):
    model = tiny_model(image_size=(32, 48), **fields)
    tokens, prefix = model.embed(PIXELS), model.config.prefix
    expected = [
        model(PIXELS)[0, 1] - model.logits_from(torch.cat([tokens[:, :at], tokens[:, at + 1 :]], 1))[0, 1]
        for at in range(prefix, prefix + 24)
    ]
    found = explain(model, PIXELS, "occlusion", 1).values
    torch.testing.assert_close(found.flatten(), torch.stack(expected), rtol=1e-3, atol=1e-5)


def test_batches_change_nothing_and_tell_their_progress(tiny_model, monkeypatch):
    model, seen = tiny_model(image_size=(32, 48)), []
    expected = explain(model, PIXELS, "occlusion", 1).values
    forward = model.logits_from
    monkeypatch.setattr(model, "logits_from", lambda tokens: torch.cat([forward(one[None]) for one in tokens]))
    monkeypatch.setattr("explorer.analysis.explain.occlusion.TOKENS_AT_ONCE", {"cpu": 25 * 10})
    found = explain(model, PIXELS, "occlusion", 1, progress=lambda *each: seen.append(each)).values
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert seen == [(0, 24), (10, 24), (20, 24)]


def test_wording_of_errors(tiny_model):
    model = tiny_model(image_size=(32, 48))
    with pytest.raises(ValueError, match="window must be a whole number from 1 to 3, got 4"):
        explain(model, PIXELS, "occlusion", window=4)
    with pytest.raises(ValueError, match="unit must be one of logit, probability, got 'nats'"):
        explain(model, PIXELS, "occlusion", unit="nats")
