"""`python -m benchmarks faithfulness --images DIR`: which method's maps are true, over many pictures.

For each picture, patches are left out in the order of every method's map, most relevant first (positive: a small area
under the class's probability is good) and least relevant first (negative: a large area is good; it is also the area
under the insertion curve), beside a random order and Sobel edges. See
explorer/analysis/faithfulness/faithfulness.py for definitions and papers. By default, as in that literature, all
pictures count, right or wrong, and the class is the predicted one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bootstrap import Interval, mean_interval
from benchmarks.report import machine, versions
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.faithfulness.faithfulness import VALUES
from explorer.analysis.faithfulness.leaderboard import BASELINES, DRAWS, RANDOM, Leaderboard, leaderboard
from explorer.device import best_device
from training.data.pictures import Pictures, class_of, pictures_of
from vit_model import VisionTransformer, load_model
from vit_model.picture import PictureError

AREAS = ("gap", "positive", "negative", "positive_first", "negative_first")
EXPECTED = (("relevance", "rollout"), ("rollout", "grad-cam"))
"""(better, worse) by the gap, as the literature has it; and every method is expected ahead of a random order."""


def main(words: list[str]) -> None:
    options = _parser().parse_args(words)
    model = load_model(options.model).to(best_device()).eval()
    try:
        if not model.config.classes:
            raise ValueError("this model has no head, so there is no class whose score could fall")
        if unknown := [name for name in options.methods or () if name not in METHODS]:
            raise ValueError(f"unknown method {unknown[0]!r}; the methods are {', '.join(METHODS)}")
        found = measured(model, pictures_of(options.images), options)
    except ValueError as error:
        sys.exit(f"error: {error}")
    report = summary(found)
    print(in_words(report))
    if options.json:
        about = {"benchmark": "faithfulness", "machine": machine(), "versions": versions()}
        content = json.dumps(about | {"settings": settings(model, options)} | report, indent=1, ensure_ascii=False)
        options.json.write_text(content + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks faithfulness", description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="bundled", help="whatever load_model takes (default: bundled)")
    parser.add_argument("--images", type=Path, required=True, help="a folder or an archive of pictures, in any layout")
    parser.add_argument("--pictures", type=int, help="this many, evenly spaced over the names (default: all)")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help=f"of {', '.join(METHODS)} (default: all)")
    parser.add_argument("--steps", type=int, default=20, help="in which patches are left out (default: 20)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"random orders for each picture (default: {DRAWS})")
    parser.add_argument("--value", choices=VALUES, default="probability", help="what falls (default: probability)")
    parser.add_argument(
        "--only-correct",
        action="store_true",
        help="leave out pictures that the model names wrong (their folder's name is their class); default: none is",
    )
    parser.add_argument("--record", type=Path, help="keep every picture's areas in this file, and go on from there")
    parser.add_argument("--json", type=Path, help="also write everything as one JSON object to this file")
    return parser


@dataclass
class Measured:
    """`areas`: picture -> method -> {kind of AREAS: area}; `seconds`: of each map, a value a picture."""

    areas: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # method -> why it failed, the last reason
    right: int = 0
    known: int = 0  # pictures whose class is known
    planned: int = 0

    def keep(self, name: str, truth: bool | None, board: Leaderboard) -> None:
        areas = board.curves.areas
        rows = enumerate(board.curves.names)
        self.areas[name] = {method: {kind: float(areas[kind][row]) for kind in AREAS} for row, method in rows}
        self.refused |= {method: str(error) for method, error in board.refused.items()}
        self.judged(truth)

    def judged(self, truth: bool | None) -> None:
        self.known += truth is not None
        self.right += truth is True


def measured(model: VisionTransformer, pictures: Pictures, options: argparse.Namespace) -> Measured:
    """All chosen pictures, one after the other; on Ctrl-C those that are done."""
    chosen, found = pictures.spread(options.pictures), Measured()
    found.planned = len(chosen)
    record = Record.open(options.record, settings(model, options), found) if options.record else None
    began, already = time.monotonic(), len(found.areas)
    try:
        for count, index in enumerate(chosen):
            name = pictures.names[index]
            if name in found.areas:
                continue
            try:
                pixels, _ = model.preprocess(pictures.read(index))
            except PictureError as error:
                found.unreadable[name] = str(error)
                print(f"left out {name}: {error}", file=sys.stderr)
                continue
            label = class_of(name, model.labels)
            trace = model.trace(pixels := pixels.to(best_device()))
            target = int(trace.logits[0].argmax())
            truth = None if label is None else label == target
            if options.only_correct and not truth:
                found.judged(truth)
                continue
            asked = {"methods": options.methods, "steps": options.steps, "draws": options.draws, "value": options.value}
            *_, board = leaderboard(model, pixels, target, trace=trace, seed=zlib.crc32(name.encode()), **asked)
            found.keep(name, truth, board)
            if record:
                record.add(name, truth, found)
            _progress(count + 1, len(chosen), (time.monotonic() - began) / max(len(found.areas) - already, 1))
    except KeyboardInterrupt:
        print("\nstopped; what follows is of the pictures that are done", file=sys.stderr)
    if not found.areas:
        wrong = " that is named right: a folder's name has to be a label of the model" if options.only_correct else ""
        raise ValueError(f"no picture{wrong} was measured; {len(found.unreadable)} could not be read")
    return found


class Record:
    """A file of JSON lines: the settings, then a line a picture, so that a run that was stopped can go on."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def open(cls, path: Path, asked: dict, found: Measured) -> Record:
        """What the file holds already is put into `found`. ValueError where it was made with other settings."""
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        if not lines:
            path.write_text(json.dumps(asked) + "\n", encoding="utf-8")
        elif json.loads(lines[0]) != asked:
            raise ValueError(f"{path} was made with other settings; name another file, or remove it")
        for line in lines[1:]:
            try:
                told = json.loads(line)
            except json.JSONDecodeError:  # cut off in the middle
                continue
            found.areas[told["picture"]] = told["areas"]
            found.judged(told["right"])
        return cls(path)

    def add(self, name: str, truth: bool | None, found: Measured) -> None:
        told = {"picture": name, "right": truth, "areas": found.areas[name]}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(told, ensure_ascii=False) + "\n")


