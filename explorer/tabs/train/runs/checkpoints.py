"""The checkpoints of runs as models to choose: their names in the explorer's picker, and their choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from explorer.session.scenes import ModelChoice
from explorer.tabs.train.runs.access import RunAccess
from explorer.ui.words import say
from training.runs.runs import CheckpointInfo, Run

MOST_RUNS = 40  # in the picker, the newest
MOST_STEPS = 20  # of one run, the newest
_PREFIX = "run:"


@dataclass(frozen=True)
class RunCheckpoints:
    """The names of runs' checkpoints in the explorer's model picker: "run:ID/best", "run:ID/last" and
    "run:ID/step-400"."""

    access: RunAccess

    def holds(self, name: str) -> bool:
        """Return whether a name of the picker is a run's checkpoint."""
        return name.startswith(_PREFIX)

    def names(self, request: gr.Request) -> list[tuple[str, str]]:
        """List (label, name) of each checkpoint that the visitor may see, of the newest run first.
        ResNets are left out: the explorer shows attention."""
        found, seen = [], set()
        for run in self.access.list(request):
            checkpoints = run.checkpoints()
            if not checkpoints or is_resnet(run):
                continue
            title = run.name if run.name not in seen else f"{run.name} ({run.id[-6:]})"
            seen.add(title)
            title = say(request, "picker_run", name=title)
            found += [(f"{title} · {label}", self.name(run, key)) for label, key in checkpoint_keys(run, request)]
            if len(seen) == MOST_RUNS:
                break
        return found

    def name(self, run: Run, key: str) -> str:
        return f"{_PREFIX}{run.id}/{key}"

    def chosen(self, name: str, request: gr.Request) -> ModelChoice:
        """Return the choice that a name means now. ValueError, in the visitor's language, if it is gone, not the
        visitor's, or no Vision Transformer."""
        run_id, _, key = name.removeprefix(_PREFIX).partition("/")
        run = run_of(run_id, self.access, request)
        return choice_of(run, checkpoint_of(run, key, request), request)


def checkpoint_keys(run: Run, request: gr.Request) -> list[tuple[str, str]]:
    """List (label, key) of a run's checkpoints: best, last, then by step, the newest first."""
    checkpoints = run.checkpoints()
    named = [("best", one) for one in checkpoints if one.best] + [("last", one) for one in checkpoints if one.last]
    keys = [(f"{say(request, f'take_{key}')} ({say(request, 'take_step', step=one.step)})", key) for key, one in named]
    newest = reversed(checkpoints[-MOST_STEPS:])
    return keys + [(say(request, "take_step", step=one.step), f"step-{one.step}") for one in newest]


def choice_of(run: Run, checkpoint: CheckpointInfo, request: gr.Request) -> ModelChoice:
    """Make a model choice of a checkpoint; its name shows no path."""
    if is_resnet(run):
        raise ValueError(say(request, "results_resnet"))
    step = say(request, "take_step", step=checkpoint.step)
    return ModelChoice(str(checkpoint.path), f"{say(request, 'picker_run', name=run.name)} · {step}")


def checkpoint_of(run: Run, key: Any, request: gr.Request) -> CheckpointInfo:
    """Return the checkpoint "best", "last" or "step-400" of a run. ValueError if there is none of that name (any
    more)."""
    checkpoints = run.checkpoints()
    if not checkpoints:
        raise ValueError(say(request, "take_none"))
    for one in checkpoints:
        if (key == "best" and one.best) or (key == "last" and one.last) or key == f"step-{one.step}":
            return one
    raise ValueError(say(request, "take_gone"))


def run_of(run_id: Any, access: RunAccess, request: gr.Request) -> Run:
    """Return the visitor's run of this id. ValueError, the same for a run that does not exist and one of another
    owner."""
    gone = say(request, "results_gone")
    if not isinstance(run_id, str) or not 0 < len(run_id) <= 200:
        raise ValueError(gone)
    try:
        return access.get(run_id, request)
    except LookupError as error:
        raise ValueError(gone) from error


def is_resnet(run: Run) -> bool:
    try:
        return run.config.model.partition(":")[0] == "resnet18"
    except ValueError:  # a damaged run.json: its checkpoints may still be good
        return False
