"""take_step: one optimiser step of a run.

augment -> forward -> loss -> backward, over the parts of the batch -> clip -> step -> average. Where a part does not
fit into memory the parts are halved and their number doubled, so that the batch stays what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from training import parallel
from training.augment import augment
from training.errors import TrainingError
from training.evaluate import autocast
from training.optimise import average, grad_norm
from training.randomness import seed_torch

if TYPE_CHECKING:
    from training.loop import Training

Step = tuple[Tensor, Tensor, Tensor]
"""(mean loss, norm of the gradient, share of right answers), over all processes."""


def take_step(training: Training, rate: float) -> Step:
    """The next step of `training`, at learning rate `rate`. TrainingError where not even the smallest part fits."""
    pixels, labels, rows = training.feed.batch(training.step, training.rank, training.world)
    while True:
        try:
            norms = _try_step(training, rate, pixels, labels, rows)
            training.step += 1
            return norms
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            part = len(labels) // training.accumulation
            if part < 2 or part % 2 or training.world > 1:
                raise TrainingError(
                    f"out of memory with {part} pictures at once; choose a smaller batch, resolution or model"
                ) from error
        training.accumulation *= 2
        training.optimisers.zero_grad()
        if training.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"out of memory: {part // 2} pictures at once instead of {part}, in {training.accumulation} parts; the "
              f"batch of {training.config.batch} stays", flush=True)  # fmt: skip


def _try_step(training: Training, rate: float, pixels: Tensor, labels: Tensor, rows: slice) -> Step:
    config, model, device = training.config, training.wrapped, training.device
    optimisers, scaler = training.optimisers, training.scaler
    optimisers.set_rate(rate)
    x, targets = augment(pixels, labels, config, training.model.preprocessing, training.step, rows)
    total, right = torch.zeros((), device=device), torch.zeros((), device=device)
    size = len(labels) // training.accumulation
    for part in range(training.accumulation):
        own = slice(part * size, (part + 1) * size)
        seed_torch(config.seed, "model", training.step, part * training.world + training.rank)
        with parallel.without_sync(model, part + 1 < training.accumulation):
            with autocast(device, config.precision):
                logits = model(x[own])
            pair = logits if isinstance(logits, tuple) else (logits,)  # DeiT: a head for each token
            losses = sum(targets.part(own).loss(one.float(), config.label_smoothing) for one in pair) / len(pair)
            scaler.scale(losses.sum() / len(labels)).backward()
        total += losses.detach().sum()
        right += (pair[0].detach().argmax(-1) == labels[own]).sum()
    for part in optimisers.parts:
        scaler.unscale_(part)
    parameters = optimisers.parameters()
    norm = nn.utils.clip_grad_norm_(parameters, config.clip) if config.clip else grad_norm(parameters)
    optimisers.step(scaler)
    optimisers.zero_grad()
    if training.averaged is not None:
        average(training.averaged, training.model, config.ema, training.step)
    return parallel.mean(total / len(labels)), norm, parallel.mean(right / len(labels))


def is_out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate memory" in words
