"""ViTConfig: everything that decides a Vision Transformer's shape, checked once, and the named sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal

from vit_model.errors import CodedError, quoted
from vit_model.messages import Message, message

Pool = Literal["class", "mean-patches", "mean-all", "class+mean", "class-distilled"]
POOLS: tuple[str, ...] = ("class", "mean-patches", "mean-all", "class+mean", "class-distilled")
MOST = 1e6  # of a side in pixels, and of what should be small
MOST_COUNTED = 2**20  # of width, classes, ...: their products fit the sizes of tensors
MLPS: tuple[str, ...] = ("gelu", "swiglu")


@dataclass(frozen=True)
class ViTConfig:
    """The shape of one Vision Transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) and of its common relatives.

    `image_size` and `patch_size` are (height, width) in pixels; a single int means a square. Tokens are ordered
    class token, distillation token, registers, then the patches row by row.

    - `classes`: 0 for a model without a head; its forward then returns the pooled features.
    - `pool`: `class` (the paper), `mean-patches` (timm: mean of the patches), `mean-all` (lucidrains: mean of every
      token), `class+mean` (DINOv2's classifier: class token and mean patch side by side), `class-distilled` (DeiT: mean
      of two heads, on the class and on the distillation token).
    - `norm_after_pool`: whether the final LayerNorm comes after pooling; by default only for
      `mean-patches`, as in timm.
    - `patch_norms`: LayerNorms before and after the patch projection (lucidrains). `pre_norm`: one LayerNorm after the
      positions were added (CLIP's image towers).
    - `pre_logits`: width of a tanh layer before the head (Google's ImageNet-21k files), 0 for none.
    - `layer_scale`: initial value of LayerScale, None for no LayerScale.
    - `drop_path`: stochastic-depth rate of the last block; it grows linearly from 0 at the first.

    Raises ValueError, naming both numbers, where the fields contradict each other.
    """

    image_size: tuple[int, int] = (224, 224)
    patch_size: tuple[int, int] = (16, 16)
    channels: int = 3
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_width: int = 3072
    mlp: Literal["gelu", "swiglu"] = "gelu"
    classes: int = 1000
    pool: Pool = "class"
    class_token: bool = True
    distillation_token: bool = False
    registers: int = 0
    qkv_bias: bool = True
    norm_eps: float = 1e-6
    norm_after_pool: bool | None = None
    patch_norms: bool = False
    pre_norm: bool = False
    pre_logits: int = 0
    layer_scale: float | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for name in ("image_size", "patch_size"):
            object.__setattr__(self, name, _pair(name, getattr(self, name)))
        for name in ("channels", "width", "depth", "heads", "mlp_width", "classes", "registers", "pre_logits"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or int(value) > MOST_COUNTED:
                text, most = "{name} must be a whole number of at most {most}, got {value}", f"{MOST_COUNTED:,}"
                raise CodedError(message("shape_integer", text, name=name, most=most, value=quoted(value)))
        for name in ("dropout", "attention_dropout", "embedding_dropout", "drop_path", "norm_eps", "layer_scale"):
            value = getattr(self, name)
            if not (value is None and name == "layer_scale") and not _is_finite(value):
                text = "{name} must be a finite number, got {value}"
                raise CodedError(message("shape_finite", text, name=name, value=quoted(value)))
        if self.norm_after_pool is None:
            object.__setattr__(self, "norm_after_pool", self.pool == "mean-patches")
        for name in ("channels", "width", "depth", "heads", "mlp_width"):
            if getattr(self, name) < 1:
                text, value = "{field} must be at least {low}, got {value}", quoted(getattr(self, name))
                raise CodedError(message("field_low", text, field=name, low=1, value=value))
        for name in ("classes", "registers", "pre_logits"):
            if getattr(self, name) < 0:
                text, value = "{name} must not be negative, got {value}", quoted(getattr(self, name))
                raise CodedError(message("shape_negative", text, name=name, value=value))
        for name in ("dropout", "attention_dropout", "embedding_dropout", "drop_path"):
            if not 0.0 <= getattr(self, name) < 1.0:
                text, value = "{name} must be in [0, 1), got {value}", getattr(self, name)
                raise CodedError(message("shape_rate", text, name=name, value=value))
        if self.width % self.heads:
            text = "width {width} is not divisible by {heads} heads"
            raise CodedError(message("shape_heads", text, width=self.width, heads=self.heads))
        if not isinstance(self.pool, str) or self.pool not in POOLS:
            raise CodedError(_choice_message("pool", POOLS, self.pool))
        if not isinstance(self.mlp, str) or self.mlp not in MLPS:
            raise CodedError(_choice_message("mlp", MLPS, self.mlp))
        if self.pool in ("class", "class+mean", "class-distilled") and not self.class_token:
            text = "pool {pool} needs the class token; use 'mean-patches' or 'mean-all' without one"
            raise CodedError(message("pool_class_token", text, pool=quoted(self.pool)))
        if self.pool == "class-distilled" and not self.distillation_token:
            text = "pool 'class-distilled' needs distillation_token=True"
            raise CodedError(message("pool_distillation", text))
        if self.norm_after_pool and self.pool not in ("mean-patches", "mean-all"):
            text = "norm_after_pool goes with a mean pool, got pool {pool}"
            raise CodedError(message("pool_norm", text, pool=quoted(self.pool)))
        check_size(self.image_size, self.patch_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (down, across)."""
        return self.image_size[0] // self.patch_size[0], self.image_size[1] // self.patch_size[1]

    @property
    def prefix(self) -> int:
        """Tokens before the patches: class token, distillation token, registers."""
        return int(self.class_token) + int(self.distillation_token) + self.registers

    @property
    def positioned_prefix(self) -> int:
        """Prefix tokens that carry a position embedding; registers do not."""
        return int(self.class_token) + int(self.distillation_token)

    @property
    def tokens(self) -> int:
        return self.prefix + self.grid[0] * self.grid[1]

    @property
    def tokens_read(self) -> int | None:
        """How many of the first tokens the head reads after the last block; None: all of them."""
        return {"class": 1, "class-distilled": 2}.get(self.pool)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def feature_width(self) -> int:
        """Width of what the head reads."""
        if self.pre_logits:
            return self.pre_logits
        return 2 * self.width if self.pool == "class+mean" else self.width

    def to_dict(self) -> dict:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViTConfig:
        """The config that `to_dict` wrote. Unknown names are an error, so that no field is lost in silence."""
        if not isinstance(values, Mapping):
            raise CodedError(message("shape_no_fields", "expected fields by name, got {value}", value=quoted(values)))
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            names = ", ".join(sorted(map(str, unknown)))[:200]
            raise CodedError(message("shape_fields", "unknown ViTConfig fields: {names}", names=names))
        read: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**read)


def check_size(image_size: Sequence[int], patch_size: Sequence[int]) -> None:
    """Raise ValueError, offering the nearest sizes that fit, where patches do not tile the image."""
    if min(*image_size, *patch_size) < 1:
        text = "sizes must be at least 1 pixel, got image {image} and patch {patch}"
        raise CodedError(message("size_none", text, image=image_size, patch=patch_size))
    if any(image % patch for image, patch in zip(image_size, patch_size, strict=True)):
        below = tuple(max(i // p, 1) * p for i, p in zip(image_size, patch_size, strict=True))
        above = tuple(-(-i // p) * p for i, p in zip(image_size, patch_size, strict=True))
        sizes = {"size": image_size, "patch": patch_size, "below": below, "above": above}
        written = {name: f"{height}x{width}" for name, (height, width) in sizes.items()}
        if below == above:
            text = "image size {size} is smaller than one patch, {patch}; the nearest that fits is {above}"
            raise CodedError(message("size_below_patch", text, **written))
        text = (
            "image size {size} is not a multiple of the patch size {patch}; the nearest that fit are {below} and "
            "{above}"
        )
        raise CodedError(message("size_not_divided", text, **written))


def _choice_message(name: str, known: Sequence[str], value: object) -> Message:
    text = "{name} must be one of {names}, got {value}"
    return message("shape_choice", text, name=name, names=", ".join(known), value=quoted(value))


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) <= MOST  # pyright: ignore[reportOperatorIssue] # numbers.Real has no order for types


def _pair(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(int(side) for side in value)
    if len(pair) != 2 or not all(abs(side) <= MOST for side in pair):
        raise CodedError(
            message("size_pair", "{name} is one int or (height, width), got {value}", name=name, value=quoted(value))
        )
    return pair[0], pair[1]


_SHAPES = {"Ti": (192, 12, 3), "S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "H": (1280, 32, 16)}

SIZES: dict[str, ViTConfig] = {
    f"{letter}/{patch}": ViTConfig(
        patch_size=(patch, patch), width=width, depth=depth, heads=heads, mlp_width=4 * width
    )
    for letter, (width, depth, heads) in _SHAPES.items()
    for patch in (8, 14, 16, 32)
} | {
    # The from-scratch CIFAR-10 models.
    "scratch-patch16": ViTConfig(patch_size=(16, 16), width=384, heads=6, mlp_width=1536, classes=10),
    "scratch-patch32": ViTConfig(patch_size=(32, 32), width=384, heads=6, mlp_width=1536, classes=10),
    "scratch-vit4": ViTConfig(image_size=(32, 32), patch_size=(4, 4), width=192, heads=6, mlp_width=768, classes=10),
    "scratch-vit2": ViTConfig(image_size=(32, 32), patch_size=(2, 2), width=96, heads=6, mlp_width=384, classes=10),
}
"""Named sizes: `Ti`, `S`, `B`, `L`, `H` (paper, Table 1, and DeiT) with patches 8, 14, 16, 32 at 224 px, and the small
from-scratch models. `SIZES["B/16"]` is the paper's ViT-B/16 with 1,000 classes."""
