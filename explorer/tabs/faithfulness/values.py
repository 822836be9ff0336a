"""What the tab "Is the map true?" shows and saves of what was measured."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass

import numpy as np

from explorer.analysis.explain.classes import class_index, predicted_class
from explorer.analysis.explain.methods import METHODS
from explorer.analysis.faithfulness.faithfulness import VALUES
from explorer.analysis.faithfulness.leaderboard import BASELINES, RANDOM, Leaderboard
from explorer.analysis.faithfulness.sanity import Sanity
from explorer.figures.curve_figures import curves_figure, sanity_figure
from explorer.session.cache import ByteCache
from explorer.session.scenes import Scene
from explorer.ui.errors import reason_of
from explorer.ui.words import TEXT, say_both
from explorer.viewer.plot.plot import plot_value
from explorer.viewer.scores.scores import cell, scores_value
from vit_model.errors import CodedError, quoted
from vit_model.messages import message

SEED = 0
SHOWN_AT_FIRST = 5  # methods, the best; the others wait in the legend
MAX_STEPS = 40


@dataclass
class Found:
    """What has been measured so far of one `Asked`; replaced while it grows, never changed inside."""

    board: Leaderboard | None = None
    sanity: Sanity | None = None

    @property
    def measured(self) -> bool:
        """Whether the curves are complete."""
        return self.board is not None and self.board.curves is not None and self.board.curves.complete


_FOUND: ByteCache[Found] = ByteCache(64 * 2**20, 3600, lambda _: 2**19)  # for all visitors, keyed by content


@dataclass(frozen=True)
class Asked:
    """The scene, and what the tab's controls say, checked."""

    scene: Scene
    target: int
    methods: tuple[str, ...]
    steps: int
    value: str

    @classmethod
    def of(cls, scene: Scene, named: str | None, methods: list[str] | None, steps: float, value: str) -> Asked:
        """`named`: a class by number or label, empty for the predicted one; `methods`: empty for all."""
        named = (named or "").strip()
        target = class_index(scene.model, named) if named else predicted_class(scene.model, scene.trace)
        chosen = tuple(name for name in METHODS if not methods or name in methods)
        if not isinstance(steps, int | float) or not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"steps must be from 1 to {MAX_STEPS}, got {quoted(steps)}")
        if value not in VALUES:
            raise ValueError(f"value must be one of {', '.join(VALUES)}, got {quoted(value)}")
        return cls(scene, target, chosen, int(steps), value)

    @property
    def found(self) -> Found:
        """What is known of it, in the cache of all visitors; the weight check whatever the steps of the curves."""
        curves = _FOUND.get((self.scene.key, self.target, self.methods, self.steps, self.value), Found)
        checked = _FOUND.get((self.scene.key, self.target, self.methods, "sanity"), Found)
        return Found(curves.board, checked.sanity)

    def keep(self, board: Leaderboard | None = None, sanity: Sanity | None = None) -> None:
        if board is not None:
            held = _FOUND.get((self.scene.key, self.target, self.methods, self.steps, self.value), Found)
            if not held.measured:  # somebody else may be measuring the same, and be behind
                held.board = board
        if sanity is not None:
            _FOUND.get((self.scene.key, self.target, self.methods, "sanity"), Found).sanity = sanity

    @property
    def label(self) -> str:
        return self.scene.model.labels[self.target]

    @property
    def caption(self) -> str:
        """What a picture that is taken away says of where it comes from."""
        height, width = self.scene.model.config.image_size
        share = float(self.scene.trace.logits[0].float().softmax(-1)[self.target])
        parts = (self.scene.name, f"{height}x{width} px", f"{self.label} ({100 * share:.1f} %)")
        return " · ".join((*parts, f"picture {self.scene.picture_hash[:12]}"))


