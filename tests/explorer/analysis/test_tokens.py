"""Token colours against numpy's SVD, similarity and norms by hand, and artefacts that were put there."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.analysis.attention import layer_attention
from explorer.analysis.statistics import attention_entropy
from explorer.analysis.tokens import (
    artefact_share,
    artefacts,
    token_components,
    token_entropy,
    token_norms,
    token_similarity,
)


@pytest.fixture
def model(tiny_model):
    return tiny_model(registers=2)


@pytest.fixture
def trace(model):
    return model.trace(torch.randn(1, 3, 32, 32))


def svd_scores(tokens: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[n, D] -> scores [n, count] and axes, by numpy, the largest entry of each axis positive."""
    _, _, axes = np.linalg.svd(tokens - tokens.mean(0), full_matrices=False)
    axes = axes[:count]
    axes *= np.sign(axes[np.arange(count), np.abs(axes).argmax(1)])[:, None]
    return (tokens - tokens.mean(0)) @ axes.T, axes


def normed(model, trace):
    return np.stack([model.norm(state[0, trace.prefix :]).double().numpy() for state in trace.residual])


@pytest.mark.parametrize("size", [32, 64], ids=["fewer patches than channels", "more"])
def test_components_of_each_state_are_numpys(tiny_model, size):
    model = tiny_model(image_size=size)
    trace = model.trace(torch.randn(1, 3, size, size))
    found = token_components(model, trace, joint=False)
    for state, tokens in enumerate(normed(model, trace)):
        scores, _ = svd_scores(tokens, 3)
        np.testing.assert_allclose(found.scores[state].reshape(-1, 3), scores, atol=1e-4)
        singular = np.linalg.svd(tokens - tokens.mean(0), compute_uv=False)
        np.testing.assert_allclose(found.explained[state], (singular**2 / (singular**2).sum())[:3], rtol=1e-4)


def test_joint_components_are_those_of_all_states_together(model, trace):
    found = token_components(model, trace)
    tokens = normed(model, trace)
    scores, axes = svd_scores(tokens.reshape(-1, tokens.shape[2]), 3)
    np.testing.assert_allclose(found.scores.reshape(-1, 3), scores, atol=1e-4)
    for state, own in enumerate(tokens):
        centred = own - own.mean(0)
        share = ((centred @ axes.T) ** 2).sum(0) / (centred**2).sum()
        np.testing.assert_allclose(found.explained[state], share, rtol=1e-4)


def test_equal_tokens_have_no_components(model, trace):
    same = tuple(state[:, -1:].expand(-1, trace.tokens, -1) for state in trace.residual)
    found = token_components(model, replace(trace, residual=same), joint=False)
    assert found.scores.abs().max() < 1e-5
    assert torch.isfinite(found.explained).all()


def test_a_single_patch_has_no_components(tiny_model):
    model = tiny_model(image_size=8)
    found = token_components(model, model.trace(torch.randn(1, 3, 8, 8)), joint=False)
    assert found.scores.shape == (4, 1, 1, 3)
    assert not found.scores.any()
    assert not found.explained.any()


def test_similarity_is_the_cosine(trace):
    for state in (0, 3):
        tokens = trace.residual[state][0].numpy()
        unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
        np.testing.assert_allclose(token_similarity(trace, state, 5), unit @ unit[5], atol=1e-6)
    with pytest.raises(ValueError, match="state must be from 0 to 3"):
        token_similarity(trace, 4, 0)
    with pytest.raises(ValueError, match="token must be from 0 to 18"):
        token_similarity(trace, 0, 19)


def test_norms_by_hand(trace):
    expected = [np.linalg.norm(state[0].numpy(), axis=1) for state in trace.residual]
    np.testing.assert_allclose(token_norms(trace), np.stack(expected), rtol=1e-6)


def scaled(trace, factors: dict[tuple[int, int], float]):
    """The trace with some tokens of some states lengthened."""
    states = [state.clone() for state in trace.residual]
    for (state, token), factor in factors.items():
        states[state][0, token] *= factor
    return replace(trace, residual=tuple(states))


def test_only_the_tokens_that_stand_out_are_marked(trace):
    assert not artefacts(trace).any(), "a clean picture has none"
    planted = {(2, 7): 9.0, (2, 11): 5.0, (3, 18): 12.0, (1, 4): 1.3, (2, 1): 20.0}
    marked = artefacts(scaled(trace, planted))
    assert marked.nonzero().tolist() == [[2, 7], [2, 11], [3, 18]], "not the register, nor the slightly longer one"


@pytest.mark.parametrize("spread", [1e-4, 0.05, 0.3])
def test_ordinary_norms_of_a_large_picture_are_never_marked(trace, spread):
    generator = torch.Generator().manual_seed(1)
    lengths = (spread * torch.randn(4, 1, 1 + 1369, 1, generator=generator)).exp() * 50
    assert not artefacts(replace(trace, residual=tuple(lengths), prefix=1, grid=(37, 37))).any()


def test_share_of_attention(trace):
    marked = torch.zeros(4, trace.tokens, dtype=torch.bool)
    marked[1, [4, 9]] = True
    found = artefact_share(trace, marked)
    row = layer_attention(trace, 1)[:, 0].mean(0)
    torch.testing.assert_close(found.rows[1], row)
    torch.testing.assert_close(found.shares, torch.stack([torch.tensor(0.0), row[4] + row[9], torch.tensor(0.0)]))
    torch.testing.assert_close(found.fair, torch.tensor([0, 2 / trace.tokens, 0]))


def test_without_a_class_token_the_mean_patch_asks(tiny_model):
    model = tiny_model(pool="mean-patches", class_token=False)
    trace = model.trace(torch.randn(1, 3, 32, 32))
    found = artefact_share(trace, artefacts(trace))
    torch.testing.assert_close(found.rows[2], layer_attention(trace, 2).mean((0, 1)))


def test_entropy_of_each_token(given_trace, trace, random_attention):
    uniform = given_trace(torch.full((1, 2, 5, 5), 0.2), (2, 2))
    torch.testing.assert_close(token_entropy(uniform), torch.full((1, 5), math.log(5)))
    torch.testing.assert_close(token_entropy(trace).mean(1), attention_entropy(trace).mean(1))
