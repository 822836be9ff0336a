"""Their tensors -> ours, by a format's key tables: every tensor is used, or dropped by name with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vit_model.checkpoints.format import PARTS, Format
from vit_model.errors import CheckpointError, few, quoted
from vit_model.messages import message


@dataclass(frozen=True)
class Converted:
    """`state`: our parameters in fp32, in memory of their own. `used`: their key -> our parameter. `dropped`: their key
    -> the reason. `plain`: their names as the tables spell them. `heads`: where the file's shapes tell them."""

    state: dict[str, Tensor]
    used: dict[str, str]
    dropped: dict[str, str]
    plain: frozenset[str]
    heads: int | None = None


def convert(format: Format, tensors: Mapping[str, Tensor]) -> Converted:
    """Every tensor put in its place. CheckpointError names tensors that are unknown, missing, double or not numbers."""
    plain = format.plain_names(tensors)
    used, dropped, unknown = {}, {}, []
    has_head = any(format.target(name) == "head.weight" for name in plain.values())
    for key, name in plain.items():
        target, reason = format.target(name), format.reason(name, has_head)
        if reason is not None:
            dropped[key] = reason
        elif target is None:
            unknown.append(key)
        else:
            used[key] = target
    if unknown:
        raise CheckpointError(
            message(
                "tensors_unknown",
                "{format}: {count} of {total} tensors have names that this format does not have: {names}; a variant "
                "with such tensors is not supported",
                format=format.name,
                count=len(unknown),
                total=len(tensors),
                names=few(unknown),
            )
        )
    by_target: dict[str, str] = {}
    for key, target in used.items():
        if target in by_target:
            text, names = "{format}: {first} and {second} both hold {target}", (quoted(by_target[target]), quoted(key))
            raise CheckpointError(
                message("tensor_twice", text, format=format.name, first=names[0], second=names[1], target=target)
            )
        by_target[target] = key

    state, heads = {}, None
    for target, key in by_target.items():
        parameter, bracket, _ = target.partition("[")
        if parameter in state:
            continue
        if bracket:
            kinds = PARTS[parameter.split(".")[-2]]
            keys = [by_target[part] for kind in kinds if (part := f"{parameter}[{kind}]") in by_target]
            if len(keys) < len(kinds):
                absent = ", ".join(kind for kind in kinds if f"{parameter}[{kind}]" not in by_target)
                text = "{format}: {name} is there, but its {absent} is missing ({parameter})"
                details = {"format": format.name, "name": quoted(key), "absent": absent, "parameter": parameter}
                raise CheckpointError(message("tensor_part", text, **details))
        else:
            keys = [key]
        heads = heads or format.heads_in(plain[keys[0]], tensors[keys[0]])
        parts = [_checked(part, format.reshape(plain[part], tensors[part])) for part in keys]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(f"{part} {list(tensor.shape)}" for part, tensor in zip(keys, parts, strict=True))
            text = "{format}: parts of {parameter} have different shapes: {shapes}"
            raise CheckpointError(message("part_shapes", text, format=format.name, parameter=parameter, shapes=shapes))
        # A copy, also of fp32: what was read is a window on a file that may be replaced while the model is in use.
        state[parameter] = torch.cat(parts).float() if bracket else parts[0].to(torch.float32, copy=True).contiguous()
        _check_finite(keys, state[parameter])
    return Converted(state, used, dropped, frozenset(plain.values()), heads)


def missing_error(format: Format, missing: list[str]) -> CheckpointError:
    """The error for our parameters that a checkpoint lacks, in the checkpoint's own names."""
    theirs = [next((key for key, part in format.source(name) if part is None), name) for name in missing]
    hint: str = ""
    if all(name.endswith(".bias") and "norm" in name for name in missing):
        hint = message("norms_without_bias", "; LayerNorms without a bias (RMSNorm, say) are not supported")
    elif any(name.startswith("norm.") for name in missing):
        hint = message("no_final_norm", "; a model without its final LayerNorm is not supported")
    text = "{format}: {count} tensors are missing: {names}{hint}"
    details = {"format": format.name, "count": len(missing), "names": few(theirs), "hint": hint}
    return CheckpointError(message("tensors_missing", text, **details))


def _checked(key: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        text = "{name} holds {type} numbers; expected floating-point weights (quantised models are not supported)"
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(message("tensor_type", text, name=quoted(key), type=kind))
    return tensor


def _check_finite(keys: list[str], tensor: Tensor) -> None:
    if not tensor.sum().isfinite() and not tensor.isfinite().all():  # the sum is cheap, and finite in all but odd cases
        bad = int((~tensor.isfinite()).sum())
        text = "{names}: {bad} of {total} weights are NaN or infinite; fetch it again"
        details = {"names": few(keys), "bad": f"{bad:,}", "total": f"{tensor.numel():,}"}
        raise CheckpointError(message("weights_not_finite", text, **details))
