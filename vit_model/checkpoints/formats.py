"""FORMATS: the checkpoint formats that can be read. A new family is one file under `families/` and its line here."""

from __future__ import annotations

from vit_model.checkpoints.families.dino import DINO
from vit_model.checkpoints.families.dinov2 import DINOV2, DINOV2_REGISTERS
from vit_model.checkpoints.families.google_npz import NPZ
from vit_model.checkpoints.families.hf_deit import HF_DEIT
from vit_model.checkpoints.families.hf_dinov2 import HF_DINOV2, HF_DINOV2_REGISTERS
from vit_model.checkpoints.families.hf_mae import HF_MAE
from vit_model.checkpoints.families.hf_vit import HF_VIT
from vit_model.checkpoints.families.mae import MAE
from vit_model.checkpoints.families.own import OWN
from vit_model.checkpoints.families.timm import TIMM
from vit_model.checkpoints.families.torchvision import TORCHVISION
from vit_model.checkpoints.format import Format

FORMATS: tuple[Format, ...] = (
    TORCHVISION,
    NPZ,
    HF_DINOV2_REGISTERS,
    HF_DINOV2,
    HF_DEIT,
    HF_MAE,
    HF_VIT,
    OWN,
    DINOV2_REGISTERS,
    DINOV2,
    MAE,
    DINO,
    TIMM,
)
"""The first that holds a checkpoint's names is its format, and the first that suits a model saves it: what is special
stands before what is general."""
