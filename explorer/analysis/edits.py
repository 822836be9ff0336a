"""Changes to a model and to its picture, applied to copies: what a laboratory needs to ask "and without it?".

    edited = apply_edits(model, pixels, Edits(steps=(PatchEdit("drop", (3, 4)),), heads=((5, 0),)))
    trace = edited.model.trace(edited.pixels)        # and METHODS, gradients, rollout: all of it as ever

The given model is not touched, nor is a weight of it copied that stays as it is.

A patch is dropped by leaving out its token (Naseer et al. 2021, arXiv 2105.10497), not by painting it grey, which is a
picture too. A block does not count its tokens, so the edited model is simply one of a picture with one row of patches:
those that are left, each with the position embedding of its place. `Edited.on_grid` puts a map back on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import torch
from torch import Tensor, nn

from vit_model.errors import CodedError, quoted
from vit_model.messages import message
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

KINDS = ("drop", "grey", "blur", "shuffle", "move")
POSITIONS = ("kept", "zero", "shuffled")
BLUR = 0.5
"""Standard deviation of the blur, in sides of a patch."""


@dataclass(frozen=True)
class PatchEdit:
    """One change to some patches, by their places on the grid, row by row from 0.

    - `drop`: their tokens are left out. `grey`: their pixels become 0, which is the mean that preprocessing takes off
    - `blur`: the picture around them, blurred by a Gaussian, in their place
    - `shuffle`: they change places in one cycle drawn from `seed`, so that every one of them (if two or more) moves
    - `move`: they go `by` (down, across) patches together, as far as the grid reaches, and the patches that stood there
      fill the places left, in their order; the move back undoes it
    """

    kind: str
    patches: tuple[int, ...]
    by: tuple[int, int] = (0, 0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {quoted(self.kind)}")
        if not self.patches or len(set(self.patches)) != len(self.patches):
            raise ValueError("a step names one or more patches, each once")


@dataclass(frozen=True)
class Edits:
    """What is changed; the default changes nothing.

    - `steps`: changes to the picture's patches, one after the other
    - `positions`: the position embeddings of the patches, kept, all `zero`, or `shuffled` by `seed`; those of the
      tokens before the patches stay
    - `heads`: (layer, head) switched off: the head's output does not reach the residual stream
    - `mlps`: layers whose MLP is switched off. `layers`: layers switched off whole, so that the block returns its input
    """

    steps: tuple[PatchEdit, ...] = ()
    positions: str = "kept"
    seed: int = 0
    heads: tuple[tuple[int, int], ...] = ()
    mlps: tuple[int, ...] = ()
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {quoted(self.positions)}")


@dataclass(frozen=True)
class Edited:
    """An edited model, the pixels for it, and `kept`: the places of the patches that are left on `grid`."""

    model: VisionTransformer
    pixels: Tensor
    kept: tuple[int, ...]
    grid: tuple[int, int]
    edits: Edits

    def on_grid(self, values: Tensor) -> Tensor:
        """One value for each patch that is left, of any shape -> [gh, gw], NaN where a patch was dropped."""
        placed = torch.full((self.grid[0] * self.grid[1],), float("nan"))
        placed[list(self.kept)] = values.detach().float().cpu().flatten()
        return placed.reshape(self.grid)

    def canvas(self) -> Tensor:
        """The edited pixels on the whole grid, [1, C, h, w], 0 where a patch was dropped."""
        ph, pw = self.model.config.patch_size
        left = _cut(self.pixels, (ph, pw))
        patches = left.new_zeros(self.grid[0] * self.grid[1], *left.shape[1:])
        patches[list(self.kept)] = left
        return _joined(patches, self.grid)

    def mixing(self, trace: Trace) -> Trace:
        """The trace without what is switched off, for methods that follow attention from layer to layer (rollout).
        A head that is off still computes where it would look, and `trace.attention` still shows it; here it is gone, as
        is a layer that is off or without a head, since there no token meets another. Layers are numbered anew."""
        on = self._heads_on(trace)
        if not on:
            raise CodedError(message("nothing_mixes", "every head of every layer is off, so no token meets another"))

        def heads_on(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return tuple(tensors[layer][:, heads] for layer, heads in on.items())

        parts = {name: heads_on(getattr(trace, name)) for name in ("queries", "keys", "values", "head_outputs")}
        residual = (*(trace.residual[layer] for layer in on), trace.residual[-1])
        return replace(trace, residual=residual, **parts)

    def nothing_mixes(self, trace: Trace) -> bool:
        """Whether every head of every layer is off, so that `mixing` has nothing left."""
        return not self._heads_on(trace)

    def _heads_on(self, trace: Trace) -> dict[int, list[int]]:
        """Layer -> its heads that are on, for the layers that have any."""
        off = {*self.edits.heads, *((layer, head) for layer in self.edits.layers for head in range(trace.heads))}
        on = {layer: [h for h in range(trace.heads) if (layer, h) not in off] for layer in range(trace.layers)}
        return {layer: heads for layer, heads in on.items() if heads}


@torch.no_grad()
def apply_edits(model: VisionTransformer, pixels: Tensor, edits: Edits) -> Edited:
    """The edited model and pixels [1, C, h, w']; the given ones stay as they are, to the bit.

    Heads go by zeros in the columns of their layer's output projection, MLPs and layers by zeros in the matrices that
    write to the residual stream: 0 is added there exactly. The bias of the attention's output projection belongs to no
    head and stays until the layer goes.

    Raises ValueError, naming the range, for a patch, layer or head that the model does not have, and (CodedError) where
    no patch would be left.
    """
    config = model.config
    gh, gw = config.grid
    _check(model, pixels, edits)
    patches = _cut(pixels, config.patch_size)  # [n, C, ph, pw], by place
    present = torch.ones(gh * gw, dtype=torch.bool)
    for step in edits.steps:
        patches, present = _stepped(step, patches, present, (gh, gw))
    if not present.any():
        raise CodedError(message("no_patch_left", "every patch is dropped; leave at least one"))
    kept = present.nonzero()[:, 0]
    edited = _operated(model, edits)
    prefix = config.positioned_prefix
    places = edited.positions[:, prefix:]
    if edits.positions == "zero":
        places = torch.zeros_like(places)
    elif edits.positions == "shuffled":
        places = places[:, torch.randperm(gh * gw, generator=_seeded(edits.seed))]
    if len(kept) == gh * gw:
        pixels = _joined(patches, (gh, gw))
    else:
        pixels = _joined(patches[kept], (1, len(kept)))
        places = places[:, kept.to(places.device)]
        edited.config = replace(config, image_size=(config.patch_size[0], len(kept) * config.patch_size[1]))
    if edits.positions != "kept" or len(kept) < gh * gw:
        edited.positions = _weight(torch.cat([edited.positions[:, :prefix], places], dim=1))
    return Edited(edited, pixels, tuple(kept.tolist()), (gh, gw), edits)


def _check(model: VisionTransformer, pixels: Tensor, edits: Edits) -> None:
    config = model.config
    expected = [1, config.channels, *config.image_size]
    if list(pixels.shape) != expected:
        raise ValueError(f"expected pixels {expected}, got {list(pixels.shape)}")
    places = config.grid[0] * config.grid[1]
    for name, values, limit in (
        ("patch", [patch for step in edits.steps for patch in step.patches], places),
        ("layer", [*edits.layers, *edits.mlps, *(layer for layer, _ in edits.heads)], config.depth),
        ("head", [head for _, head in edits.heads], config.heads),
    ):
        for value in values:
            if not isinstance(value, Integral) or not 0 <= value < limit:
                raise ValueError(f"{name} must be from 0 to {limit - 1}, got {quoted(value)}")


def _stepped(step: PatchEdit, patches: Tensor, present: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The patches, and which of them are there, after one step."""
    chosen = list(step.patches)
    if step.kind == "drop":
        present = present.clone()
        present[chosen] = False
    elif step.kind == "grey":
        patches = patches.clone()
        patches[chosen] = 0.0
    elif step.kind == "blur":
        side = patches.shape[-2:]
        blurred = _cut(_blurred(_joined(patches, grid), side), side)
        patches = patches.clone()
        patches[chosen] = blurred[chosen]
    else:
        order = _moved(step, grid) if step.kind == "move" else _cycled(step, len(patches))
        patches, present = patches[order], present[order]
    return patches, present


def _blurred(pixels: Tensor, patch_size: Sequence[int]) -> Tensor:
    """The whole picture blurred, its edges mirrored; the kernel reaches three deviations, and no further than that."""
    from torchvision.transforms.v2.functional import gaussian_blur  # here, as torchvision is slow to import

    deviations = [BLUR * side for side in reversed(patch_size)]  # torchvision wants the width first
    limits = reversed(pixels.shape[-2:])
    sizes = [
        min(2 * max(round(3 * deviation), 1) + 1, 2 * limit - 1)
        for deviation, limit in zip(deviations, limits, strict=True)
    ]
    return gaussian_blur(pixels, sizes, deviations)


def _cycled(step: PatchEdit, count: int) -> Tensor:
    """The order that sends each chosen patch to the next of a random cycle (Sattolo)."""
    order, places = torch.arange(count), torch.tensor(step.patches)
    cycle = places[torch.randperm(len(places), generator=_seeded(step.seed))]
    order[cycle.roll(-1)] = cycle
    return order


def _moved(step: PatchEdit, grid: tuple[int, int]) -> Tensor:
    """The order in which the chosen patches stand `by` away, and those that stood there fill the places left."""
    gh, gw = grid
    rows, columns = [place // gw for place in step.patches], [place % gw for place in step.patches]
    down = min(max(step.by[0], -min(rows)), gh - 1 - max(rows))
    across = min(max(step.by[1], -min(columns)), gw - 1 - max(columns))
    places = sorted(step.patches)
    targets = [place + down * gw + across for place in places]
    order = torch.arange(gh * gw)
    order[targets] = torch.tensor(places)
    left, displaced = sorted(set(places) - set(targets)), sorted(set(targets) - set(places))
    order[left] = torch.tensor(displaced, dtype=order.dtype)
    return order


def _operated(model: VisionTransformer, edits: Edits) -> VisionTransformer:
    """A copy over the same storage, with new matrices where something is switched off."""
    edited = model._sharing_weights()
    width = model.config.head_width
    for layer, head in edits.heads:
        projection = edited.blocks[layer].attention.projection
        weight = projection.weight.clone()
        weight[:, head * width : (head + 1) * width] = 0.0
        projection.weight = _weight(weight)
    for layer in edits.layers:
        _silence(edited.blocks[layer].attention.projection)
    for layer in {*edits.mlps, *edits.layers}:
        _silence(edited.blocks[layer].mlp.fc2)
    return edited


def _silence(linear: nn.Linear) -> None:
    linear.weight = _weight(torch.zeros_like(linear.weight))
    if linear.bias is not None:
        linear.bias = _weight(torch.zeros_like(linear.bias))


def _weight(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _cut(pixels: Tensor, patch_size: Sequence[int]) -> Tensor:
    """[1, C, h, w] -> [n, C, ph, pw], row by row."""
    _, C, h, w = pixels.shape
    ph, pw = patch_size
    cut = pixels.reshape(C, h // ph, ph, w // pw, pw).permute(1, 3, 0, 2, 4)
    return cut.reshape(-1, C, ph, pw)


def _joined(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """[n, C, ph, pw] -> [1, C, gh*ph, gw*pw]."""
    _, C, ph, pw = patches.shape
    gh, gw = grid
    return patches.reshape(gh, gw, C, ph, pw).permute(2, 0, 3, 1, 4).reshape(1, C, gh * ph, gw * pw)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
