"""How good a training is by now: on the held-out part, which decides what is best, and on the test set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training import snapshot
from training.evaluate import evaluate, write_results
from training.metrics import MetricEvent

if TYPE_CHECKING:
    from training.loop import Training


def held_out(training: Training) -> list[MetricEvent]:
    """Measure the model as it is, and note where it is the best so far; nothing where nothing is held out."""
    feed, step = training.feed, training.step
    if not len(feed.held_labels):
        return []
    answers = evaluate(training.served, feed.held_out, feed.held_labels, **_choices(training))
    event = training.event("val", {"loss": answers.loss, "accuracy": answers.accuracy})
    better = training.best is None or answers.accuracy > training.best["accuracy"]
    training.without_better = 0 if better else training.without_better + 1
    if better:
        training.best = {"step": step, "accuracy": answers.accuracy}
        if training.rank == 0:
            write_results(training.run.path / "results", "val", step, step, answers, feed.held_indices, feed.classes)
    return [event]


def test(training: Training, best: int | None = None) -> MetricEvent:
    """Read the test set; by the checkpoint of step `best` where one is named, else by the model as it is."""
    training.report(phase="testing")
    feed, step = training.feed, training.step
    model = None if best is None else snapshot.model_at(training, best)
    answers = evaluate(model or training.served, feed.test(), feed.test_labels, **_choices(training))
    if training.rank == 0:
        asked, indices = step if model is None else best, range(len(feed.test_labels))
        write_results(training.run.path / "results", "test", step, asked, answers, indices, feed.classes)
    training.tested[str(step)] = answers.accuracy
    return training.event("test", {"loss": answers.loss, "accuracy": answers.accuracy})


def _choices(training: Training) -> dict:
    part = training.config.batch // training.accumulation // training.world
    batch = min(max(2 * part, 16), 512)
    return {"batch": batch, "precision": training.config.precision, "device": training.device}
