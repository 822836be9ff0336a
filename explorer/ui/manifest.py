"""manifest_of: the manifest of every file downloaded from the page; saved_npz: an NPZ that carries one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from explorer.figures.export import manifest_for, save_npz
from explorer.session.scenes import Scene


def manifest_of(scene: Scene, view: str, **choices: object) -> dict:
    """Return `manifest_for` of a scene on the tab `view`. A tab's NPZ carries it, and the values of its components
    under "manifest", for the PNGs that the browser saves of them (kit/scripts/saving.js). The model goes by the name
    that the page calls it, not by its source, which may be a path on this computer."""
    return manifest_for(scene.model, scene.picture_hash, view=view, **choices) | {"model": scene.name}


def saved_npz(name: str, arrays: dict, manifest: dict) -> str:
    """Write an NPZ to the app's cache, where it expires like every other file, and return its path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        save_npz(path, arrays, manifest)
        return save_bytes_to_cache(path.read_bytes(), f"vit-explorer-{name}.npz", get_upload_folder())