def table_value(asked: Asked, found: Found, progress: dict | None = None) -> dict:
    """The leaderboard, as far as it is; the best first."""
    board, curves = found.board, found.board and found.board.curves
    notes = {language: [] for language in ("en", "zh")}
    rows: list[dict] = []
    if curves:
        areas, checked = curves.areas, _checked(found.sanity)
        chance = areas["gap"][curves.names.index(RANDOM)]
        largest, place = float(np.abs(areas["gap"]).max()) or 1.0, 0
        for row in board.ranking:
            name, gap = curves.names[row], areas["gap"][row]
            baseline = name in BASELINES
            place += not baseline
            no_better = not baseline and bool(gap <= chance)
            cells = [
                cell(f"{areas['positive'][row]:.3f}"),
                cell(f"{areas['negative'][row]:.3f}"),
                cell(
                    f"{gap:+.3f}", gap / largest, mark=no_better, title=say_both("truth_no_better") if no_better else ""
                ),
                cell(f"{100 * areas['positive_first'][row]:.0f}%"),
                cell(f"{100 * areas['negative_first'][row]:.0f}%"),
                checked.get(name, cell("–", title="" if baseline else say_both("truth_unchecked"))),
            ]
            rows.append(
                {"head": name_of(name) if baseline else _placed(place, name), "quiet": baseline, "cells": cells}
            )
        if not curves.complete:
            _add(notes, "truth_partial", points=len(curves.dropped), all=curves.points)
    elif progress is None:
        progress = {"done": 0.0, "text": say_both("truth_ready"), "running": False}
    for method in board.refused if board else ():
        reason = {language: reason_of(board.refused[method], language) for language in TEXT}
        _add(notes, "truth_refused", method=name_of(method), reason=reason)
    keys = ("positive", "negative", "gap", "positive_first", "negative_first", "sanity")
    return scores_value(
        title=say_both("truth_table", label=asked.label),
        note={language: " ".join(lines) for language, lines in notes.items()},
        corner=say_both("truth_method"),
        head=[say_both(f"truth_head_{key}") for key in keys],
        rows=rows,
        caption=asked.caption,
        name="faithfulness",
        progress=progress,
    )


def curve_values(asked: Asked, found: Found) -> list[dict | None]:
    """Plots of the positive and the negative curves."""
    board, curves = found.board, found.board and found.board.curves
    if not curves:
        return [None, None]
    baselines = [curves.names.index(name) for name in BASELINES]
    best = [row for row in board.ranking if row not in baselines][:SHOWN_AT_FIRST]
    common = {
        "baselines": baselines,
        "shown": [*best, *baselines],
        "x": say_both("truth_left_out"),
        "y": say_both(f"truth_{asked.value}", label=asked.label),
        "probability": asked.value == "probability",
    }
    names = [name_of(name) for name in curves.names]
    figures = [
        curves_figure(curves.share, getattr(curves, kind), names, title=_titled(asked, kind), **common)
        for kind in ("positive", "negative")
    ]
    return [plot_value(figure, caption=asked.caption) for figure in figures]


def matrix_value(asked: Asked, found: Found) -> dict | None:
    """Rank correlations of all pairs of maps that there are so far."""
    board = found.board
    if board is None or len(board.maps) < 2:
        return None
    names, agreement = list(board.maps), board.agreement.tolist()
    rows = [
        {
            "head": name_of(name),
            "quiet": name in BASELINES,
            "cells": [
                cell(_number(value), value, title=_pair(name, other))
                for other, value in zip(names, agreement[row], strict=True)
            ],
        }
        for row, name in enumerate(names)
    ]
    return scores_value(
        title=say_both("truth_matrix"),
        head=[name_of(name) for name in names],
        rows=rows,
        turned=True,
        caption=asked.caption,
        name="rank-agreement",
    )


def sanity_value(asked: Asked, found: Found) -> dict | None:
    """A plot of the correlation by what has been randomised."""
    if found.sanity is None:
        return None
    steps = [say_both("truth_trained"), *(step_name(step) for step in found.sanity.planned)]
    words = {"x": say_both("truth_randomised"), "y": say_both("truth_correlation"), "title": _titled(asked, "sanity")}
    names = [name_of(name) for name in found.sanity.methods]
    return plot_value(sanity_figure(found.sanity, names, steps, **words), caption=asked.caption)


def name_of(method: str) -> dict[str, str]:
    return say_both(f"{'truth' if method in BASELINES else 'method'}_{method}")


