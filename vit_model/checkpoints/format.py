"""Format: all that is known of one layout of checkpoints, from how it is recognised to how it is saved.

A key table maps the names of modules or parameters, theirs -> ours. Where a module is named, its weight and bias are
meant. "[query]" and the like say which part of one of our fused tensors theirs is. The same tables are read backwards
for saving.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from vit_model.checkpoints.declared import Declared, declare_hugging_face
from vit_model.config import ViTConfig
from vit_model.preprocess import Preprocessing

PARTS = {"qkv": ("query", "key", "value"), "fc1": ("gate", "value")}  # the rows of a fused tensor, in order

Has = Callable[..., bool]
"""(*pieces) -> whether any tensor's name contains any of them."""


@dataclass(frozen=True)
class Layout:
    """Where a model of some config is saved to.

    - `prefix`: stands before the names of the encoder's tensors
    - `fields`: what config.json says of the architecture
    - `zeros`: tensors that transformers always has and ours do not, by name: their shapes
    - `why`: why no layout of transformers can hold the model, where none can
    """

    format: Format
    model_type: str
    architecture: str
    prefix: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    zeros: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True)
class Saving:
    """How models are saved in a format. `suits`: whether a model of this config belongs to its family; `refusals`: then
    why it cannot hold that model all the same, if it cannot; `layout`: else where the model goes."""

    suits: Callable[[ViTConfig], bool]
    refusals: Callable[[ViTConfig], list[str]]
    layout: Callable[[ViTConfig], Layout]


@dataclass(frozen=True)
class Format:
    """One layout of names and what goes with it.

    Names:
    - `outer` holds what lies outside of the blocks; a block's names are `block` + number + `separator` + a name in
      `inner`. `aliases` are other spellings inside a block, read but never written
    - `dropped`: the start of a name -> the reason why it is left out; `dropped_beside_head`: likewise, where the
      checkpoint has a classifier
    - `prefixes`: wrappers that may stand before every name; `respelled`: a pattern and its replacement, which give
      every name the one spelling that the tables have
    - `suffixes`: their last part of a parameter's name -> ours; `reshape`: their layout of axes -> ours

    Recognition:
    - `model_types` of config.json; `config_key`: a key that only this library's config.json has
    - `holds`: (has, file name in lower case) -> whether names belong to this format; the first of FORMATS that says so
      is taken
    - `listed`: what a list of the supported formats calls it, by default its name

    Reading:
    - `declare`: config.json -> what it declares; `whole_config`: config.json holds a whole ViTConfig instead
    - `norm_eps`, `interpolation` of positions: where nothing says otherwise
    - `loose_positions`: whether positions may be stored for the patches alone, or for registers too
    - `pooled_norm`: the start of the final LayerNorm's name where it stands after mean pooling
    - `heads_in`: (name, tensor) -> the number of heads, where a tensor's shape tells it
    - `usual`: plain names -> the preprocessing that its models usually take, for checkpoints that come without

    `saving`: how models are saved, None for formats that are only read.
    """

    name: str
    outer: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    dropped: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    dropped_beside_head: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    respelled: tuple[str, str] | None = None
    separator: str = "."
    suffixes: Mapping[str, str] = field(default_factory=lambda: {"weight": "weight", "bias": "bias"})
    reshape: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor

    model_types: tuple[str, ...] = ()
    config_key: str = ""
    holds: Callable[[Has, str], bool] = lambda has, file: False
    listed: str = ""

    declare: Callable[[Mapping, float], Declared] = declare_hugging_face
    whole_config: bool = False
    norm_eps: float = 1e-6
    interpolation: str = "bilinear"
    loose_positions: bool = False
    pooled_norm: str = ""
    heads_in: Callable[[str, Tensor], int | None] = lambda name, tensor: None
    usual: Callable[[frozenset[str]], Preprocessing] = lambda names: Preprocessing.for_google()

    saving: Saving | None = None

    def target(self, key: str) -> str | None:
        """Our parameter (with "[part]" where theirs is a part of it) for one of their names; None if unknown."""
        if not key.startswith(self.block):
            return self._look_up(self.outer, key)
        number, _, rest = key.removeprefix(self.block).partition(self.separator)
        inner = self._look_up({**self.inner, **self.aliases}, rest)
        return f"blocks.{int(number)}.{inner}" if inner and number.isdecimal() and len(number) < 5 else None

    def reason(self, key: str, has_head: bool = False) -> str | None:
        """Why a name is left out on purpose, None if it is not. `has_head`: whether the checkpoint has a classifier."""
        dropped = {**self.dropped, **(self.dropped_beside_head if has_head else {})}
        return next((why for start, why in dropped.items() if key.startswith(start)), None)

    def source(self, parameter: str) -> Iterator[tuple[str, str | None]]:
        """Their name for one of ours, or their names for its parts, as (name, part)."""
        table, prefix = self.outer, ""
        if match := re.match(r"blocks\.(\d+)\.(.*)", parameter):
            table, prefix, parameter = self.inner, self.block + match[1] + self.separator, match[2]
        module, _, kind = parameter.rpartition(".")
        suffixes = {ours: theirs for theirs, ours in reversed(list(self.suffixes.items()))}
        for theirs, ours in table.items():
            name, _, part = ours.partition("[")
            if name == parameter:
                yield prefix + theirs, part.rstrip("]") or None
            elif name == module and kind in suffixes:
                yield f"{prefix}{theirs}{self.separator}{suffixes[kind]}", part.rstrip("]") or None

    def plain(self, key: str) -> str:
        """Their name without wrappers (`module.`, `vit.`) and in the one spelling that the tables have."""
        stripped = True
        while stripped:
            prefix = next((prefix for prefix in self.prefixes if key.startswith(prefix)), None)
            if stripped := prefix is not None:
                key = key.removeprefix(prefix)
        return key if self.respelled is None else re.sub(*self.respelled, key)

    def plain_names(self, keys: Iterable[str]) -> dict[str, str]:
        """Their key -> the same, plain."""
        return {key: self.plain(key) for key in keys}

    def knows(self, key: str) -> bool:
        """Whether a tensor of this name is used, or dropped by name."""
        plain = self.plain(key)
        return self.target(plain) is not None or self.reason(plain, has_head=True) is not None

    def _look_up(self, table: Mapping[str, str], key: str) -> str | None:
        if key in table:
            return table[key]
        module, _, kind = key.rpartition(self.separator)
        if module not in table or kind not in self.suffixes:
            return None
        name, bracket, part = table[module].partition("[")
        return f"{name}.{self.suffixes[kind]}{bracket}{part}"
