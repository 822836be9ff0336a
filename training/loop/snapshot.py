"""Save and restore a training between two steps: the tensors and values that a resume needs, beside the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from training.errors import TrainingError
from training.loop import checkpoint, parallel
from training.loop.build import at_resolution
from training.loop.meters import RunningMean
from training.loop.optimise import Optimisers
from training.loop.state import TrainingState
from vit_model.messages import message

if TYPE_CHECKING:
    from training.loop.build import TrainedModel


def save(state: TrainingState) -> None:
    """Save a checkpoint of this step, with the state of the training; none before the first step. TrainingError if the
    weights are no longer finite, which a finite loss does not rule out."""
    if not all(tensor.isfinite().all() for tensor in state.eval_model.state_dict().values()):
        raise TrainingError(
            message(
                "weights_diverged",
                "the weights became NaN or infinite before step {step}; lower the learning rate, clip the gradient, or "
                "warm up longer. The last checkpoint is from before",
                step=state.step,
            )
        )
    if state.rank == 0 and state.step:
        state.report(phase="saving")
        tensors = tensors_of(state)
        tensors |= state.recent.state()  # of steps that no event has told of yet
        kept = {
            "seconds": state.seconds,
            "side": state.resolution,
            "accumulation": state.accumulation,
            "best": state.best,
            "without_better": state.without_better,
            "tested": state.tested,
            "scaler": state.scaler.state_dict(),
        }
        best = state.best["step"] if state.best else None
        checkpoint.save_checkpoint(
            state.run.path / "checkpoints",
            state.step,
            state.eval_model,
            tensors,
            kept,
            keep=lambda step: step == best or state.keeps(step),
        )
        if state.best is not None:
            checkpoint.write_best(state.run.path, state.best)
    parallel.wait()


def tensors_of(state: TrainingState) -> dict[str, Tensor]:
    """Return the tensors that a resume needs: of the model, its average and the optimiser."""
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    if state.ema_model is not None:
        tensors |= {f"averaged.{name}": tensor for name, tensor in state.ema_model.state_dict().items()}
    return tensors | {f"optimiser.{name}": tensor for name, tensor in state.optimisers.state().items()}


def restore(state: TrainingState) -> None:
    """Restore a freshly built training from its last checkpoint, if there is one. TrainingError if that checkpoint
    belongs to another config."""
    folder = state.run.path / "checkpoints"
    if state.rank == 0:
        checkpoint.clear_leftovers(folder)
    found = checkpoint.load_state(folder)
    if found is None:
        return
    tensors, kept = found
    try:
        state.step, state.previous_seconds, side = int(kept["step"]), float(kept["seconds"]), kept["side"]
        state.accumulation, state.best = int(kept["accumulation"]), kept["best"]
        state.without_better, state.tested = int(kept["without_better"]), dict(kept["tested"])
        if side is not None and side != state.model.preprocessing.size[0]:
            at_resolution(state.model, side)
            if state.ema_model is not None:
                at_resolution(state.ema_model, side)
            state.optimisers = Optimisers(state.model, state.config)
        state.model.load_state_dict(_under("model.", tensors))
        if state.ema_model is not None:
            state.ema_model.load_state_dict(_under("averaged.", tensors))
        state.optimisers.load(_under("optimiser.", tensors))
        state.recent = RunningMean(
            {name: sums.to(state.device) for name, sums in tensors.items() if name.startswith("since.")}
        )
        if kept["scaler"]:
            state.scaler.load_state_dict(kept["scaler"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        text = "the checkpoint of this run does not fit its run.json: {reason}"
        raise TrainingError(message("checkpoint_misfit", text, reason=error)) from error
    state.resolution = side
    print(f"resumed at step {state.step}", flush=True)


def model_at(state: TrainingState, step: int) -> TrainedModel | None:
    """Load the model that was saved after `step`; None if it was at an earlier stage's resolution."""
    folder = state.run.path / "checkpoints" / checkpoint.folder_name(step)
    model = checkpoint.load_servable(folder, state.eval_model).to(state.device)
    return model if model.preprocessing.size == state.eval_model.preprocessing.size else None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
