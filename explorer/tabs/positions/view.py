"""PositionsView: how alike the position embeddings are, one map for every position (ViT paper, Figure 7).

The browser gets the embeddings themselves instead of the gh*gw x gh*gw similarities: 0.3 MB at 14x14 and 6 at 64x64 for
ViT-B, where int8 similarities would take 17. Cosine, dot product and every scale are then choices made in the browser.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from explorer.viewer.kit.component import Caption, Component
from explorer.viewer.kit.files import cached_file
from vit_model.errors import quoted

_ROWS = 512  # similarity rows held at a time while their range is computed


def positions_value(
    native: Any,
    native_grid: tuple[int, int],
    resampled: Any = None,
    new_grid: tuple[int, int] | None = None,
    *,
    kind: Literal["cosine", "dot"] = "cosine",
    names: tuple[Caption, Caption] | None = None,
    caption: Caption = "",
) -> dict:
    """Return a value for `PositionsView`: position embeddings [gh*gw, D], without prefix tokens, of one grid or of two.

    `native` and `resampled` are tensors or arrays; `names` captions the two, each a string or {"en": ..., "zh": ...};
    `caption` goes with a saved picture (say the model there).
    `kind` is what is shown first. Numbers in the browser are within 1e-4 of the float32 similarities (int16, scaled per
    position). ValueError where an array does not have a row per position, or holds a number that is not finite.
    """
    if kind not in ("cosine", "dot"):
        raise ValueError(f"kind must be 'cosine' or 'dot', got {quoted(kind)}")
    if (resampled is None) != (new_grid is None):
        raise ValueError("resampled embeddings and new_grid go together; pass both or neither")
    default = ({"en": "Native", "zh": "原生"}, {"en": "Interpolated", "zh": "插值后"})
    given = [(native, native_grid)] + ([] if resampled is None else [(resampled, new_grid)])
    grids = [_grid(*pair, name) for pair, name in zip(given, names or default, strict=False)]
    return {"grids": grids, "kind": kind, "caption": caption}


def pack_embeddings(embeddings: np.ndarray) -> bytes:
    """Pack [N, D] float32 as N float32 scales, then N*D int16: embeddings[n] = int16[n] * scale[n], little-endian."""
    largest = np.abs(embeddings).max(axis=1)
    scales = (np.where(largest > 0, largest, 1) / 32767).astype("<f4")
    return scales.tobytes() + np.rint(embeddings / scales[:, None]).astype("<i2").tobytes()


def similarity_range(embeddings: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest of all dot products of the rows of [N, D]."""
    low = min(float((embeddings[at : at + _ROWS] @ embeddings.T).min()) for at in range(0, len(embeddings), _ROWS))
    return low, float((embeddings**2).sum(axis=1).max())  # no dot product is above the largest square (Cauchy-Schwarz)


class PositionsView(Component):
    """The mosaic of position similarities, native and interpolated; value: `positions_value(...)` or None."""

    html, css, words = "view.html", ("view.css",), "view.words.json"
    script = "view.js"


def _grid(embeddings: Any, grid: tuple[int, int], name: Caption) -> dict:
    embeddings = np.ascontiguousarray(embeddings, np.float32)
    if embeddings.ndim != 2 or len(embeddings) != grid[0] * grid[1]:
        raise ValueError(
            f"a {grid[0]}x{grid[1]} grid needs embeddings [{grid[0] * grid[1]}, D] without prefix tokens, "
            f"got {list(embeddings.shape)}"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("position embeddings hold NaN or infinity; the checkpoint is damaged")
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    ranges = {
        "cosine": similarity_range(embeddings / np.where(norms > 0, norms, 1)),
        "dot": similarity_range(embeddings),
    }
    return {
        "name": name,
        "grid": list(grid),
        "width": embeddings.shape[1],
        "range": {kind: list(pair) for kind, pair in ranges.items()},
        "file": cached_file(pack_embeddings(embeddings), "positions.bin"),
    }
