"""Optimisers, learning rates and the moving average of the weights; their state as named tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from training.config import ConfigError, RunConfig
from vit_model.messages import message


class Optimisers:
    """The optimiser of a run: one of torch's, or Muon for the matrices of the blocks and AdamW for everything else.

    `names` are the model's trainable parameters. State goes in and out by parameter name, without pickle.
    """

    def __init__(self, model: nn.Module, config: RunConfig):
        self.config = config
        self.names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        groups: dict[tuple, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                muon = config.optimizer == "muon" and parameter.ndim == 2 and name.startswith("blocks.")
                decays = config.decay_all or (
                    parameter.ndim >= 2 and not name.endswith(("token", "positions", "registers"))
                )
                scale = layer_scale(name, len(getattr(model, "blocks", ())), config.layer_decay)
                groups.setdefault((muon, decays, scale), []).append(parameter)
        if not groups:
            text = "nothing is left to train; set trainable to all, head or a number of blocks"
            raise ConfigError(message("nothing_trainable", text))
        by_kind: dict[bool, list[dict]] = {}
        for (muon, decays, scale), parameters in groups.items():
            decay = config.weight_decay if decays else 0.0
            by_kind.setdefault(muon, []).append({"params": parameters, "weight_decay": decay, "scale": scale})
        self.parts = [_torch_optimiser(config, groups, muon) for muon, groups in sorted(by_kind.items())]

    def parameters(self) -> list[nn.Parameter]:
        return [p for part in self.parts for group in part.param_groups for p in group["params"]]

    def set_rate(self, rate: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["scale"]

    def step(self, scaler: GradScaler) -> None:
        for part in self.parts:
            scaler.step(part)
        scaler.update()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Return the state as {"parameter:entry": tensor}."""
        return {
            f"{self.names[id(parameter)]}:{entry}": torch.as_tensor(value)
            for part in self.parts
            for parameter, entries in part.state.items()
            for entry, value in entries.items()
            if value is not None
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Load what `state` returned. Entries of a parameter whose shape has changed since are left out."""
        entries: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, entry = key.rsplit(":", 1)
            entries.setdefault(name, {})[entry] = value
        for part in self.parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                found = entries.get(self.names[id(parameter)], {})
                if found and all(v.ndim == 0 or v.shape == parameter.shape for v in found.values()):
                    part.state[parameter] = {
                        entry: value.clone()
                        if value.ndim == 0 and part.param_groups[0].get("fused") is None
                        else value.to(parameter.device, copy=True)
                        for entry, value in found.items()
                    }


def _torch_optimiser(config: RunConfig, groups: list[dict], muon: bool) -> torch.optim.Optimizer:
    if muon:
        if not hasattr(torch.optim, "Muon"):
            text = "optimizer muon needs torch 2.9 or newer, this is {version}; choose adamw"
            raise ConfigError(message("no_muon", text, version=torch.__version__))
        # Steps of Adam's size (arXiv 2502.16982), so that one learning rate serves both
        return torch.optim.Muon(groups, lr=config.lr, momentum=config.momentum, adjust_lr_fn="match_rms_adamw")
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)


def layer_scale(name: str, depth: int, decay: float) -> float:
    """Return the factor on a parameter's learning rate: decay^(blocks above it), as BEiT fine-tunes (arXiv
    2106.08254)."""
    if decay == 1.0 or not depth:
        return 1.0
    first = name.split(".")[0]
    if first == "blocks":
        return decay ** (depth - int(name.split(".")[1]))
    return 1.0 if first in ("norm", "head", "distillation_head", "pre_logits") else decay ** (depth + 1)


def learning_rate(config: RunConfig, step: int, progress: float, total: int | None) -> float:
    """Return the learning rate of step `step` (from 0). `progress`: share of the run that is over; `total`: its steps,
    None where time is the budget. Linear warm-up to `config.lr`, then 0.5 (1 + cos(pi p)), 1 - p, or constant."""
    warm = min((step + 1) / config.warmup, 1.0) if config.warmup else 1.0
    if total is not None:
        progress = max(step - config.warmup, 0) / max(total - config.warmup, 1)
    progress = min(progress, 1.0)
    after = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1.0}
    return config.lr * warm * after[config.schedule]


@torch.no_grad()
def average(into: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Take one step of the exponential moving average of weights; buffers are copied. Starts fast, as a short memory
    fits a young model: decay = min(decay, (1 + step) / (10 + step))."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    ours: list[Tensor] = list(into.parameters())
    theirs: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(ours, theirs, weight)  # pyright: ignore[reportPrivateImportUsage]
    for kept, now in zip(into.buffers(), model.buffers(), strict=True):
        kept.copy_(now)


def grad_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the global L2 norm of the gradient."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
