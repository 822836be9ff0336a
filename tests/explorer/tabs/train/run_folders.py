"""Runs as a worker leaves them, written without training: for the tests of the history and the results."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from training.config import RunConfig
from training.runs.metrics import MetricEvent, append_events
from training.runs.processes import Process
from training.runs.runs import Run, Runs
from training.storage.jsonfile import write_json
from vit_model import VisionTransformer, ViTConfig, save_model

HOSTILE = ("<img src=x onerror=window.hacked=1>", "../../etc/passwd", "=cmd()", "猫 & <b>狗</b>")


def write_pictures(folder: Path, classes: tuple[str, ...], each: int = 3) -> Path:
    """A data set of one folder a class with a test part; class k is a square of colour k."""
    for split in ("train", "test"):
        for number, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            for index in range(each):
                pixels = np.full((40, 48, 3), 40 + 20 * index % 200, np.uint8)
                pixels[8:32, 8:32] = [40 + 50 * number % 200, 200 - 40 * number % 200, 60 * number % 200]
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


def write_run(
    runs: Runs,
    name: str,
    *,
    owner: str | None = None,
    steps: int = 40,
    ended: str = "finished",
    checkpoints: tuple[int, ...] = (20, 40),
    classes: tuple[str, ...] = (),
    pictures: int = 0,
    level: float = 0.8,
    live: bool = False,
    **config,
) -> Run:
    """A run with curves that reach `level`, tiny checkpoints and, with `classes`, results on both splits: `pictures` of
    each class, of which the first is taken for the next class with growing confidence."""
    config = RunConfig.from_dict({"steps": steps, "recipe": "scratch-tiny", **config})
    run = runs.create(config, owner=owner, name=name, queue=False)
    write_events(run, steps, level)
    write_json(run.path / "progress.json", {"step": steps, "steps": steps, "seconds": 3.5 * steps, "phase": "train"})
    write_json(run.path / "best.json", {"step": checkpoints[0] if checkpoints else 0, "accuracy": level})
    for step in checkpoints:
        write_checkpoint(run, step, classes or ("a", "b"))
    if classes:
        for split in ("val", "test"):
            write_results(run, split, classes, pictures, checkpoints[0] if checkpoints else 0)
    if live:
        write_json(run.path / "process.json", Process.current().to_dict() | {"attempt": 1})
    else:
        write_json(run.path / "process.json", {"attempt": 1})
        write_json(run.path / "ended.json", {"state": ended, "reason": "", "time": 0})
    return run


def write_events(run: Run, steps: int, level: float, start: int = 1) -> None:
    events = []
    for step in range(start, steps + 1):
        values = {"loss": 2 * math.exp(-step / 15) + 0.1 + 0.05 * math.sin(7 * step), "lr": 1e-3 * (1 - step / steps)}
        events.append(MetricEvent(step, step / 10, 3.5 * step, "train", values))
        if step % 5 == 0:
            values = {"loss": 2 * math.exp(-step / 12) + 0.2, "accuracy": level * (1 - math.exp(-step / 8))}
            events.append(MetricEvent(step, step / 10, 3.5 * step, "val", values))
    append_events(run.path / "events.jsonl", events)


def write_checkpoint(run: Run, step: int, classes: tuple[str, ...]) -> Path:
    config = ViTConfig(
        image_size=32, patch_size=8, width=48, depth=2, heads=3, mlp_width=96, classes=len(classes), dropout=0.0
    )
    model = VisionTransformer(config, labels=list(classes)).eval()
    folder = run.path / "checkpoints" / f"step-{step:08d}"
    return save_model(model, folder)


def write_results(run: Run, split: str, classes: tuple[str, ...], each: int, step: int) -> None:
    """Answers on `each` pictures a class: picture 0 of each class is named wrong."""
    label = np.repeat(np.arange(len(classes)), each)
    index = np.arange(len(label))
    predicted = np.where(index % each == 0, (label + 1) % len(classes), label)
    probability = (0.5 + 0.45 * (index + 1) / len(label)).astype(np.float32)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (label, predicted), 1)
    folder = run.path / "results"
    folder.mkdir(exist_ok=True)
    arrays = {"index": index, "label": label, "predicted": predicted, "probability": probability}
    save_file(
        {name: array.astype(np.int64) if name != "probability" else array for name, array in arrays.items()},
        folder / f"{split}.safetensors",
    )
    right = float((label == predicted).mean())
    write_json(
        folder / f"{split}.json",
        {
            "split": split,
            "step": step,
            "loss": 0.5,
            "accuracy": right,
            "classes": list(classes),
            "confusion": confusion.tolist(),
            "per_class": [1 - 1 / each] * len(classes),
        },
    )
