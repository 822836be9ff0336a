"""Is a map true? Patches are left out in the order of their relevance, and the class's score is watched.

A patch is left out by dropping its token: no grey square or blur is put in its place, which the model would see too
(Naseer et al. 2021, arXiv 2105.10497, show that ViTs can do without).

- Positive deletion: the most relevant patch goes first. A true map makes the score fall early: a small area.
- Negative deletion: the least relevant goes first. A true map keeps the score up: a large area.
  Both as in Chefer et al. 2021 (arXiv 2012.09838, section 4), who count how often the class is still the first.
- Insertion: starting from nothing, the most relevant patch comes first (RISE, Petsiuk et al. 2018, arXiv 1806.07421,
  section 4.2). With tokens, to have put in the m most relevant is to have left out all but those: the insertion curve
  is the negative deletion curve read from the other end, and has the same area.
- Gap: negative area - positive area (as in the degradation score of Schulz et al. 2020, arXiv 2001.00396). About 0 for
  an order that says nothing; below 0 for a map that is upside down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.explain.classes import class_index
from vit_model.errors import quoted
from vit_model.model import VisionTransformer
from vit_model.trace import Trace

VALUES = ("probability", "logit")
ACTIVATION_BYTES = 64 * 2**20  # of the widest activation of one batch of kept sets


@dataclass(frozen=True)
class Curves:
    """The score of one class as patches are left out: M maps, P points.

    - `names`: of the maps; `value`: "probability" or "logit"
    - `dropped` [P]: patches left out at each point, ascending from 0; `patches`: how many there are
    - `positive`, `negative` [M, P]: the score where the most, or the least, relevant were left out first
    - `positive_first`, `negative_first` [M, P]: whether the class is still the first (a share, for several draws)
    - `points`: how many points there will be; the curves are complete once P has reached it
    """

    names: tuple[str, ...]
    value: str
    patches: int
    points: int
    dropped: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    positive_first: np.ndarray
    negative_first: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Share of the patches left out at each point, [P]: from 0 to 1, or to (n-1)/n where one has to stay."""
        return self.dropped / self.patches

    @property
    def complete(self) -> bool:
        return len(self.dropped) == self.points

    @property
    def areas(self) -> dict[str, np.ndarray]:
        """The area under each kind of curve, [M]: of the scores `positive` (lower is better), `negative` (higher; also
        the area of insertion), and `gap`; and of the share still first, `positive_first` and `negative_first`."""
        kinds = ("positive", "negative", "positive_first", "negative_first")
        found = {kind: area(self.share, getattr(self, kind)) for kind in kinds}
        return found | {"gap": found["negative"] - found["positive"]}


def faithfulness(
    model: VisionTransformer,
    pixels: Tensor,
    maps: Mapping[str, Tensor],
    target: int,
    *,
    steps: int = 20,
    value: str = "probability",
    seed: int = 0,
) -> Iterator[Curves]:
    """Deletion curves of several maps [gh, gw] over one picture, pixels [1, C, h, w], for class `target`.

    Yields after every step, so that it can be stopped at any time: first with both ends, then with points ever closer
    between them; the last is complete. Each curve has steps + 1 points, or one a patch where there are fewer. A map
    [draws, gh, gw] stands for several, whose curves are averaged.

    `value`: the class's softmax "probability", or its raw "logit". Patches of equal relevance are put in a random
    order, which `seed` decides, the same for all maps: a constant map is a random one. Relevance is signed: evidence
    against the class is the least relevant.

    All sets of patches of the same size run as batches, each distinct one once. Cost: 20 steps of one curve are less
    than 11 forward passes. Where the head needs a mean over patches, the last point keeps one patch.

    Raises ValueError for a model without a head, a map of another shape or with NaN, and choices out of range.
    """
    _check(model, target, steps, value)
    names, orders, spans = _orders(maps, model.config.grid, seed)
    tokens, drops = _tokens(model, pixels), _drops(model, steps)
    known: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # index of a point -> (scores, first) [2 M]
    for index in _coarse_to_fine(len(drops)):
        keep = orders.shape[1] - drops[index]
        kept = torch.cat([orders[:, orders.shape[1] - keep :], orders[:, :keep]])
        scores, first = _scores(model, tokens, kept, target, value)
        known[index] = _drawn_together(scores, spans), _drawn_together(first, spans)
        if len(known) == 1:
            continue
        at = sorted(known)
        score, still = (np.stack([known[i][part] for i in at], axis=1) for part in (0, 1))  # [2 M, P]
        count = len(names)
        yield Curves(
            names,
            value,
            patches=orders.shape[1],
            points=len(drops),
            dropped=np.array([drops[i] for i in at]),
            positive=score[:count],
            negative=score[count:],
            positive_first=still[:count],
            negative_first=still[count:],
        )


