"""`python -m benchmarks train`: our training step against timm's in a plain PyTorch loop and transformers' Trainer.

A step is batch -> augmentation -> forward -> backward -> clip -> AdamW, the same for all three: batch, precision,
shape, optimiser and augmentation (shift by an eighth with padding, flip, resize). Ours runs through `training.loop`;
the plain loop and the Trainer augment picture by picture with torchvision.transforms.v2, as such loops do, and are
measured once more on ready-made batches, so that what the model and what the data cost can be told apart. They take
turns in one run. Rows of a GPU are measured where there is one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmarks.peers import hugging_face, timm_model
from benchmarks.report import Result, machine, table, versions, write_json
from benchmarks.timing import medians, paired_ratio, ratio, take_turns
from training.config import RunConfig
from training.loop.build import new_config
from training.loop.loop import open_training
from training.loop.parallel import device_of
from training.loop.step import take_step

STEPS = 3  # in one turn


@dataclass(frozen=True)
class Case:
    """A model at a resolution; `gpu` for those that only a GPU can afford."""

    size: str
    resolution: int
    batch: int
    precision: str
    gpu: bool = False
    quick: bool = False

    def __str__(self) -> str:
        return f"{self.size} at {self.resolution} px, batch {self.batch}, {self.precision}"


CASES = (
    Case("Ti/16", 224, 16, "bf16", quick=True),
    Case("Ti/16", 224, 16, "fp32"),
    Case("scratch-vit4", 32, 64, "bf16", quick=True),
    Case("scratch-vit4", 32, 64, "fp32"),
    Case("scratch-vit2", 32, 32, "bf16"),
    Case("B/16", 224, 256, "bf16", gpu=True),
    Case("S/16", 224, 512, "bf16", gpu=True),
)
TINY = Case("scratch-vit4", 32, 4, "bf16")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks train", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and cases")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--gpu", action="store_true", help="the rows of a GPU alone, in three rounds")
    parser.add_argument("--tiny", action="store_true", help="one tiny case in one round, to see that everything runs")
    options = parser.parse_args(words)
    device = device_of(options.device)
    about = machine() | versions() | {"device": _name(device)}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    results: list[Result] = []
    chosen = [case for case in CASES if case.gpu or not options.gpu]
    for case in (TINY,) if options.tiny else chosen:
        if (case.gpu and device.type != "cuda") or (options.quick and not case.quick):
            continue
        found = list(measure(case, device, rounds=1 if options.tiny else 3 if options.quick or options.gpu else 9))
        print("\n" + table(found), flush=True)
        results += found
        write_json(options.json, "train", results)
    missed = sum(result.met is False for result in results)
    print(f"\n{missed} of {sum(result.met is not None for result in results)} targets missed")
    if not any(case.gpu for case in CASES) or device.type != "cuda":
        print("GPU rows: not measured, there is no GPU here")


def measure(case: Case, device: torch.device, rounds: int) -> Iterator[Result]:
    group = f"Training step: {case}"
    config = RunConfig(
        model=f"new:{case.size}",
        data="shapes",
        resolution=case.resolution,
        batch=case.batch,
        precision=case.precision,
        optimizer="adamw",
        lr=1e-4,
        weight_decay=0.05,
        clip=1.0,
        crop="pad",
        flip=True,
        head_init="random",
        steps=10**6,
        held_out=0.01,
        device=str(device),
    )
    with tempfile.TemporaryDirectory() as folder:
        ours = open_training(_Folder(Path(folder)), config)
        ours.begin()
        store, labels = ours.feed.train.fetch(torch.arange(512)).cpu(), ours.feed.labels[:512]
        shape = replace(new_config(config), classes=len(ours.feed.classes))
        waited = ours.feed.waited
        turns = {"ours": lambda: _timed(lambda: [take_step(ours, 1e-4) for _ in range(STEPS)][-1][0].item())}
        loops = {
            "timm, plain loop": Plain(timm_model(shape), case, device, store, labels),
            "transformers Trainer": HuggingFace(hugging_face(shape, "sdpa"), case, device, store, labels),
        }
        for name, loop in loops.items():
            turns[name] = lambda loop=loop: loop.turn(augmented=True)
            turns[f"{name}, ready-made batches"] = lambda loop=loop: loop.turn(augmented=False)
        began = time.perf_counter()
        times = take_turns(turns, rounds)
        share = (ours.feed.waited - waited) / (time.perf_counter() - began)
    for name, seconds in medians(times).items():
        yield Result(group, name, STEPS * case.batch / seconds, "images/s")
    target = 1 / 1.1 if device.type == "cuda" else 1.0
    for name in loops:
        for base in (name, f"{name}, ready-made batches"):
            paired = paired_ratio(times, "ours", base)
            yield Result(
                group,
                f"time of ours / {base}",
                ratio(times, "ours", base),
                "x",
                target if base == name else None,
                paired,
            )
    yield Result(group, "waiting for data / all time", share, "x", 0.05)
    if device.type == "cuda":
        rate = STEPS * case.batch / medians(times)["ours"]
        yield Result(
            group, "50,000 pictures (an epoch of CIFAR-10)", 50_000 / rate, "s", 10 if case.size == "S/16" else None
        )
        flops = 6 * _multiplications(shape) * rate
        yield Result(group, "measured matrix rate / share of it used", matrix_rate(device) / flops, "x", 1 / 0.45)


@dataclass
class Plain:
    """timm's model in the loop that everybody writes."""

    model: nn.Module
    case: Case
    device: torch.device
    store: Tensor
    labels: Tensor

    def __post_init__(self):
        self.model.to(self.device).train()
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.05, fused=True)
        self.transform = transform(self.case)
        self.ready = batch(self.store, self.labels, self.case.batch, self.transform, 0)
        self.step = 0

    def turn(self, augmented: bool) -> float:
        return _timed(lambda: self._turn(augmented))

    def _turn(self, augmented: bool) -> None:
        for _ in range(STEPS):
            x, y = self.ready
            if augmented:
                x, y = batch(self.store, self.labels, self.case.batch, self.transform, self.step)
            x, y = x.to(self.device), y.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.case.precision == "bf16"):
                loss = F.cross_entropy(self.model(x), y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.step += 1
        loss.item()


@dataclass
class HuggingFace:
    """transformers' model in transformers' Trainer; only its steps are timed, not its start."""

    model: nn.Module
    case: Case
    device: torch.device
    store: Tensor
    labels: Tensor

    def __post_init__(self):
        self.transform = transform(self.case)
        self.folder = tempfile.TemporaryDirectory()
        self.arguments = transformers.TrainingArguments(
            output_dir=self.folder.name,
            per_device_train_batch_size=self.case.batch,
            max_steps=STEPS + 1,
            optim="adamw_torch_fused",
            learning_rate=1e-4,
            weight_decay=0.05,
            max_grad_norm=1.0,
            lr_scheduler_type="constant",
            bf16=self.case.precision == "bf16",
            use_cpu=self.device.type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_num_workers=0,
        )
        x, y = batch(self.store, self.labels, self.case.batch, self.transform, 0)
        self.ready = [{"pixel_values": picture, "labels": label} for picture, label in zip(x, y, strict=True)]

    def turn(self, augmented: bool) -> float:
        data = _Augmented(self.store, self.labels, self.transform) if augmented else self.ready * (STEPS + 1)
        ends = _Ends(self.device)
        trainer = transformers.Trainer(self.model, self.arguments, train_dataset=data, callbacks=[ends])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return ends.times[-1] - ends.times[0]


class _Ends(transformers.TrainerCallback):
    """When each step was over."""

    def __init__(self, device: torch.device):
        self.device, self.times = device, []

    def on_step_end(self, args, state, control, **more) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.times.append(time.perf_counter())


class _Augmented(torch.utils.data.Dataset):
    def __init__(self, store: Tensor, labels: Tensor, transform: Callable[[Tensor], Tensor]):
        self.store, self.labels, self.transform = store, labels, transform

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixel_values": self.transform(self.store[index]), "labels": self.labels[index]}


def transform(case: Case) -> Callable[[Tensor], Tensor]:
    """One uint8 picture as a training loop usually makes it."""
    return v2.Compose(
        [
            v2.RandomCrop(32, padding=4),
            v2.RandomHorizontalFlip(),
            v2.Resize(case.resolution) if case.resolution != 32 else v2.Identity(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )


def batch(store: Tensor, labels: Tensor, size: int, change: Callable[[Tensor], Tensor], step: int):
    chosen = (torch.arange(size) + step * size) % len(store)
    return torch.stack([change(store[index]) for index in chosen]), labels[chosen]


def matrix_rate(device: torch.device) -> float:
    """FLOP/s of a large bf16 matrix product on this device: the best that it gives, not what its maker names."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        a @ b
        torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * 8192**3 / statistics.median(seconds)


def _multiplications(shape) -> float:
    """Multiply-adds of one forward pass of one picture as it is trained: matrices of weights, and the two products of
    attention; the last block goes on for the tokens alone that the head reads."""
    N, D = shape.tokens, shape.width

    def block(n: int) -> int:
        return 3 * N * D * D + n * (D * D + 2 * D * shape.mlp_width) + 2 * n * N * D

    patch = 3 * shape.patch_size[0] * shape.patch_size[1] * D * (N - shape.prefix)
    return patch + (shape.depth - 1) * block(N) + block(shape.tokens_read or N)


def _timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class _Folder:
    """A run folder that nobody watches."""

    def __init__(self, path: Path):
        self.path = path

    def write_progress(self, progress: dict) -> None:
        pass
