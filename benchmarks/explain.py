"""`python -m benchmarks explain`: what each method of explanation costs, against a forward pass and its oracle.

Oracles are the best-known implementations, or where there is none for a plain ViT the paper's arithmetic by autograd
through an attention that is stored. Peers take turns within one run; ratios are of medians, "paired" is the median of
the ratios within a round. Targets are printed beside results, and nothing fails when one is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import memory
from benchmarks.explain_oracles import captums, grad_cams, with_stored_attention
from benchmarks.peers import random_model
from benchmarks.report import Result, machine, table, versions, write_json
from benchmarks.timing import Times, finish_on, interleaved, medians, paired_ratio, ratio
from explorer.analysis.explain.methods import explain
from explorer.analysis.faithfulness.faithfulness import deletion_curve
from explorer.analysis.rollout import rollout
from explorer.session.allocator import keep_freed_memory
from vit_model import SIZES, VisionTransformer, ViTConfig

SIDES = {224: 0.10, 384: 0.15, 592: 0.50}
"""Pixels -> the most of a forward pass that a rollout should take: grids of 14, 24 and 37 patches."""

SINGLE = ("gradient-rollout", "relevance", "legrad", "grad-cam", "attention-gradient", "input-gradient")
"""Methods of one forward and at most one backward pass."""

MANY = {"integrated-gradients": {"steps": 8}, "smoothgrad": {"samples": 8}}
TARGET = 3
PARTS = ("single", "many", "occlusion", "deletion", "memory")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks explain", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and the 14x14 grid alone")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; memory is measured on the CPU alone")
    parser.add_argument("--tiny", action="store_true", help="with --quick: a tiny model, to see that everything runs")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone (may be given again)")
    options = parser.parse_args(words)
    device = torch.device(options.device)
    about = machine() | versions() | {"freed memory kept": keep_freed_memory(), "device": options.device}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    results: list[Result] = []
    for side, share in list(SIDES.items())[: 1 if options.quick else None]:
        config = replace(SIZES["B/16"], image_size=side)
        if options.tiny:
            config = replace(config, image_size=32, width=32, depth=2, heads=2, mlp_width=64)
        rounds = 3 if options.quick else {224: 11, 384: 5, 592: 3}[side]
        parts = {"single": single(config, rounds, device, share), "many": many(config, rounds, device)}
        if side == 224:
            curves = deleting(config, 3 if options.quick else 7, device)
            parts |= {"occlusion": occluding(config, 3, device), "deletion": curves}
        if device.type == "cpu":
            parts["memory"] = peaks(side)
        for name in options.only or parts:
            if name not in parts:
                continue
            found = list(parts[name])
            print("\n" + table(found), flush=True)
            results += found
            write_json(options.json, "explain", results)
    missed = sum(result.met is False for result in results)
    print(f"\n{missed} of {sum(result.met is not None for result in results)} targets missed")


def single(config: ViTConfig, rounds: int, device: torch.device, rollout_share: float) -> Iterator[Result]:
    """Rollout of a trace that is there, and from pixels alone every method of one backward pass, against a plain
    forward pass and against its oracle."""
    group = f"One backward pass: {_named(config)}"
    model, pixels = _given(config, device)
    trace, oracles = model.trace(pixels), with_stored_attention(config, device)
    oracles |= grad_cams(config, device) | {"input-gradient": captums(model)["input-gradient"]}
    functions: dict[str, Callable[[], object]] = {"plain forward": partial(_plain, model, pixels)}
    functions["rollout of a trace"] = partial(rollout, trace)
    functions |= {name: partial(explain, model, pixels, name, TARGET) for name in SINGLE}
    functions |= {_oracle(name): partial(function, pixels, TARGET) for name, function in oracles.items()}
    times = interleaved(functions, rounds, finish=finish_on(device))
    yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
    yield _ratio(
        group, "rollout of a trace / plain forward", times, "rollout of a trace", "plain forward", rollout_share
    )
    yield from (_ratio(group, f"{name} / plain forward", times, name, "plain forward", 2.5) for name in SINGLE)
    yield from (_ratio(group, f"{name} / its oracle", times, name, _oracle(name), 1.0) for name in oracles)


def many(config: ViTConfig, rounds: int, device: torch.device) -> Iterator[Result]:
    """Methods of many passes over a picture whose trace is there, against captum, each with the same number of them."""
    group = f"Many passes (8 each): {_named(config)}"
    model, pixels = _given(config, device)
    oracles = captums(model)
    trace = model.trace(pixels)
    functions = {name: partial(explain, model, pixels, name, TARGET, trace=trace, **own) for name, own in MANY.items()}
    functions |= {_oracle(name): partial(oracles[name], pixels, TARGET, **own) for name, own in MANY.items()}
    times = interleaved(functions, rounds, finish=finish_on(device))
    yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
    yield from (_ratio(group, f"{name} / its oracle", times, name, _oracle(name), 1.0) for name in MANY)


def occluding(config: ViTConfig, rounds: int, device: torch.device) -> Iterator[Result]:
    """Every patch left out by itself, against captum's Occlusion, which covers it with the mean colour."""
    group = f"Occlusion of every patch: {_named(config)}"
    model, pixels = _given(config, device)
    oracle = captums(model)["occlusion"]
    names = ("plain forward", "occlusion", _oracle("occlusion"))
    calls = (partial(_plain, model, pixels), partial(explain, model, pixels, "occlusion", TARGET))
    functions = dict(zip(names, (*calls, partial(oracle, pixels, TARGET)), strict=True))
    times = interleaved(functions, rounds, finish=finish_on(device))
    yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
    patches = config.grid[0] * config.grid[1]
    yield _ratio(group, f"occlusion / plain forward ({patches} patches)", times, "occlusion", "plain forward", patches)
    yield _ratio(group, "occlusion / its oracle", times, "occlusion", _oracle("occlusion"), 1.0)


