"""One Vision Transformer for all checkpoints: load, look inside, save.

The names are imported when they are first used: `vit_model.files` is of use to programs that can do without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vit_model.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
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
    },
)
