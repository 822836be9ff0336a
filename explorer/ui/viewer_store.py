"""The store of all tabs' viewers, and how a tab makes its source again."""

from __future__ import annotations

import os
from collections.abc import Callable

from explorer.session.scenes import KEPT, Scene
from explorer.viewer.matrix.source import Source
from explorer.viewer.matrix.store import ViewerStore

_BYTES = os.environ.get("VIT_EXPLORER_VIEWER_BYTES")
STORE = ViewerStore(int(_BYTES or 2 << 30), max_age_seconds=6 * 3600, most=None if _BYTES else KEPT)


def remade(scene: Scene, source_of: Callable[[Scene], Source]) -> Callable[[], Source] | None:
    """Return how to make `source_of(scene)` again from the visitor's own picture, holding nothing of the scene."""
    again = scene.again
    return again and (lambda: source_of(again()))


def chosen_layer(state: dict, layers: int) -> int:
    """Return the layer that the browser shows, by its state; the last if the state is invalid."""
    layer = state.get("layer")
    return layer if type(layer) is int and 0 <= layer < layers else layers - 1
