"""Take a checkpoint out of a run: the model with its card, without what a resume needs. Standard library only."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from training.publish.card import write_card
from training.runs.runs import CheckpointInfo, Run, RunError
from training.storage.disk import naming_a_full_disk
from vit_model.errors import quoted
from vit_model.messages import message

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


def chosen(run: Run, checkpoint: str | int | None = None) -> CheckpointInfo:
    """Find the checkpoint called "best", "last" or by its step; None means the best, or the last where none was held
    out to choose by. RunError names what there is."""
    there = run.checkpoints()
    if not there:
        raise RunError(message("no_checkpoint", "{run} has no checkpoint yet", run=run.id))
    if checkpoint is None:
        return run.best or there[-1]
    for one in there:
        if checkpoint in (one.step, str(one.step), one.best and "best", one.last and "last"):
            return one
    names = [*(["best"] if run.best else []), "last", *(str(one.step) for one in there)]
    text = "{run} has no checkpoint {name}; it has {names}"
    raise RunError(message("checkpoint_unknown", text, run=run.id, name=quoted(checkpoint), names=", ".join(names)))


def export(run: Run, checkpoint: str | int | None, folder: str | os.PathLike[str], repo_id: str | None = None) -> Path:
    """Copy the checkpoint that `chosen` finds into `folder`, which must be missing or empty and appears whole, with its
    model card (`repo_id`: the repository that it is going to be). Works in mid-run too. RunError says what is in the
    way, ConfigError that run.json is damaged."""
    target = Path(os.path.abspath(folder))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        text = "{folder} is there already and not empty; choose another folder"
        raise RunError(message("folder_taken", text, folder=folder))
    which = chosen(run, checkpoint)
    source = which.path
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    beside.mkdir()
    try:
        with naming_a_full_disk(target.parent, sum((source / name).stat().st_size for name in FILES)):
            for name in FILES:
                shutil.copyfile(source / name, beside / name)
            write_card(run, which, beside, repo_id)
        if target.exists():
            target.rmdir()
        beside.rename(target)
    except FileNotFoundError as error:
        text = "{file} of {run} lacks {name}, or was just replaced by a later checkpoint; try again"
        names = {"file": source.name, "run": run.id, "name": Path(error.filename).name}
        raise RunError(message("checkpoint_gone", text, **names)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target
