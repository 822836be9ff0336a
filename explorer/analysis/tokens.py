"""The tokens themselves, layer by layer: their principal components as colours, their similarity, norms and artefacts.

State l of the residual stream enters layer l, state L leaves the last one: L+1 states of N = prefix + gh*gw tokens.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.analysis.attention import attention_blocks, check_one_picture, check_token
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

ARTEFACT_DEVIATIONS = 6.0
ARTEFACT_RATIO = 2.0
_NORMAL = 1.4826  # standard deviations of a normal distribution in one median absolute deviation


class Components(NamedTuple):
    """`scores` [states, gh, gw, count]: where each patch lies along each principal component, raw; `explained`
    [states, count]: the share of that state's variance along each component."""

    scores: Tensor
    explained: Tensor


class ArtefactShare(NamedTuple):
    """`rows` [L, N]: what the class token (without one, the mean patch) attends to, mean over heads, summing to 1.
    `shares` [L]: how much of it goes to the marked tokens. `fair` [L]: how many of all tokens they are, what uniform
    attention would give them."""

    rows: Tensor
    shares: Tensor
    fair: Tensor


@torch.no_grad()
def token_components(model: VisionTransformer, trace: Trace, joint: bool = True, count: int = 3) -> Components:
    """The patches of every state along their leading principal components: as RGB, the picture that DINOv2 shows of its
    features (Oquab et al. 2023, arXiv 2304.07193, Figure 1).

    Tokens are put through the model's final norm first, as there, so that states of different lengths weigh alike.
    `joint`: one mean and one set of components for all states, so that a colour means the same in each; else each state
    has its own. With the centred tokens X = U S V^T the scores are X V; a component's sign means nothing, and its entry
    of largest magnitude is made positive. A component without variance has scores of 0.

    Raises ValueError for a trace of several pictures and for a count out of range.
    """
    check_one_picture(trace)
    if not 1 <= count <= model.config.width:
        raise ValueError(f"count must be from 1 to {model.config.width}, the width of a token; got {count}")
    states = [model.norm(state[0, trace.prefix :]).cpu() for state in trace.residual]  # each [n, D]; mps has no float64
    means = [state.double().mean(0) for state in states]
    mean = torch.stack(means).mean(0)
    axes = None  # [D, count], of all states together; one state at a time, as all in float64 would be large
    if joint:
        centred = (state.double() - mean for state in states)
        axes = _leading(reduce(torch.add, (one.T @ one for one in centred)), count)
    scores, explained = [], []
    for state, own_mean in zip(states, means, strict=True):
        own = state.double() - own_mean
        directions = _principal_axes(own, count) if axes is None else axes
        along = own @ directions
        scores.append(along if axes is None else along + (own_mean - mean) @ directions)
        explained.append(along.square().sum(0) / own.square().sum().clamp_min(torch.finfo(torch.float64).tiny))
    placed = torch.stack(scores).reshape(len(states), *trace.grid, count)
    return Components(placed.float(), torch.stack(explained).float())


def token_similarity(trace: Trace, state: int, token: int) -> Tensor:
    """Cosine similarity of every token of one state with token `token`: [N], from -1 to 1, its own 1."""
    check_token(trace, token)
    tokens = F.normalize(_state(trace, state).float(), dim=-1)
    return tokens @ tokens[token]


def token_norms(trace: Trace) -> Tensor:
    """Euclidean length of every token of every state, [L+1, N]."""
    check_one_picture(trace)
    return torch.stack([state[0].float().norm(dim=-1) for state in trace.residual])


