"""Checkpoints of a run: folders that appear complete, by one rename, and open like any other model.

`config.json`, `model.safetensors` and `preprocessor_config.json` are what is evaluated and explored (the moving
average, where there is one). Beside them `state.safetensors` (raw weights, moving average, optimiser) and `state.json`
(step, time, what was best so far) are what a resume needs; they are kept with the last checkpoint only.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.storage.disk import check_room, naming_a_full_disk
from training.storage.jsonfile import read_json, sync_folder, write_json
from vit_model import VisionTransformer, load_model, save_model
from vit_model.errors import CodedError
from vit_model.messages import message

if TYPE_CHECKING:
    from training.loop.build import TrainedModel

NAME = re.compile(r"step-(\d{8,})")
STATE = ("state.safetensors", "state.json")


def folder_name(step: int) -> str:
    return f"step-{step:08d}"


def complete(checkpoints: Path) -> dict[int, Path]:
    """Return step -> folder of every checkpoint, in order."""
    if not checkpoints.is_dir():
        return {}
    found = ((NAME.fullmatch(path.name), path) for path in checkpoints.iterdir() if path.is_dir())
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def save_checkpoint(
    checkpoints: Path,
    step: int,
    model: TrainedModel,
    tensors: dict[str, Tensor],
    state: dict,
    keep: Callable[[int], bool],
) -> Path:
    """Write the checkpoint of `step`, on the disk when this returns, then delete those that `keep` does not name.
    A process killed at any moment leaves the former checkpoints as they were."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    target = checkpoints / folder_name(step)
    if not target.exists():
        beside = checkpoints / f".{target.name}"
        shutil.rmtree(beside, ignore_errors=True)
        check_room(checkpoints, checkpoint_bytes(model, tensors))
        try:
            with naming_a_full_disk(checkpoints):
                save_servable(model, beside)
                save_file(
                    {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, beside / STATE[0]
                )
                write_json(beside / STATE[1], state | {"step": step})
                for file in beside.iterdir():
                    with open(file, "rb+") as opened:
                        os.fsync(opened.fileno())
                sync_folder(beside)
        except BaseException:  # or half a checkpoint would fill the disk, and not even the reason could be written
            shutil.rmtree(beside, ignore_errors=True)
            raise
        beside.rename(target)
        sync_folder(checkpoints)
    for other, path in complete(checkpoints).items():
        if other == step:
            continue
        if keep(other):
            for name in STATE:
                (path / name).unlink(missing_ok=True)
        else:
            retired = path.with_name(f".{path.name}.old")  # one rename, so that nobody finds half of it
            path.rename(retired)
            shutil.rmtree(retired, ignore_errors=True)
    return target


def checkpoint_bytes(model: nn.Module, tensors: dict[str, Tensor]) -> int:
    """Count the bytes that a checkpoint takes on the disk; `tensors`: of its state, which only the last one keeps."""
    return servable_bytes(model) + sum(tensor.nbytes for tensor in tensors.values())


def servable_bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def clear_leftovers(checkpoints: Path) -> None:
    """Remove what a killed process had begun to write or to delete."""
    if checkpoints.is_dir():
        for path in checkpoints.iterdir():
            if path.name.startswith(".step-"):
                shutil.rmtree(path, ignore_errors=True)


def load_state(checkpoints: Path) -> tuple[dict[str, Tensor], dict] | None:
    """Read (tensors on the CPU, state) of the last checkpoint that can be resumed; None if there is none, and the run
    starts over."""
    for path in reversed(complete(checkpoints).values()):
        try:
            state = read_json(path / STATE[1])
            if state is None:
                continue
            with safe_open(path / STATE[0], "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, SafetensorError) as error:
            print(f"{path.name} cannot be resumed ({error}); trying the one before it", flush=True)
            continue
        return tensors, state
    return None


def write_best(run: Path, best: dict) -> None:
    """Write best.json: the step and accuracy of the best checkpoint."""
    write_json(run / "best.json", best)


def load_servable(folder: Path, like: TrainedModel) -> TrainedModel:
    """Load what `save_servable` wrote, as a model of the kind of `like`."""
    if isinstance(like, VisionTransformer):
        return load_model(folder)
    model = copy.deepcopy(like)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def save_servable(model: TrainedModel, folder: Path) -> None:
    """Save the model as a folder: Hugging Face's layout for a ViT, torchvision's keys for a ResNet-18."""
    if isinstance(model, VisionTransformer):
        save_model(model, folder)
        return
    folder.mkdir(parents=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise CodedError(
                message("unsaved_not_finite", "{name} holds NaN or infinite weights; nothing was saved", name=name)
            )
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    labels = {str(index): label for index, label in enumerate(model.labels)}
    config = {"model_type": "resnet18", "layout": "torchvision", "id2label": labels}
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=2), "utf-8")
    preprocessing = json.dumps(model.preprocessing.to_hugging_face(), indent=2)
    (folder / "preprocessor_config.json").write_text(preprocessing, "utf-8")
