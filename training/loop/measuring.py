"""Evaluation during training: on the held-out part, which decides the best checkpoint, and on the test set."""

from __future__ import annotations

from training.loop import snapshot
from training.loop.evaluate import evaluate, write_results
from training.loop.state import TrainingState
from training.runs.metrics import MetricEvent


def held_out(state: TrainingState) -> list[MetricEvent]:
    """Evaluate on the held-out part, and note a new best; return no event if nothing is held out."""
    feed, step = state.feed, state.step
    if not len(feed.held_labels):
        return []
    answers = evaluate(state.eval_model, feed.held_out, feed.held_labels, **_choices(state))
    event = state.event("val", {"loss": answers.loss, "accuracy": answers.accuracy})
    better = state.best is None or answers.accuracy > state.best["accuracy"]
    state.without_better = 0 if better else state.without_better + 1
    if better:
        state.best = {"step": step, "accuracy": answers.accuracy}
        if state.rank == 0:
            write_results(state.run.path / "results", "val", step, step, answers, feed.held_indices, feed.classes)
    return [event]


def test(state: TrainingState, best: int | None = None) -> MetricEvent:
    """Evaluate on the test set: the checkpoint of step `best` if one is named, else the model as it is."""
    state.report(phase="testing")
    feed, step = state.feed, state.step
    model = None if best is None else snapshot.model_at(state, best)
    answers = evaluate(model or state.eval_model, feed.test(), feed.test_labels, **_choices(state))
    if state.rank == 0:
        measured, indices = step if model is None or best is None else best, range(len(feed.test_labels))
        write_results(state.run.path / "results", "test", step, measured, answers, indices, feed.classes)
    state.tested[str(step)] = answers.accuracy
    return state.event("test", {"loss": answers.loss, "accuracy": answers.accuracy})


def _choices(state: TrainingState) -> dict:
    part = state.config.batch // state.accumulation // state.world
    batch = min(max(2 * part, 16), 512)
    return {"batch": batch, "precision": state.config.precision, "device": state.device}
