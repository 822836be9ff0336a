"""One Vision Transformer for all checkpoints: load, look inside, save."""

from vit_model.config import SIZES, ViTConfig
from vit_model.errors import CheckpointError
from vit_model.loading import load_model
from vit_model.model import VisionTransformer
from vit_model.positions import resample_positions
from vit_model.preprocess import CropBox, Preprocessing
from vit_model.saving import save_model
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