def _pair(one: str, other: str) -> dict[str, str]:
    return {language: f"{name_of(one)[language]} · {name_of(other)[language]}" for language in TEXT}


def _placed(place: int, method: str) -> dict[str, str]:
    return {language: f"{place}  {name}" for language, name in name_of(method).items()}


def step_name(step: str) -> dict[str, str]:
    kind, _, index = step.partition(" ")
    return say_both(f"truth_step_{kind}", index=index)


def arrays_of(asked: Asked) -> tuple[dict, dict]:
    """Everything that was measured, and how."""
    found = asked.found
    if found.board is None or found.board.curves is None:
        text = "nothing has been measured yet; press “Measure all methods” first"
        raise CodedError(message("truth_nothing", text))
    board, curves = found.board, found.board.curves
    arrays = {
        "methods": np.array(curves.names),
        "left_out": curves.dropped,
        **{kind: getattr(curves, kind) for kind in ("positive", "negative", "positive_first", "negative_first")},
        **{f"area_{kind}": values for kind, values in curves.areas.items()},
        **{f"map_{name}": values.numpy() for name, values in board.maps.items()},
        "rank_agreement": board.agreement.numpy(),
    }
    if found.sanity is not None and found.sanity.steps:
        arrays |= {"sanity_methods": np.array(found.sanity.methods), "sanity_steps": np.array(found.sanity.steps)}
        arrays |= {"sanity_correlation": found.sanity.correlation, "sanity_magnitude": found.sanity.magnitude}
    return arrays, choices_of(asked, found)


def choices_of(asked: Asked, found: Found) -> dict:
    """What a manifest says of how it was measured, and how far."""
    choices = {"target": asked.target, "label": asked.label, "value": asked.value, "steps": asked.steps, "seed": SEED}
    choices |= {"grid": list(asked.scene.trace.grid)}
    board, curves = found.board, found.board and found.board.curves
    if curves:
        choices |= {"random_draws": len(board.maps[RANDOM]), "complete": curves.complete, "patches": curves.patches}
    return choices


def csv_of(asked: Asked, manifest: dict) -> str:
    """The leaderboard as CSV; the manifest is its first line, after a #."""
    arrays, _ = arrays_of(asked)
    board, lowest = asked.found.board, {}
    if (sanity := asked.found.sanity) is not None and sanity.complete:
        lowest = dict(zip(sanity.methods, sanity.lowest, strict=True))
    kinds = ("positive", "negative", "gap", "positive_first", "negative_first")
    file = io.StringIO()
    file.write(commented(manifest))
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["method", *kinds, "lowest_correlation_with_random_weights"])
    for row in board.ranking:
        name = board.curves.names[row]
        areas = [f"{arrays[f'area_{kind}'][row]:.6f}" for kind in kinds]
        low = lowest.get(name, math.nan)
        writer.writerow([name, *areas, "" if math.isnan(low) else f"{low:.4f}"])
    return file.getvalue()


def commented(manifest: dict) -> str:
    """The manifest as a line that readers of CSV may pass over. A spreadsheet reads it as cells, of which a name such
    as "a,=1+1" would make a formula: what parts cells inside of a text is written by its number."""
    text = json.dumps(manifest, ensure_ascii=False).replace(";", "\\u003b")
    return "# " + re.sub(r",(?=\S)", r"\\u002c", text) + "\n"  # the commas of JSON itself have a space after them


def _checked(sanity: Sanity | None) -> dict[str, dict]:
    """The last column's cell of each method that the weight check has finished with."""
    if sanity is None or not sanity.complete:
        return {}
    judged = zip(sanity.methods, sanity.lowest, sanity.marked, strict=True)
    return {
        name: cell("–", title=say_both("truth_undefined"))
        if math.isnan(lowest)
        else cell(say_both("truth_hardly" if marked else "truth_follows", lowest=_number(lowest)), mark=marked)
        for name, lowest, marked in judged
    }


def _titled(asked: Asked, kind: str) -> dict[str, str]:
    return say_both(f"truth_plot_{kind}", label=asked.label, model=asked.scene.name)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _add(notes: dict[str, list[str]], key: str, **values: object) -> None:
    for language, text in say_both(key, **values).items():
        notes[language].append(text)
