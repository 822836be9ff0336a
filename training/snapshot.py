"""A training between two steps, to disk and back: what a resume needs, beside the model that is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from training import checkpoint, parallel
from training.build import at_resolution
from training.errors import TrainingError
from training.meters import Since
from training.optimise import Optimisers

if TYPE_CHECKING:
    from training.loop import Training


def save(training: Training) -> None:
    """A checkpoint of this step, with the state of the training; none before the first step. TrainingError where the
    weights are no numbers any more, which a loss that is still one does not tell."""
    if not all(tensor.isfinite().all() for tensor in training.served.state_dict().values()):
        raise TrainingError(
            f"the weights became NaN or infinite before step {training.step}; lower the learning rate, clip the "
            "gradient, or warm up longer. The last checkpoint is from before"
        )
    if training.rank == 0 and training.step:
        training.report(phase="saving")
        tensors = tensors_of(training)
        tensors |= training.since.state()  # of steps that no event has told of yet
        state = {
            "seconds": training.seconds,
            "side": training.side,
            "accumulation": training.accumulation,
            "best": training.best,
            "without_better": training.without_better,
            "tested": training.tested,
            "scaler": training.scaler.state_dict(),
        }
        best = training.best["step"] if training.best else None
        checkpoint.save_checkpoint(
            training.run.path / "checkpoints",
            training.step,
            training.served,
            tensors,
            state,
            keep=lambda step: step == best or training.keeps(step),
        )
        if training.best is not None:
            checkpoint.write_best(training.run.path, training.best)
    parallel.wait()


def tensors_of(training: Training) -> dict[str, Tensor]:
    """What a resume needs of the model, its average and the optimiser."""
    tensors = {f"model.{name}": tensor for name, tensor in training.model.state_dict().items()}
    if training.averaged is not None:
        tensors |= {f"averaged.{name}": tensor for name, tensor in training.averaged.state_dict().items()}
    return tensors | {f"optimiser.{name}": tensor for name, tensor in training.optimisers.state().items()}


def restore(training: Training) -> None:
    """Put a freshly built training where the last checkpoint stands; nothing where there is none. TrainingError where
    that checkpoint is another config's."""
    folder = training.run.path / "checkpoints"
    if training.rank == 0:
        checkpoint.clear_leftovers(folder)
    found = checkpoint.load_state(folder)
    if found is None:
        return
    tensors, state = found
    try:
        training.step, training.earlier, side = int(state["step"]), float(state["seconds"]), state["side"]
        training.accumulation, training.best = int(state["accumulation"]), state["best"]
        training.without_better, training.tested = int(state["without_better"]), dict(state["tested"])
        if side is not None and side != training.model.preprocessing.size[0]:
            at_resolution(training.model, side)
            if training.averaged is not None:
                at_resolution(training.averaged, side)
            training.optimisers = Optimisers(training.model, training.config)
        training.model.load_state_dict(_under("model.", tensors))
        if training.averaged is not None:
            training.averaged.load_state_dict(_under("averaged.", tensors))
        training.optimisers.load(_under("optimiser.", tensors))
        training.since = Since(
            {name: sums.to(training.device) for name, sums in tensors.items() if name.startswith("since.")}
        )
        if state["scaler"]:
            training.scaler.load_state_dict(state["scaler"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"the checkpoint of this run does not fit its run.json: {error}") from error
    training.side = side
    print(f"resumed at step {training.step}", flush=True)


def model_at(training: Training, step: int) -> nn.Module | None:
    """The model that was saved after `step`; None if it was at an earlier stage's resolution."""
    folder = training.run.path / "checkpoints" / checkpoint.folder_name(step)
    model = checkpoint.load_servable(folder, training.served).to(training.device)
    return model if model.preprocessing.size == training.served.preprocessing.size else None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