def settings(model: VisionTransformer, options: argparse.Namespace) -> dict:
    """Everything that the areas depend on, but for the pictures."""
    return {
        "model": options.model,
        "checksum_sha256": model.origin.checksum,
        "methods": list(options.methods or METHODS),
        "steps": options.steps,
        "draws": options.draws,
        "value": options.value,
        "target": "predicted",
        "only_correct": options.only_correct,
    }


def summary(found: Measured) -> dict:
    """The leaderboard with confidence intervals over the pictures, and whether the expected order holds."""
    methods = sorted({method for areas in found.areas.values() for method in areas})

    def interval(kind: str, method: str, other: str | None = None) -> Interval:
        both = [areas for areas in found.areas.values() if method in areas and (other is None or other in areas)]
        return mean_interval([each[method][kind] - (each[other][kind] if other else 0.0) for each in both])

    rows = {
        method: {kind: interval(kind, method)._asdict() for kind in AREAS}
        | {
            "over_random": None if method == RANDOM else interval("gap", method, RANDOM)._asdict(),
            "pictures": sum(method in areas for areas in found.areas.values()),
        }
        for method in methods
    }
    rows = dict(sorted(rows.items(), key=lambda row: -row[1]["gap"]["mean"]))
    pairs = [pair for pair in EXPECTED if set(pair) <= set(rows)]
    pairs += [(method, RANDOM) for method in rows if method not in BASELINES]
    ordering = [
        {"better": a, "worse": b} | (gap := interval("gap", a, b))._asdict() | {"holds": _verdict(gap)}
        for a, b in pairs
    ]
    return {
        "pictures": {
            "planned": found.planned,
            "measured": len(found.areas),
            "unreadable": found.unreadable,
            "named_right": found.right,
            "class_known": found.known,
        },
        "methods": rows,
        "failed": found.refused,
        "ordering": ordering,
    }


def in_words(report: dict) -> str:
    """Markdown: the leaderboard, then every expected pair."""
    told, pictures = [], report["pictures"]
    told.append(
        f"{pictures['measured']} of {pictures['planned']} pictures measured, {len(pictures['unreadable'])} unreadable"
    )
    if pictures["class_known"]:
        told.append(f"{pictures['named_right']} of {pictures['class_known']} whose class is known were named right")
    told += ["", *_table(report["methods"]), "", "Expected order, by the gap (paired, 95 % confidence):", ""]
    told += ["| expected | difference of gaps | holds |", "|---|---:|:-:|"]
    for pair in report["ordering"]:
        told.append(f"| {pair['better']} ahead of {pair['worse']} | {_interval(pair)} | {pair['holds']} |")
    told += [f"\n{method} failed: {reason}" for method, reason in report["failed"].items()]
    return "\n".join(told)


def _table(rows: dict) -> Iterator[str]:
    yield "| | method | positive (lower) | negative = insertion (higher) | gap (higher) | gap over random |" + (
        " still first, positive | still first, negative |"
    )
    yield "|--:|---|---:|---:|---:|---:|---:|---:|"
    for place, (method, row) in enumerate(rows.items(), 1):
        cells = [_interval(row[kind]) for kind in ("positive", "negative", "gap")]
        cells.append("" if row["over_random"] is None else _interval(row["over_random"]))
        cells += [f"{100 * row[kind]['mean']:.1f} %" for kind in ("positive_first", "negative_first")]
        yield f"| {place} | {method} | {' | '.join(cells)} |"


def _interval(told: dict) -> str:
    return str(Interval(told["mean"], told["low"], told["high"]))


def _verdict(gap: Interval) -> str:
    return "yes" if gap.low > 0 else "NO" if gap.high < 0 else "undecided"


def _progress(done: int, total: int, each: float) -> None:
    left = each * (total - done)
    print(f"\r{done} of {total} pictures, {each:.1f} s each, {left / 60:.0f} min left ", end="", file=sys.stderr)
    if done == total:
        print(file=sys.stderr)
