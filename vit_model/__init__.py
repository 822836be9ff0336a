"""One Vision Transformer for all checkpoints: load, look inside, save.

The names are imported when they are first used: `vit_model.files` is of use to programs that can do without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_model.checkpoints.loading import load_model
    from vit_model.checkpoints.saving import save_model
    from vit_model.config import SIZES, ViTConfig
    from vit_model.errors import CheckpointError
    from vit_model.model import VisionTransformer
    from vit_model.positions import resample_positions
    from vit_model.preprocess import CropBox, Preprocessing
    from vit_model.trace import Trace

__all__ = [
    "SIZES",
    "CheckpointError",
    "CropBox",
    "Preprocessing",
    "Trace",
    "ViTConfig",
    "VisionTransformer",
    "load_model",
    "resample_positions",
    "save_model",
]

_MODULES = {
    "SIZES": "config",
    "CheckpointError": "errors",
    "CropBox": "preprocess",
    "Preprocessing": "preprocess",
    "Trace": "trace",
    "ViTConfig": "config",
    "VisionTransformer": "model",
    "load_model": "checkpoints.loading",
    "resample_positions": "positions",
    "save_model": "checkpoints.saving",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
