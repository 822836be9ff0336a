"""Download of a run's checkpoint as a zipped Hugging Face folder, or push to the Hugging Face Hub with a model card."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
import huggingface_hub
from gradio.utils import get_upload_folder

from explorer.tabs.train.runs.access import RunAccess
from explorer.tabs.train.runs.checkpoints import checkpoint_keys, checkpoint_of, run_of
from explorer.ui.errors import plain_errors
from explorer.ui.words import say, words
from training.publish import hub
from training.publish.card import model_card
from training.publish.export import export
from training.runs.runs import CheckpointInfo, Run
from vit_model.files.private import private_folder

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build(access: RunAccess, selected: gr.State) -> None:
    """Build the panel inside an open tab. `selected`: the id of the run whose checkpoints are offered, or None."""
    with gr.Accordion(words("take_title"), open=False, elem_id="take") as part:
        checkpoint = gr.Dropdown(
            [],
            label=words("take_checkpoint"),
            info=words("take_checkpoint_info"),
            allow_custom_value=True,  # choices change after the page was made; what comes is checked
            elem_id="take-checkpoint",
        )
        with gr.Row():
            pack = gr.Button(words("take_zip"), size="sm", scale=0, min_width=280, elem_id="take-zip")
            file = gr.File(visible=False, label=words("take_zip_file"), height=60, elem_id="take-file")
        with gr.Accordion(words("take_hub"), open=False, elem_id="take-hub"):
            gr.Markdown(words("take_hub_info"), elem_classes="subdued")
            with gr.Row():
                repo = gr.Textbox(label=words("take_repo"), info=words("take_repo_info"), elem_id="take-repo")
                private = gr.Checkbox(True, label=words("take_private"), scale=0, min_width=120, elem_id="take-private")
                overwrite = gr.Checkbox(
                    False, label=words("take_overwrite"), scale=0, min_width=200, elem_id="take-overwrite"
                )
            push = gr.Button(words("take_push"), size="sm", elem_id="take-push")
            pushed = gr.Markdown(elem_id="take-pushed")

    def offered(request: gr.Request, run_id: str | None, chosen: str | None):
        return _offered(access, request, run_id, chosen)

    @plain_errors
    def packed(request: gr.Request, run_id: str | None, key: str, progress=gr.Progress()):  # noqa: B008 - gradio's way
        run = run_of(run_id, access, request)
        info = checkpoint_of(run, key, request)
        progress(None, desc=say(request, "take_packing", file="model.safetensors"))
        return gr.File(str(zipped(run, info)), visible=True)

    @plain_errors
    def to_hub(
        request: gr.Request,
        login: gr.OAuthToken | None,
        run_id: str | None,
        key: str,
        repo: str,
        private: bool,
        overwrite: bool,
    ):
        run = run_of(run_id, access, request)
        info = checkpoint_of(run, key, request)
        name = hub.checked_id((repo or "").strip())
        token = token_for(access, request, login)
        url = hub.push(run, info.step, name, token, private=bool(private), overwrite=bool(overwrite))
        return say(request, "take_pushed", repo=name, url=url)

    selected.change(offered, [selected, checkpoint], checkpoint, **QUIET)
    part.expand(offered, [selected, checkpoint], checkpoint, **QUIET)
    checkpoint.focus(offered, [selected, checkpoint], checkpoint, **QUIET)
    pack.click(
        packed,
        [selected, checkpoint],
        file,
        api_visibility="private",
        concurrency_id="pack",
        concurrency_limit=2,
        show_progress_on=file,
    )
    push.click(
        to_hub,
        [selected, checkpoint, repo, private, overwrite],
        pushed,
        api_visibility="private",
        concurrency_id="push",
        concurrency_limit=2,
    )


def zipped(run: Run, checkpoint: CheckpointInfo) -> Path:
    """Make a zip in the app's cache with the folder of a checkpoint as transformers opens it, and its model card. Made
    anew only where the checkpoint or the card has changed; weights hardly shrink, so nothing is compressed."""
    name = f"{_file_name(run.name)}-step-{checkpoint.step}"
    known = [model_card(run, checkpoint), str(checkpoint.path)]
    known += [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in _files(checkpoint.path)]
    cache = Path(get_upload_folder()) / f"vit-explorer-{hashlib.sha256(repr(known).encode()).hexdigest()[:40]}"
    target = cache / f"{name}.zip"
    if target.is_file():
        os.utime(target)  # or the cache's cleaning might take it before it is fetched
        return target
    private_folder(cache)
    with tempfile.TemporaryDirectory(dir=cache) as beside:
        folder = export(run, checkpoint.step, Path(beside) / name)
        draft = Path(beside) / "draft.zip"
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            for file in _files(folder):
                archive.write(file, f"{name}/{file.name}")
        os.replace(draft, target)
    return target


def token_for(access: RunAccess, request: gr.Request, login: gr.OAuthToken | None) -> str:
    """Return the token of the visitor's login; on loopback, where the host is the visitor, that of the environment.
    ValueError if there is neither: nobody else ever pushes with the host's token."""
    if login is not None:
        return login.token
    token = huggingface_hub.get_token() if access.is_open(request) else None
    if not token:
        raise ValueError(say(request, "take_no_token"))
    return token


def _offered(access: RunAccess, request: gr.Request, run_id: str | None, chosen: str | None) -> Any:
    """Return the dropdown with the run's checkpoints as they are now, keeping the choice if it is still there."""
    try:
        keys = checkpoint_keys(run_of(run_id, access, request), request) if run_id else []
    except ValueError:
        keys = []
    known = [key for _, key in keys]
    value = chosen if chosen in known else known[0] if known else None
    return gr.Dropdown(choices=keys, value=value)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("state."))


def _file_name(name: str) -> str:
    """Make a run's name, which may be anything, safe as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run"
