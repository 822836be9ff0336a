"""save_model: a folder that transformers opens, and load_model too.

A model goes into the Hugging Face layout of its family. What no family there can express keeps our own names, with
`model_type: vit_explorer` and the reason why.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from vit_model.checkpoints import formats
from vit_model.checkpoints.format import PARTS, Layout
from vit_model.config import ViTConfig
from vit_model.errors import CodedError
from vit_model.messages import message
from vit_model.model import VisionTransformer

WHOLE = "model.safetensors"
HEADER_BYTES = 160  # of a safetensors file, at most, for a tensor's type, shape and place, beside its name


def save_model(
    model: VisionTransformer, folder: str | Path, dtype: torch.dtype = torch.float32, shard_bytes: int | None = None
) -> Path:
    """Write config.json, model.safetensors and preprocessor_config.json; returns the folder.

    Every file is written under a temporary name and then renamed, the weights last, so that a reader never sees half of
    one. `dtype`: how weights are stored, e.g. torch.float16 for half the size; they are loaded as fp32 again.
    `shard_bytes`: weights that take more are cut into files of at most so many bytes, with model.safetensors.index.json
    beside them, as transformers does it. ValueError where a single tensor takes more.
    """
    if dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ValueError(f"dtype must be torch.float32, torch.float16 or torch.bfloat16, got {dtype}")
    layout = layout_for(model.config)
    tensors = _export(model, layout, dtype)
    shards = _shards(tensors, shard_bytes)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _config_json(model, layout, dtype))
    _write_json(folder / "preprocessor_config.json", model.preprocessing.to_hugging_face())
    for name, held in shards.items():
        with _replacing(folder / name) as temporary:
            save_file(held, temporary, metadata={"format": "pt"})
    if WHOLE not in shards:
        total = sum(tensor.nbytes for tensor in tensors.values())
        weight_map = {key: name for name, held in shards.items() for key in sorted(held)}
        _write_json(folder / f"{WHOLE}.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
        (folder / WHOLE).unlink(missing_ok=True)  # an earlier save's, which readers would prefer
    return folder


def layout_for(config: ViTConfig) -> Layout:
    """The layout that holds a model of this config: that of the first format which suits it, else our own."""
    saving = next(format.saving for format in formats.FORMATS if format.saving and format.saving.suits(config))
    if why := saving.refusals(config):
        return Layout(formats.OWN, "vit_explorer", "VisionTransformer", why="; ".join(why))
    return saving.layout(config)


def _export(model: VisionTransformer, layout: Layout, dtype: torch.dtype) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    outside = ("head", "distillation_head")  # classifiers stand beside the encoder
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().to("cpu", dtype)
        if not tensor.isfinite().all():
            text = "{name} holds NaN or infinite weights (or values beyond {type}); nothing was saved"
            raise CodedError(message("export_not_finite", text, name=name, type=dtype))
        prefix = "" if name.split(".")[0] in outside else layout.prefix
        for theirs, part in layout.format.source(name):
            if part is None:
                piece = tensor
            else:
                kinds = PARTS[name.split(".")[-2]]
                piece = tensor.chunk(len(kinds))[kinds.index(part)]
            tensors[prefix + theirs] = piece.clone(memory_format=torch.contiguous_format)
    return tensors | {name: torch.zeros(shape, dtype=dtype) for name, shape in layout.zeros.items()}


def _shards(tensors: dict[str, Tensor], shard_bytes: int | None) -> dict[str, dict[str, Tensor]]:
    """{file name: its tensors}, in the order of the model."""
    sizes = {name: tensor.nbytes + len(name) + HEADER_BYTES for name, tensor in tensors.items()}
    if shard_bytes is None or sum(sizes.values()) + HEADER_BYTES <= shard_bytes:
        return {WHOLE: tensors}
    parts: list[dict[str, Tensor]] = [{}]
    room = shard_bytes - HEADER_BYTES
    for name, size in sizes.items():
        if size + HEADER_BYTES > shard_bytes:
            raise ValueError(f"{name} takes {size + HEADER_BYTES:,} bytes in a file, more than shard_bytes = "
                             f"{shard_bytes:,}")  # fmt: skip
        if size > room:
            parts.append({})
            room = shard_bytes - HEADER_BYTES
        parts[-1][name] = tensors[name]
        room -= size
    stem = WHOLE.removesuffix(".safetensors")
    return {f"{stem}-{n:05}-of-{len(parts):05}.safetensors": part for n, part in enumerate(parts, 1)}


def _config_json(model: VisionTransformer, layout: Layout, dtype: torch.dtype) -> dict:
    config = model.config
    labels = {str(index): label for index, label in enumerate(model.labels)}
    common = {
        "architectures": [layout.architecture],
        "model_type": layout.model_type,
        "dtype": str(dtype).removeprefix("torch."),
        "id2label": labels,
        "label2id": {label: int(index) for index, label in labels.items()},
    }
    ours = {
        "interpolation": model.origin.interpolation,
        "drop_path": config.drop_path,
        "embedding_dropout": config.embedding_dropout,
    }
    if layout.why is not None:
        return common | {"vit_config": config.to_dict(), "why_not_transformers": layout.why, "vit_explorer": ours}
    return common | dict(layout.fields) | {"vit_explorer": ours}


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it once the block ends well, removed if it does not."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_json(path: Path, values: dict) -> None:
    with _replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
