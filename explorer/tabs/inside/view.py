"""InsideView: all that happens to one picture's tokens from layer to layer, moved by one slider.

Attention and similarity, a number for each pair of tokens, travel as in `AttentionViewer`: whole states as small files,
or a token's rows for long sequences. What has a number for each token comes at once, in one file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from explorer.analysis.lens import read_tokens, top_by_layer
from explorer.analysis.tokens import artefact_share, artefacts, token_components, token_entropy, token_norms
from explorer.device import on_host
from explorer.viewer.kit.component import Caption
from explorer.viewer.kit.files import cached_file
from explorer.viewer.kit.pack import compress
from explorer.viewer.matrix.source import Direction
from explorer.viewer.matrix.store import ViewerStore
from explorer.viewer.matrix.viewer import STYLE, AttentionViewer, token_names, viewer_value
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

TOP = 5


class InsideView(AttentionViewer):
    """Value: what `inside_value` returns, or None. Store, requests and keys are those of `AttentionViewer`; it says
    `vit:state` with {viewer, layer: the state, query, map, joint, without}."""

    html, css, words = "view.html", (STYLE, "view.css"), "view.words.json"
    script = "view.js"


class InsideSource:
    """Two panels for each state l = 0 ... L that enters layer l: the attention in layer l, mean over heads (zeros after
    the last layer), and the cosine similarity of the state's tokens."""

    signed = (False, True)

    def __init__(self, trace: Trace):
        self._trace = trace
        self.layers, self.grid, self.prefix, self.nbytes = trace.layers + 1, trace.grid, trace.prefix, trace.nbytes

    def matrices(self, layer: int) -> Tensor:
        unit = self._unit(layer)
        if layer == self._trace.layers:
            attention = torch.zeros(len(unit), len(unit), device=unit.device)
        else:
            attention = self._trace.attention(layer)[0].float().mean(0)
        return torch.stack([attention, unit @ unit.T]).cpu()

    def rows(self, layer: int, query: int, direction: Direction) -> Tensor:
        if direction != "to":
            raise ValueError("only what a token attends to is shown here")
        unit = self._unit(layer)
        if layer == self._trace.layers:
            attention = torch.zeros(len(unit), device=unit.device)
        else:
            attention = self._trace.attention(layer, query)[0, :, 0].float().mean(0)
        return torch.stack([attention, unit @ unit[query]]).cpu()

    def _unit(self, layer: int) -> Tensor:
        return F.normalize(self._trace.residual[layer][0].float(), dim=-1)


def inside_value(
    model: VisionTransformer,
    trace: Trace,
    store: ViewerStore,
    picture: Image.Image,
    caption: Caption = "",
    again: Callable[[], InsideSource] | None = None,
) -> dict[str, Any]:
    """A value for `InsideView`. `trace`: of `picture`, which is what the model saw of it; `again`: see `ViewerStore`.

    The file `numbers`, S = L+1 states of N tokens and n patches, little-endian: float32 norms [S, N], entropy [L, N] in
    nats, certainty [S, N] of the lens, scores [S, n, 3] of the joint components, scores [S, n, 3] of each state's own;
    then uint16 classes [S, N] of the lens, and uint8 marks [S, N] of artefacts. `lens` is None without a head.
    """
    states, tokens = trace.layers + 1, trace.tokens
    joint, own = token_components(model, trace, joint=True), token_components(model, trace, joint=False)
    marked = artefacts(trace)
    share = artefact_share(trace, marked)
    lens, certainty, classes = None, np.zeros((states, tokens)), np.zeros((states, tokens))
    if model.config.classes:
        read = [read_tokens(model, trace, state) for state in range(states)]
        certainty = np.stack([on_host(one.probabilities) for one in read])
        classes = np.stack([on_host(one.classes) for one in read])
        lens = _lens(model, trace, classes)
    floats = (token_norms(trace), token_entropy(trace), certainty, joint.scores, own.scores)
    numbers = b"".join(
        [
            *(on_host(part).astype("<f4").tobytes() for part in floats),
            classes.astype("<u2").tobytes(),
            on_host(marked).astype(np.uint8).tobytes(),
        ]
    )
    base = viewer_value(
        InsideSource(trace),
        store,
        again=again,
        picture=picture,
        shown_layer=trace.layers - 1,
        query=0 if trace.prefix else trace.tokens // 2,
        prefix_names=token_names(model.config),
        mean=False,
        direction=False,
        caption=caption,
    )
    return base | {
        "numbers": cached_file(compress(numbers), "inside.bin"),
        "lens": lens,
        "explained": {"joint": _rounded(joint.explained), "own": _rounded(own.explained)},
        "artefacts": {"shares": _rounded(share.shares), "fair": _rounded(share.fair)},
    }


def _lens(model: VisionTransformer, trace: Trace, classes: np.ndarray) -> dict[str, Any]:
    """The most probable classes of every state, and the labels of all classes that any token is read as."""
    top = top_by_layer(model, trace, TOP)
    pairs = zip(top.classes.tolist(), _rounded(top.probabilities), strict=True)
    rows = [list(map(list, zip(*pair, strict=True))) for pair in pairs]
    present = np.unique(np.concatenate([classes.ravel(), on_host(top.classes).ravel()]))
    return {"top": rows, "labels": {str(index): model.labels[index] for index in present.tolist()}}


def _rounded(values: Tensor) -> list:
    return np.round(on_host(values).astype(np.float64), 5).tolist()
