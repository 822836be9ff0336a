"""The pre-flight: an estimate of a run from a few dry steps on real pictures; and the batch that the model will see."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from training.config import RunConfig
from training.data.augment import augment
from training.data.feed import Feed
from training.loop.checkpoint import checkpoint_bytes, servable_bytes
from training.loop.loop import open_training
from training.loop.parallel import device_of
from training.loop.snapshot import tensors_of
from training.loop.state import TrainingState
from training.loop.step import take_step
from training.runs import bounds
from training.runs.runs import Runs
from training.storage.disk import free_bytes
from vit_model import VisionTransformer

DRY_STEPS = 3  # after one to warm up
SAMPLE = 512  # pictures that the dry steps draw from


@dataclass(frozen=True)
class Preflight:
    """The estimate of a run on this machine. `steps` is None where minutes are the budget (`steps_in_budget` is the
    estimate then); `seconds` is of training alone, evaluations left out; `peak_bytes` of GPU memory, or of this
    process's memory; `disk_bytes`: of checkpoints, at most at once, where `disk_free` are; `batch_parts`: into how
    many parts the batch must be cut to fit, 1 for none."""

    parameters: int
    trainable_parameters: int
    pictures: int
    held_out: int
    classes: int
    resolution: tuple[int, int]
    grid: tuple[int, int] | None
    steps: int | None
    steps_in_budget: int
    epochs: float
    images_per_second: float
    seconds: float
    peak_bytes: int
    batch: int
    batch_parts: int
    device: str
    disk_bytes: int = 0
    disk_free: int = 0

    def to_dict(self) -> dict:
        return asdict(self)


def preflight(
    config: RunConfig,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    local_paths: bool = True,
    guest: bool = False,
) -> Preflight:
    """Build the model, take a few steps on real pictures at the final resolution, and throw all of it away.

    Where the batch does not fit, it is halved in accumulated parts until it does. Raises what the run itself would
    raise: ConfigError, DataError, CheckpointError, TrainingError.
    """
    dry = config.having(steps=DRY_STEPS + 1).having(stages=(), ema=config.ema, compile=False)
    with TemporaryDirectory() as folder:
        training = open_training(_Nowhere(Path(folder), progress, guest), dry, local_paths, sample=SAMPLE)
        if training.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(training.device)
        training.begin()
        seconds = []
        for step in range(DRY_STEPS + 1):
            began = time.monotonic()
            loss, *_ = take_step(training, rate=0.0)
            loss.item()  # wait for the device
            seconds.append(time.monotonic() - began)
            if progress:
                progress(step + 1, DRY_STEPS + 1, "")
        each = sorted(seconds[1:])[DRY_STEPS // 2]
    feed, model = training.feed, training.model
    per_epoch = max(feed.whole_count // config.batch, 1)
    steps = config.steps or (int(-(-config.epochs * per_epoch // 1)) if config.epochs else None)
    in_budget = steps or max(int(60 * (config.minutes or 0) / each), 1)
    needed = disk_needed(training, config, in_budget)
    if guest:
        bounds.VISITOR.check_steps(steps or 0)
        bounds.VISITOR.check_disk(needed)
    return Preflight(
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        pictures=feed.whole_count,
        held_out=len(feed.held_labels),
        classes=len(feed.classes),
        resolution=model.preprocessing.size,
        grid=model.config.grid if isinstance(model, VisionTransformer) else None,
        steps=steps,
        steps_in_budget=in_budget,
        epochs=in_budget / per_epoch,
        images_per_second=config.batch / each,
        seconds=in_budget * each,
        peak_bytes=training.memory,
        batch=config.batch,
        batch_parts=training.accumulation,
        device=str(training.device),
        disk_bytes=needed,
        disk_free=free_bytes(Runs().folder),
    )


def disk_needed(training: TrainingState, config: RunConfig, steps: int) -> int:
    """Count the bytes of the checkpoints of a run of so many steps: the best, those that are kept for good, the last
    with its state, and the one that is being written in its place. Measured after a step, when the optimiser has its
    state."""
    served, whole = servable_bytes(training.eval_model), checkpoint_bytes(training.eval_model, tensors_of(training))
    kept = steps // config.keep_every if config.keep_every else 0
    return 2 * whole + (1 + kept) * served


def augmented_batch(
    config: RunConfig, count: int = 8, *, local_paths: bool = True, guest: bool = False
) -> tuple[np.ndarray, list[str], tuple[int, int]]:
    """Return the first pictures of a run as the model will see them, augmented: (uint8 [count, h, w, 3], the target of
    each, e.g. "cat" or "cat 70 % + dog", the patch size (height, width))."""
    from training.loop.build import build_model

    device = device_of("cpu")
    config = replace(config, batch=min(config.batch, count), accumulation=1, device="cpu")
    feed = Feed(config, device, None, local_paths, sample=max(count, 16), guest=guest)
    if feed.count < config.batch:
        config = replace(config, batch=feed.count)
        feed = Feed(config, device, None, local_paths, sample=max(count, 16), guest=guest)
    model = build_model(replace(config, precision="fp32"), feed.classes, local_paths=local_paths, guest=guest)
    feed.prepare(model.preprocessing)
    pixels, labels, rows = feed.batch(0, 0, 1)
    x, targets = augment(pixels, labels, config, model.preprocessing, 0, rows)
    std, mean = (torch.tensor(v).view(-1, 1, 1) for v in (model.preprocessing.std, model.preprocessing.mean))
    shown = ((x * std + mean) / model.preprocessing.rescale).round().clamp(0, 255).to(torch.uint8)
    names = []
    for first, second, share in zip(*(t.tolist() for t in (targets.first, targets.second, targets.share)), strict=True):
        if first == second or share > 0.995:
            names.append(feed.classes[first])
        else:
            names.append(f"{feed.classes[first]} {share:.0%} + {feed.classes[second]} {1 - share:.0%}")
    patch = model.config.patch_size if isinstance(model, VisionTransformer) else model.preprocessing.size
    return shown.permute(0, 2, 3, 1).contiguous().numpy(), names, patch


@dataclass(frozen=True)
class _Nowhere:
    """A run folder for the dry steps, which nobody reads later."""

    path: Path
    progress: Callable[[int, int, str], None] | None
    guest: bool = False

    def write_progress(self, progress: dict) -> None:
        if self.progress and progress.get("note"):
            self.progress(0, 1, progress["note"])