def deleting(config: ViTConfig, rounds: int, device: torch.device) -> Iterator[Result]:
    """A deletion curve of 20 steps by dropping tokens."""
    group = f"Deletion curve of 20 steps: {_named(config)}"
    model, pixels = _given(config, device)
    values = torch.rand(config.grid)
    curve, trace = partial(deletion_curve, model, pixels, values, TARGET, steps=20), model.trace(pixels)
    functions = {"plain forward": partial(_plain, model, pixels), "curve": partial(curve, trace=trace)}
    times = interleaved(functions | {"curve without a trace": curve}, rounds, finish=finish_on(device))
    yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
    yield _ratio(group, "curve / plain forward", times, "curve", "plain forward", 12.0)
    yield _ratio(group, "curve without a trace / plain forward", times, "curve without a trace", "plain forward", 12.0)


def peaks(side: int) -> Iterator[Result]:
    """Peak memory above the loaded model, ours and the oracle that stores attention."""
    found = memory.measured(side, "benchmarks.explain_memory")
    group = f"Peak memory above the loaded model: B/16 at {side} px ({found['tokens']} tokens)"
    yield from (Result(group, name, peak, "MiB") for name, peak in found["peaks"].items())


def _named(config: ViTConfig) -> str:
    (gh, gw), (height, width) = config.grid, config.image_size
    return f"width {config.width}, depth {config.depth}, {height}x{width} px ({gh}x{gw} patches), fp32"


def _given(config: ViTConfig, device: torch.device) -> tuple[VisionTransformer, Tensor]:
    """A random model and random pixels, there."""
    return random_model(config).to(device), torch.randn(1, config.channels, *config.image_size).to(device)


def _oracle(name: str) -> str:
    return f"oracle of {name}"


def _plain(model: VisionTransformer, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(pixels)


def _ratio(group: str, name: str, times: Times, over: str, base: str, target: float | None = None) -> Result:
    return Result(group, name, ratio(times, over, base), "x", target, paired_ratio(times, over, base))
