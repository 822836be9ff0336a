"""What the tabs' viewers share: where their numbers wait, and small readings of what a browser says."""

from __future__ import annotations

import os
from collections.abc import Callable

from explorer.session.scenes import KEPT, Scene
from explorer.viewer.matrix.source import Source
from explorer.viewer.matrix.store import ViewerStore

_BYTES = os.environ.get("VIT_EXPLORER_VIEWER_BYTES")
STORE = ViewerStore(int(_BYTES or 2 << 30), max_age_seconds=6 * 3600, most=None if _BYTES else KEPT)


def remade(scene: Scene, source_of: Callable[[Scene], Source]) -> Callable[[], Source] | None:
    """For the store: makes `source_of(scene)` again from the visitor's own picture. It keeps nothing of the scene."""
    again = scene.again
    return again and (lambda: source_of(again()))


def chosen_layer(state: dict, layers: int) -> int:
    """The layer that the browser says is in sight; the last where it says nothing sensible."""
    layer = state.get("layer")
    return layer if type(layer) is int and 0 <= layer < layers else layers - 1
