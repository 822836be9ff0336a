"""Data sets and models that a visitor may train on, and the shelf for uploads that runs still need."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from explorer.tabs.train.new.values import FieldError
from explorer.ui.visitors.uploads import uploaded_checkpoint
from explorer.ui.words import say
from training.data.datasets import cache_folder
from training.runs.runs import Runs
from vit_model import SIZES
from vit_model.checkpoints.known import KNOWN, SHIPPED
from vit_model.checkpoints.zoo import HUB_PREFIX
from vit_model.files.private import private_folder
from vit_model.messages import message_of

NAMED_SETS = ("shapes", "cifar10", "cifar100", "pets", "flowers102")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz")
UPLOAD = "upload:"  # before the file name in the data or model box: the file in the upload box below
RESNET = "resnet18"
NEW = "new:"
UNUSED_SECONDS = 3600  # an upload that no run names is kept this long, as its run may be about to be created

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,100})?")


def data_source(text: str | None, archive: str | None, local: bool, request: gr.Request | None) -> str:
    """Turn a visitor's text or upload into a source for `open_dataset`. `local`: whether paths of this computer count.
    FieldError, in the visitor's language, for anything else."""
    text = (text or "").strip()
    if text in NAMED_SETS:
        return text
    if text.startswith("hf:") and _HUB_ID.fullmatch(text[3:]):
        return text
    if text.startswith(UPLOAD):
        return _uploaded(text, [archive] if archive else [], "data", request)
    if local and text and os.path.exists(os.path.expanduser(text)):
        return str(Path(text).expanduser().resolve())
    if local and text and Path(text).name == text and os.path.exists(cache_folder() / text):
        return text
    raise FieldError("data", say(request, "train_bad_data_local" if local else "train_bad_data", name=text[:200]))


def model_source(text: str | None, files: Sequence[str] | None, local: bool, request: gr.Request | None) -> str:
    """Turn a visitor's text or upload into a model for the trainer, like `data_source`."""
    text = (text or "").strip()
    if text in SHIPPED or text == RESNET or any(known.key == text for known in KNOWN):
        return text
    if text.startswith(NEW) and text.removeprefix(NEW) in SIZES:
        return text
    if text.startswith(UPLOAD):
        _uploaded(text, files or [], "model", request)
        try:
            return str(uploaded_checkpoint(files or [], request)[0])
        except ValueError as error:
            raise FieldError("model", message_of(error)) from error
    file = text.removeprefix(f"{RESNET}:")
    if local and file and os.path.exists(os.path.expanduser(file)):
        return text[: len(text) - len(file)] + str(Path(file).expanduser().resolve())
    if _HUB_ID.fullmatch(text.removeprefix(HUB_PREFIX)):
        return HUB_PREFIX + text.removeprefix(HUB_PREFIX)  # never a path
    raise FieldError("model", say(request, "train_bad_model", name=text[:200]))


def upload_name(files: Sequence[str] | str | None, weights: Sequence[str] = ()) -> str:
    """Return the text of the data or model box for uploaded files: the archive's name, or the weights file's."""
    paths = [Path(file) for file in ([files] if isinstance(files, str) else files or [])]
    named = [path for path in paths if path.suffix in weights] or paths
    return UPLOAD + named[0].name if named else ""


def kept(source: str, runs: Runs) -> str:
    """Move a file or folder to where it stays as long as a run names it. The page's uploads expire within hours, but a
    run may be resumed after days. Copies without use are removed on the way."""
    path = Path(source)
    shelf = runs.folder / "uploads"
    private_folder(shelf)
    _sweep(shelf, runs)
    place = shelf / hashlib.sha256(_content(path)).hexdigest()[:32]
    if not place.is_dir():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=shelf))
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, draft / path.name)
        try:
            draft.rename(place)
        except OSError:
            shutil.rmtree(draft)
            if not place.is_dir():  # it is there if another request was faster
                raise
    os.utime(place)
    return str(next(place.iterdir()).resolve())


def _uploaded(text: str, files: Sequence[str], field: str, request: gr.Request | None) -> str:
    name = text.removeprefix(UPLOAD)
    match = next((file for file in files if Path(file).name == name and Path(file).exists()), None)
    if match is None:
        raise FieldError(field, say(request, "train_no_upload", name=name[:200]))
    return match


def _content(path: Path) -> bytes:
    """Hash names and bytes."""
    digest = hashlib.sha256(path.name.encode())
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with open(file, "rb") as opened:
            digest.update(file.name.encode() + hashlib.file_digest(opened, "sha256").digest())
    return digest.digest()


def _sweep(shelf: Path, runs: Runs) -> None:
    """Remove uploads that no run names, unless they have just come."""
    named = json.dumps([run.read("run.json") for run in runs.list()])
    for place in shelf.iterdir():
        if place.name not in named and place.stat().st_mtime < time.time() - UNUSED_SECONDS:
            shutil.rmtree(place, ignore_errors=True)
