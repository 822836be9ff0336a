"""take_step: one optimiser step of a run.

augment -> forward -> loss -> backward, over the parts of the batch -> clip -> step -> average. Where a part does not
fit into memory the parts are halved and their number doubled, so that the batch stays what it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.data.augment import augment
from training.errors import TrainingError
from training.loop import parallel
from training.loop.evaluate import autocast
from training.loop.optimise import average, grad_norm
from training.loop.state import TrainingState
from training.randomness import seed_torch
from vit_model.messages import message

Step = tuple[Tensor, Tensor, Tensor]
"""(mean loss, norm of the gradient, accuracy), over all processes."""


def take_step(state: TrainingState, rate: float) -> Step:
    """Take the next step of a run, at learning rate `rate`. TrainingError if not even the smallest part fits into
    memory."""
    pixels, labels, rows = state.feed.batch(state.step, state.rank, state.world)
    while True:
        try:
            norms = _try_step(state, rate, pixels, labels, rows)
            state.step += 1
            return norms
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            part = len(labels) // state.accumulation
            if part < 2 or part % 2 or state.world > 1:
                text = "out of memory with {part} pictures at once; choose a smaller batch, resolution or model"
                raise TrainingError(message("out_of_memory", text, part=part)) from error
        state.accumulation *= 2
        state.optimisers.zero_grad()
        if state.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"out of memory: {part // 2} pictures at once instead of {part}, in {state.accumulation} parts; the "
              f"batch of {state.config.batch} stays", flush=True)  # fmt: skip


def _try_step(state: TrainingState, rate: float, pixels: Tensor, labels: Tensor, rows: slice) -> Step:
    config, model, device = state.config, state.wrapped, state.device
    optimisers, scaler = state.optimisers, state.scaler
    assert model is not None  # the state has begun
    optimisers.set_rate(rate)
    x, targets = augment(pixels, labels, config, state.model.preprocessing, state.step, rows)
    total, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    size = len(labels) // state.accumulation
    for part in range(state.accumulation):
        own = slice(part * size, (part + 1) * size)
        seed_torch(config.seed, "model", state.step, part * state.world + state.rank)
        with parallel.without_sync(model, part + 1 < state.accumulation):
            with autocast(device, config.precision):
                logits = model(x[own])
            pair = logits if isinstance(logits, tuple) else (logits,)  # DeiT: a head for each token
            each = [targets.part(own).loss(one.float(), config.label_smoothing) for one in pair]
            losses = sum(each[1:], start=each[0]) / len(pair)
            scaler.scale(losses.sum() / len(labels)).backward()
        total += losses.detach().sum()
        correct += (pair[0].detach().argmax(-1) == labels[own]).sum()
    for part in optimisers.parts:
        scaler.unscale_(part)
    parameters = optimisers.parameters()
    norm = nn.utils.clip_grad_norm_(parameters, config.clip) if config.clip else grad_norm(parameters)
    optimisers.step(scaler)
    optimisers.zero_grad()
    if state.ema_model is not None:
        average(state.ema_model, state.model, config.ema, state.step)
    return parallel.mean(total / len(labels)), norm, parallel.mean(correct / len(labels))


def is_out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate memory" in words