def artefacts(trace: Trace) -> Tensor:
    """Which patches have a norm far above the rest of their state: bool [L+1, N].

    Darcet et al. (2023, arXiv 2309.16588) found patches of large pretrained ViTs, in flat parts of the picture, whose
    norms are several times those of the others and which serve as scratch space. They cut at a norm read off a
    histogram; the rule here needs no reading. With m the median norm of the state's patches, a patch is marked where

        ln(norm / m) > 6 * 1.4826 * MAD(ln(norm / m))    and    norm > 2 m.

    Norms vary by factors, hence the logarithm. MAD is the median absolute deviation, which outliers do not move; six
    normal deviations leave none of a thousand ordinary tokens, and the ratio keeps a state whose norms are nearly equal
    free of marks. Tokens before the patches are never marked: registers are there to be such scratch space.
    """
    norms = token_norms(trace)
    ratios = (norms / norms[:, trace.prefix :].median(-1, keepdim=True).values.clamp_min(1e-30)).clamp_min(1e-30).log()
    deviation = _NORMAL * ratios[:, trace.prefix :].abs().median(-1, keepdim=True).values
    marked = (ratios > ARTEFACT_DEVIATIONS * deviation) & (ratios > math.log(ARTEFACT_RATIO))
    marked[:, : trace.prefix] = False
    return marked


@torch.no_grad()
def artefact_share(trace: Trace, marked: Tensor) -> ArtefactShare:
    """How much of the class token's attention (without one, of the mean patch's) in each layer l goes to the tokens
    that `marked[l]` names, as `artefacts` marks them in the state that enters the layer. `marked`: [L+1, N] or [L, N].
    """
    check_one_picture(trace)
    marked = marked[: trace.layers].to(trace.logits.device)
    rows = torch.stack([asking_row(trace, layer) for layer in range(trace.layers)])
    return ArtefactShare(rows, (rows * marked).sum(-1), marked.float().mean(-1))


@torch.no_grad()
def asking_row(trace: Trace, layer: int) -> Tensor:
    """What the class token attends to in a layer, mean over heads, [N], summing to 1; of a model without tokens before
    the patches, the mean over all patches."""
    if trace.prefix:
        return trace.attention(layer, 0)[0, :, 0].float().mean(0)
    return reduce(torch.add, (rows.float().sum(1) for _, rows in attention_blocks(trace, layer))).mean(0) / trace.tokens


@torch.no_grad()
def token_entropy(trace: Trace) -> Tensor:
    """How widely each token looks in each layer: entropy of its attention, mean over heads, [L, N] in nats, from 0 to
    ln N. (`attention_entropy` is the mean over tokens instead.)"""
    check_one_picture(trace)
    result = torch.empty(trace.layers, trace.tokens, device=trace.logits.device)
    for layer in range(trace.layers):
        for tokens, rows in attention_blocks(trace, layer):
            result[layer, tokens] = torch.special.entr(rows.float()).sum(-1).mean(0)
    return result


def _principal_axes(centred: Tensor, count: int) -> Tensor:
    """[n, D] -> the leading right singular vectors [D, count], by the smaller of the two products with itself."""
    n, D = centred.shape
    if n >= D:
        return _leading(centred.T @ centred, count)
    values, left = torch.linalg.eigh(centred @ centred.T)
    kept = min(count, n)
    lengths = values[-kept:].flip(0).clamp_min(0).sqrt()
    axes = centred.T @ left[:, -kept:].flip(1)
    axes = torch.where(lengths > 1e-9 * lengths.max().clamp_min(1e-30), axes / lengths.clamp_min(1e-30), 0.0)
    return _with_sign(F.pad(axes, (0, count - kept)))  # fewer tokens than components: the rest have no variance


def _leading(covariance: Tensor, count: int) -> Tensor:
    """The eigenvectors of the largest eigenvalues, [D, count]."""
    return _with_sign(torch.linalg.eigh(covariance).eigenvectors[:, -count:].flip(1))


def _with_sign(axes: Tensor) -> Tensor:
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)


def _state(trace: Trace, state: int) -> Tensor:
    states = len(trace.residual)
    if not -states <= state < states:
        raise ValueError(f"state must be from 0 to {states - 1}, or negative to count from the last; got {state}")
    return trace.residual[state][0]
