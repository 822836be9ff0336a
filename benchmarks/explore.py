"""`python -m benchmarks explore`: what the explorer costs, against timm, transformers and torchvision on this machine.

Peers take turns within one run. Ratios are of medians; "paired" is the median of the ratios within a round. Targets are
printed beside results, and nothing fails when one is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import memory, startup
from benchmarks.peers import hugging_face, peers, random_model, vit_explain_rollout
from benchmarks.report import Result, machine, table, versions, write_json
from benchmarks.timing import Times, finish_on, interleaved, medians, paired_ratio, ratio
from explorer.analysis.attention import layer_attention
from explorer.analysis.explain.methods import explain
from explorer.analysis.rollout import rollout, rollout_matrices
from explorer.analysis.statistics import attention_distance, attention_entropy
from explorer.device import on_host
from explorer.session.allocator import keep_freed_memory
from vit_model import SIZES, Trace, VisionTransformer, ViTConfig
from vit_model.linear import linear

FORWARDS = (  # size, image side, batch, whether --quick measures it too
    ("B/16", 224, 1, True),
    ("S/16", 224, 1, True),
    ("B/16", 224, 8, False),
    ("B/16", 384, 1, False),
    ("L/16", 384, 1, False),
)
PATCHES = ((1, 224, 16, 768), (8, 224, 16, 768), (8, 224, 14, 768), (128, 32, 4, 192), (128, 32, 2, 96))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks explore", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and without the largest cases")
    parser.add_argument("--only", choices=GROUPS, action="append", help="this group alone (may be given again)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; of the groups forward, picture, patch-embedding")
    parser.add_argument("--tiny", action="store_true", help="with --quick: a tiny model, to see that everything runs")
    options = parser.parse_args(words)
    place = Place(torch.device(options.device), options.quick, options.tiny)
    rounds = 5 if options.quick else 21
    about = machine() | versions() | {"freed memory kept": keep_freed_memory(), "device": options.device}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    results: list[Result] = []
    for group in options.only or GROUPS:
        found = list(GROUPS[group](rounds, place))
        print("\n" + table(found), flush=True)
        results += found
        write_json(options.json, "explore", results)
    missed = sum(result.met is False for result in results)
    print(f"\n{missed} of {sum(result.met is not None for result in results)} targets missed")


@dataclass(frozen=True)
class Place:
    """Where and how large: `tiny` has the sizes of a toy."""

    device: torch.device
    quick: bool = False
    tiny: bool = False

    def config(self, size: str, side: int) -> ViTConfig:
        if self.tiny:
            return replace(SIZES[size], image_size=32, width=32, depth=2, heads=2, mlp_width=64)
        return replace(SIZES[size], image_size=side)

    def given(self, config: ViTConfig, batch: int = 1) -> tuple[VisionTransformer, Tensor]:
        """A random model and random pixels, there."""
        pixels = torch.randn(batch, config.channels, *config.image_size)
        return random_model(config).to(self.device), pixels.to(self.device)


def forward(rounds: int, place: Place) -> Iterator[Result]:
    """A plain forward against the same network of other libraries, and a traced one against a plain one."""
    for size, side, batch, always in FORWARDS:
        if place.quick and not always:
            continue
        config = place.config(size, side)
        group = f"Forward pass: {size} at {side} px, batch {batch}, fp32"
        model, pixels = place.given(config, batch)
        functions = {"plain": partial(model, pixels), "traced": partial(model.trace, pixels)}
        others = peers(config, place.device)
        functions |= {name: partial(function, pixels) for name, function in others.items()}
        few = max(3, rounds // (1 if side * side * batch < 100_000 and size != "L/16" else 3))
        with torch.no_grad():
            times = interleaved(functions, few, finish=finish_on(place.device))
        found = medians(times)
        yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in found.items())
        fastest = min(others, key=found.__getitem__)
        yield _ratio(group, f"plain / fastest of the others ({fastest})", times, "plain", fastest, 1.05)
        yield _ratio(group, "traced / plain", times, "traced", "plain", 1.05)


def picture(rounds: int, place: Place) -> Iterator[Result]:
    """Everything that one new picture takes, and each analysis by itself, against a plain forward."""
    for side in (224,) if place.quick else (224, 384):
        config = place.config("B/16", side)
        group = f"One new picture: B/16 at {side} px"
        model, pixels = place.given(config)
        trace = model.trace(pixels)
        eager = hugging_face(config, "eager").eval().requires_grad_(False).to(place.device)
        analyses: dict[str, Callable[[], object]] = {
            "shown layer packed": partial(_shown_layer, trace),
            "rollout, one row": partial(rollout, trace),
            "rollout, max, 0.9 of the matrix discarded": partial(rollout, trace, 0, "max", discard_ratio=0.9),
            "rollout, whole matrices": partial(rollout_matrices, trace),
            "attention distance": partial(attention_distance, trace, config.patch_size),
            "attention entropy": partial(attention_entropy, trace),
            "gradient rollout (forward and backward)": partial(explain, model, pixels, "gradient-rollout", 0),
        }
        everything = {
            "plain forward": partial(model, pixels),
            "all that is shown": partial(everything_shown, model, pixels),
            "the same, 0.9 discarded": partial(everything_shown, model, pixels, 0.9),
            "transformers with output_attentions, then vit-explain": partial(_by_transformers, eager, pixels, 0.0),
            "the same, 0.9 discarded (its default)": partial(_by_transformers, eager, pixels, 0.9),
        }
        with torch.no_grad():
            few = max(3, rounds // (1 if side == 224 else 3))
            times = interleaved(everything | analyses, few, finish=finish_on(place.device))
        yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
        plain, shown, shown_discarding, rival, rival_discarding = everything
        yield _ratio(group, "all that is shown / plain forward", times, shown, plain, 1.15)
        ahead = "all that is shown / transformers and vit-explain"
        yield _ratio(group, f"{ahead}, 0.9 discarded by both", times, shown_discarding, rival_discarding, 1.0)
        yield _ratio(group, f"{ahead}, nothing discarded", times, shown, rival, 1.0)
        yield from (_ratio(group, f"{name} / plain forward", times, name, plain) for name in analyses)


def everything_shown(
    model: VisionTransformer, pixels: Tensor, discard_ratio: float = 0.0
) -> tuple[Tensor, bytes, Tensor]:
    """What the page computes for a new picture: five labels, the shown layer ready to hover, and the rollout."""
    trace = model.trace(pixels)
    return trace.logits[0].softmax(-1).topk(5).values, _shown_layer(trace), rollout(trace, discard_ratio=discard_ratio)


def large(rounds: int, place: Place) -> Iterator[Result]:
    """Peak memory above the loaded model, and how time grows with the tokens."""
    *smaller, big = (224, 512) if place.quick else (224, 512, 1024)
    group = f"One large picture: B/16 at {big} px"
    peaks, native, functions, tokens = memory.measured(big), random_model(SIZES["B/16"]), {}, {}
    for side in (*smaller, big):
        model, pixels = native.at_size(side), torch.randn(1, 3, side, side)
        steps = {"prediction": partial(model.trace, pixels)} | memory.analyses(model.trace(pixels))
        functions |= {f"{name} at {side} px": function for name, function in steps.items()}
        tokens[side] = model.config.tokens
    with torch.no_grad():
        times = interleaved(functions, max(3, rounds // 3))
    for name, peak in peaks.items():
        at_big = f"{name} at {big} px"
        yield Result(group, f"{name}: peak above the loaded model", peak, "MiB", 2048)
        yield Result(group, f"{name}: time", medians(times)[at_big] * 1e3, "ms")
        for side in smaller:
            quadratic = (tokens[big] / tokens[side]) ** 2
            yield _ratio(group, f"{name}: time / at {side} px", times, at_big, f"{name} at {side} px", quadratic)


def patch_embedding(rounds: int, place: Place) -> Iterator[Result]:
    """Convolution against linear product on flattened patches: why `PatchEmbed` chooses as it does."""
    for batch, side, patch, width in PATCHES[:1] if place.quick else PATCHES:
        group = f"Patch embedding: batch {batch}, {side} px, patch {patch}, width {width}"
        pixels = torch.randn(batch, 3, side, side, device=place.device)
        weight = (torch.randn(width, 3, patch, patch, device=place.device) * 0.02).requires_grad_()
        times: Times = {}
        for suffix, called in (("", _without_gradient), (", forward and backward", _with_gradient)):
            ways = (("convolution", _convolution), ("linear", _linear))
            functions = {name + suffix: partial(called, way, pixels, weight) for name, way in ways}
            times |= interleaved(functions, rounds, finish=finish_on(place.device))
        yield from (Result(group, name, seconds * 1e3, "ms") for name, seconds in medians(times).items())
        for suffix in ("", ", forward and backward"):
            yield _ratio(group, f"convolution / linear{suffix}", times, f"convolution{suffix}", f"linear{suffix}")


def start(rounds: int, place: Place) -> Iterator[Result]:
    """From the command line to a page that answers, and to one that is painted."""
    group = "Start-up"
    times = startup.start_seconds(1 if place.quick else 5)
    yield from (Result(group, name, seconds, "s") for name, seconds in medians(times).items())
    yield _ratio(group, "python app.py / torch, gradio and an empty Blocks", times, "ours", "empty", 1.5)
    painted = startup.painted_seconds(1 if place.quick else 5)
    for name, seconds in medians(painted).items():
        yield Result(group, f"ours, in a browser: {name}", seconds, "s")


GROUPS: dict[str, Callable[[int, Place], Iterator[Result]]] = {
    "forward": forward,
    "picture": picture,
    "large": large,
    "patch-embedding": patch_embedding,
    "start": start,
}


def _ratio(group: str, name: str, times: Times, over: str, base: str, target: float | None = None) -> Result:
    return Result(group, name, ratio(times, over, base), "x", target, paired_ratio(times, over, base))


def _shown_layer(trace: Trace) -> bytes:
    from explorer.viewer.kit.pack import compress, pack  # with Gradio, which the group forward does without

    attention = on_host(layer_attention(trace, -1))
    return compress(pack(attention, (False,) * len(attention)))


def _by_transformers(model: torch.nn.Module, pixels: Tensor, discard_ratio: float) -> Tensor:
    return vit_explain_rollout(model(pixels, output_attentions=True).attentions, discard_ratio)


def _without_gradient(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return function(*inputs)


def _with_gradient(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(function(*inputs).square().mean(), inputs[-1])


def _convolution(pixels: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(pixels, weight, stride=weight.shape[-1]).flatten(2).transpose(1, 2)


def _linear(pixels: Tensor, weight: Tensor) -> Tensor:
    B, C, h, w = pixels.shape
    side = weight.shape[-1]
    patches = pixels.reshape(B, C, h // side, side, w // side, side).permute(0, 2, 4, 1, 3, 5)
    return linear(patches.reshape(B, (h // side) * (w // side), C * side * side), weight.flatten(1))
