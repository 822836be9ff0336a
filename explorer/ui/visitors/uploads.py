"""uploaded_checkpoint: makes a source for `load_model` of the files that a visitor uploaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from explorer.ui.words import say
from vit_model.files.private import private_folder

WEIGHTS = (".safetensors", ".npz")
COMPANIONS = ("config.json", "preprocessor_config.json")
EXPIRY_SECONDS = 6 * 3600  # as long as Gradio keeps the uploads themselves


def uploaded_checkpoint(files: Sequence[str], request: gr.Request | None) -> tuple[Path, str]:
    """Return (file or folder to load, name to show) for one weights file and at most its two JSON files.

    Gradio keeps every upload in a folder of its own; those that belong together are brought together in a folder that
    is removed by the first upload after `EXPIRY_SECONDS` in which nobody uploaded the same again. ValueError, in the
    visitor's language, for any other set of files.
    """
    paths = [Path(file) for file in files]
    weights = [path for path in paths if path.suffix in WEIGHTS]
    others = {path.name: path for path in paths if path not in weights}
    if len(weights) != 1 or len(others) != len(paths) - 1 or not others.keys() <= set(COMPANIONS):
        if not paths:
            raise ValueError(say(request, "upload_none"))
        raise ValueError(say(request, "upload_one", names=", ".join(path.name for path in paths)))
    weight = weights[0]
    if not others:
        return weight, weight.name
    return _together({f"model{weight.suffix}": weight, **others}), weight.name


def _together(files: dict[str, Path]) -> Path:
    """Make a folder that holds `files` under the names given, the same folder for the same uploads."""
    base = Path(get_upload_folder()) / "vit-explorer-checkpoints"
    private_folder(base)
    _sweep(base)
    digest = hashlib.sha256("\n".join(sorted(map(str, files.values()))).encode()).hexdigest()  # paths name contents
    folder = base / digest[:32]
    if not folder.is_dir():
        draft = Path(tempfile.mkdtemp(dir=base))
        for name, path in files.items():
            _link(path, draft / name)
        try:
            draft.rename(folder)
        except OSError:
            shutil.rmtree(draft)
            if not folder.is_dir():  # it is there if another request made it in the meantime
                raise
    os.utime(folder)
    return folder


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)


def _sweep(base: Path) -> None:
    """Remove the folders that nobody used in the last `EXPIRY_SECONDS`."""
    oldest = time.time() - EXPIRY_SECONDS
    for folder in base.iterdir():
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)  # what Windows holds back, as it is in use, goes the next time