def deletion_curve(
    model: VisionTransformer,
    pixels: Tensor,
    values: Tensor,
    target: int,
    *,
    most_relevant_first: bool = True,
    steps: int = 20,
    value: str = "probability",
    seed: int = 0,
    trace: Trace | None = None,
) -> tuple[Tensor, Tensor]:
    """One curve of `faithfulness` by itself: (share left out [P], score [P]). See there for the choices and errors.

    `trace`: of these pixels, such as the one that the map was made of: where nothing is left out is then known.
    """
    _check(model, target, steps, value)
    order = order_of(values, seed)
    order = order if most_relevant_first else order.flip(0)
    tokens, drops = _tokens(model, pixels) if trace is None else trace.residual[0], _drops(model, steps)
    logits = [] if trace is None else [trace.logits.float().cpu()]
    logits += _packed_logits(model, tokens, [order[dropped:].sort().values for dropped in drops[len(logits) :]])
    return torch.tensor(drops) / len(order), _judged(torch.cat(logits), target, value).double()


def area(share: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Area under curves [..., P] over `share` [P] by the trapezoid rule, divided by the share covered: so the mean
    height of the curve, also where one patch has to stay and the last share is below 1."""
    return np.trapezoid(curve, share, axis=-1) / (share[-1] - share[0])


def order_of(values: Tensor, seed: int = 0) -> Tensor:
    """Patches from the most to the least relevant, [n]; equal ones in a random order that `seed` decides."""
    values = values.detach().flatten().cpu().float()
    shuffled = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    return shuffled[torch.sort(values[shuffled], descending=True, stable=True).indices]


def _check(model: VisionTransformer, target: int, steps: int, value: str) -> None:
    class_index(model, target)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if value not in VALUES:
        raise ValueError(f"value must be one of {', '.join(VALUES)}, got {quoted(value)}")


def _orders(maps: Mapping[str, Tensor], grid: tuple[int, int], seed: int) -> tuple[tuple, Tensor, list[slice]]:
    """(names, orders [R, n], the rows of each name)."""
    orders: list[Tensor] = []
    spans: list[slice] = []
    for name, values in maps.items():
        if values.shape[-2:] != grid or values.dim() not in (2, 3) or not values.numel():
            raise ValueError(
                f"{name} should be a map {list(grid)} or [draws, {grid[0]}, {grid[1]}], got {values.shape}"
            )
        if not values.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values, and so no order of the patches")
        draws = [order_of(draw, seed) for draw in values.reshape(-1, *grid)]
        spans.append(slice(len(orders), len(orders) + len(draws)))
        orders += draws
    if not orders:
        raise ValueError("there is no map to measure")
    return tuple(maps), torch.stack(orders), spans


def _tokens(model: VisionTransformer, pixels: Tensor) -> Tensor:
    """Tokens [1, N, D] as the first block gets them."""
    if pixels.dim() != 4 or len(pixels) != 1:
        raise ValueError(f"expected the pixels of one picture, [1, C, h, w], got {list(pixels.shape)}")
    with torch.no_grad():
        return model.embed(pixels)


def _drops(model: VisionTransformer, steps: int) -> list[int]:
    """How many patches are left out at each point: as evenly as whole patches allow, from none to all, or to all but
    one where the head needs a mean over patches."""
    config = model.config
    patches = config.grid[0] * config.grid[1]
    needs_patch = config.pool in ("mean-patches", "class+mean") or config.prefix == 0
    most = patches - needs_patch
    return sorted({round(most * step / steps) for step in range(steps + 1)})


def _coarse_to_fine(count: int) -> list[int]:
    """0 to count - 1: both ends, then always the middles of what is left."""
    order, gaps = list(dict.fromkeys((0, count - 1))), [(0, count - 1)]
    for low, high in gaps:
        middle = (low + high) // 2
        if low < middle:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def _scores(
    model: VisionTransformer, tokens: Tensor, kept: Tensor, target: int, value: str
) -> tuple[np.ndarray, np.ndarray]:
    """Of sets of patches [S, m]: (the class's score, whether it is the first), each [S] float64."""
    sets = kept.sort(1).values.numpy()  # attention does not count its tokens: the same set, the same answer
    found = {row.tobytes(): index for index, row in enumerate(sets)}
    distinct = torch.from_numpy(sets[list(found.values())]).to(tokens.device)
    place = {key: index for index, key in enumerate(found)}
    logits = _logits(model, tokens, distinct)
    scores = _judged(logits, target, value)
    back = [place[row.tobytes()] for row in sets]
    return scores.double().numpy()[back], (logits.argmax(-1) == target).double().numpy()[back]


def _judged(logits: Tensor, target: int, value: str) -> Tensor:
    """The class's score [S] of logits [S, K]."""
    return logits.softmax(-1)[:, target] if value == "probability" else logits[:, target]


def _logits(model: VisionTransformer, tokens: Tensor, kept: Tensor) -> Tensor:
    """Logits [S, K] float32 on the CPU of the prefix and the patches `kept` [S, m], in batches of bounded memory."""
    prefix = torch.arange(model.config.prefix, device=kept.device).expand(len(kept), -1)
    index = torch.cat([prefix, kept + model.config.prefix], dim=1)  # [S, prefix + m]
    at_once = max(1, _tokens_at_once(model, tokens) // max(index.shape[1], 1))
    with torch.no_grad():
        parts = [model.logits_from(tokens[0][rows]).float().cpu() for rows in index.split(at_once)]
    return torch.cat(parts)


def _packed_logits(model: VisionTransformer, tokens: Tensor, kept: Sequence[Tensor]) -> list[Tensor]:
    """Logits [1, K] float32 on the CPU of the prefix and each set of patches, the sets packed one after the other: by
    themselves the short ones would take as long as reading the weights takes."""
    prefix, most = torch.arange(model.config.prefix), _tokens_at_once(model, tokens)
    packs: list[list[Tensor]] = []
    for patches in kept:
        rows = torch.cat([prefix, patches + model.config.prefix]).to(tokens.device)
        if not packs or sum(map(len, packs[-1])) + len(rows) > most:
            packs.append([])
        packs[-1].append(rows)
    with torch.no_grad():
        found = [model.logits_from(tokens[:, torch.cat(pack)], lengths=[*map(len, pack)]) for pack in packs]
    return [logits for pack in found for logits in pack.float().cpu().split(1)]


def _tokens_at_once(model: VisionTransformer, tokens: Tensor) -> int:
    """How many tokens go through the blocks together: so that the widest activation has ACTIVATION_BYTES."""
    config = model.config
    widest = max(config.mlp_width * (2 if config.mlp == "swiglu" else 1), 3 * config.width)
    return max(1, ACTIVATION_BYTES // (widest * tokens.element_size()))


def _drawn_together(values: np.ndarray, spans: list[slice]) -> np.ndarray:
    """Values of all rows, positive then negative [2 R] -> the mean of each map's draws [2 M]."""
    half = len(values) // 2
    return np.array([part[span].mean() for part in (values[:half], values[half:]) for span in spans])
