"""manifest_of: what every file that is taken away from the page says of where it comes from."""

from __future__ import annotations

from explorer.export import manifest_for
from explorer.session import Scene


def manifest_of(scene: Scene, view: str, **choices: object) -> dict:
    """`manifest_for` of a scene on the tab `view`. A tab's NPZ carries it, and the values of its components under
    "manifest", for the PNGs that the browser saves of them (base.js, `savePng`). The model goes by the name that the
    page calls it, not by its source, which may be a path on this computer."""
    return manifest_for(scene.model, scene.picture_hash, view=view, **choices) | {"model": scene.name}
