"""A model's answers on a split: loss, accuracy, and every single prediction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from training.storage.jsonfile import write_json
from vit_model import Preprocessing

if TYPE_CHECKING:
    from training.loop.build import TrainedModel


@dataclass(frozen=True)
class Answers:
    """A model's answers for n pictures: true and predicted class [n] int64, the softmax probability of the
    prediction [n] and the cross-entropy [n], nats."""

    labels: Tensor
    predicted: Tensor
    probability: Tensor
    losses: Tensor

    @property
    def accuracy(self) -> float:
        return (self.predicted == self.labels).double().mean().item()

    @property
    def loss(self) -> float:
        return self.losses.double().mean().item()


@torch.no_grad()
def evaluate(
    model: TrainedModel, pictures, labels: Tensor, batch: int, precision: str, device: torch.device
) -> Answers:
    """Evaluate a model on `pictures` (a loader.Pictures at the model's resolution). Of several processes each takes its
    share, and all of them get all answers."""
    was_training = model.training
    model.eval()
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    own = torch.arange(rank, len(labels), world)
    outputs = []
    plan = list(own.split(batch))
    for positions, pixels in zip(plan, pictures.ahead(plan), strict=True):
        x = normalise(pixels, model.preprocessing)
        with autocast(device, precision):
            logits = model(x)
        logits = logits.float()
        truth = labels[positions].to(device)
        probability, predicted = logits.softmax(-1).max(-1)
        losses = F.cross_entropy(logits, truth, reduction="none")
        outputs.append(torch.stack([predicted.float(), probability, losses], 1))  # float32 holds any class's number
    model.train(was_training)
    answers = torch.zeros(len(labels), 3, device=device)
    if outputs:
        answers[own.to(device)] = torch.cat(outputs)
    if world > 1:
        dist.all_reduce(answers)
    predicted, probability, losses = answers.cpu().unbind(1)
    return Answers(labels, predicted.long(), probability, losses)


def normalise(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalise uint8 [B, C, h, w] as `Preprocessing` does."""
    mean, std = (torch.tensor(v, device=pixels.device).view(-1, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    return pixels.float().mul_(preprocessing.rescale).sub_(mean).div_(std)


def autocast(device: torch.device, precision: str):
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def write_results(
    folder: Path,
    split: str,
    step: int,
    checkpoint: int,
    answers: Answers,
    indices: Sequence[int] | np.ndarray,
    classes: Sequence[str],
) -> None:
    """Write results/<split>.json with the confusion matrix (rows true, columns predicted), and
    results/<split>.safetensors with each picture's index in the data set's split, label, prediction and its
    probability. `step`: when it was measured; `checkpoint`: the step whose weights answered."""
    folder.mkdir(exist_ok=True)
    count = len(classes)
    pairs = answers.labels * count + answers.predicted
    confusion = torch.bincount(pairs, minlength=count * count).view(count, count)
    right, total = confusion.diagonal(), confusion.sum(1)
    tensors = {
        "index": torch.as_tensor(indices, dtype=torch.int64),
        "label": answers.labels,
        "predicted": answers.predicted,
        "probability": answers.probability,
    }
    beside = folder / f".{split}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, beside)
    beside.replace(folder / f"{split}.safetensors")
    write_json(
        folder / f"{split}.json",
        {
            "split": split,
            "step": step,
            "checkpoint": checkpoint,
            "loss": answers.loss,
            "accuracy": answers.accuracy,
            "classes": list(classes),
            "confusion": confusion.tolist(),
            "per_class": [r / t if t else None for r, t in zip(right.tolist(), total.tolist(), strict=True)],
        },
    )
