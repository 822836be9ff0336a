"""Downloads: NPZ and PNG files that carry a manifest saying where their numbers come from."""

from __future__ import annotations

import io
import json
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from explorer.device import on_host
from vit_model import VisionTransformer


def manifest_for(model: VisionTransformer, picture_hash: str | None, **choices: object) -> dict:
    """Return what a reader needs to make the numbers again: the model's source, format, SHA-256 and config, the
    picture's hash (None where no picture took part), the choices, the versions of libraries, and the date (UTC)."""
    return {
        "model": model.origin.source,
        "format": model.origin.format,
        "checksum_sha256": model.origin.checksum,
        "config": model.config.to_dict(),
        "picture_sha256": picture_hash,
        "choices": choices,
        "versions": _versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    return libraries | {"python": platform.python_version()}


def save_npz(path: str | Path, arrays: dict[str, np.ndarray], manifest: dict) -> None:
    """Write arrays, and the manifest as JSON text under the name `manifest`, as a compressed NPZ without pickle.

    Raises ValueError for an array called `manifest` and for arrays of objects, and TypeError for a manifest that JSON
    cannot hold; nothing is written then.
    """
    if "manifest" in arrays:
        raise ValueError("an array cannot be called 'manifest'; that name holds the manifest")
    plain = {name: on_host(array) for name, array in arrays.items()}
    if objects := [name for name, array in plain.items() if array.dtype.hasobject]:
        raise ValueError(f"arrays of objects cannot be saved without pickle: {', '.join(objects)}")
    text = np.array(json.dumps(manifest, ensure_ascii=False))
    held: dict[str, Any] = {"manifest": text} | plain
    np.savez_compressed(path, **held)


def load_npz(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return (arrays, manifest) of a file that `save_npz` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "manifest"}
        return arrays, json.loads(str(file["manifest"]))


def png_with(picture: Image.Image, manifest: dict) -> bytes:
    """Encode a PNG file that carries the manifest as the browser's own do (kit/scripts/saving.js): JSON in an iTXt
    chunk with the keyword "vit-explorer", which Pillow reads as `picture.text["vit-explorer"]`."""
    info, file = PngInfo(), io.BytesIO()
    info.add_itxt("vit-explorer", json.dumps(manifest, ensure_ascii=False))
    picture.save(file, "PNG", pnginfo=info)
    return file.getvalue()
