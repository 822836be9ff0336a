"""Method: all that is known of one method of explanation, and its Choices: the keyword arguments that change a map.

The page, `/explain`, Compare, the leaderboard and the benchmarks read these records and know no method by name. What
people read of a method, and of its choices, stands in `methods.words.json`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Literal

from torch import Tensor

from explorer.analysis.attention import check_layer, check_token
from explorer.analysis.explain.explanation import Explanation
from vit_model.errors import quoted
from vit_model.model import VisionTransformer
from vit_model.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Choice(ABC):
    """A keyword argument of a method and the values that it takes; its default is that of the method's function.

    - `offered`: whether the Explain tab has a control for it; an Index or a Token has none
    """

    name: str = field(kw_only=False)
    offered: bool = False

    @abstractmethod
    def check(self, value: Any, trace: Trace) -> None:
        """Raise ValueError, naming the valid values, for a value that is none of them."""

    def nearest(self, value: Any, trace: Trace) -> Any:
        """What a control's value means for this picture and model: the nearest value that the page offers."""
        return value


@dataclass(frozen=True, kw_only=True)
class Described(Choice):
    """A choice whose valid values `usual` describes. `expected`: how an error does, where that does not suit."""

    expected: str = ""

    def check(self, value: Any, trace: Trace) -> None:
        if not self.accepts(value, trace):
            expected = self.expected or self.usual(trace)
            raise ValueError(f"{self.name} must be {expected}{';' if ', or' in expected else ','} got {quoted(value)}")

    @abstractmethod
    def accepts(self, value: Any, trace: Trace) -> bool:
        """Return whether a value is valid."""

    @abstractmethod
    def usual(self, trace: Trace) -> str:
        """The valid values in words."""


@dataclass(frozen=True, kw_only=True)
class OneOf(Described):
    options: tuple[str | None, ...]

    def accepts(self, value: Any, trace: Trace) -> bool:
        return value in self.options

    def usual(self, trace: Trace) -> str:
        return f"one of {', '.join(map(str, self.options))}"


@dataclass(frozen=True, kw_only=True)
class Number(Described):
    """From `low` to `high`; with `below` less than `high`. `slider`: the page's (low, high, step), where offered."""

    low: float
    high: float
    below: bool = False
    slider: tuple[float, float, float] | None = None

    def accepts(self, value: Any, trace: Trace) -> bool:
        if not isinstance(value, Real) or not self.low <= float(value) <= self.high:
            return False
        return not self.below or float(value) < self.high

    def usual(self, trace: Trace) -> str:
        if self.below:
            return f"at least {self.low:g} and below {self.high:g}"
        return f"from {self.low:g} to {self.high:g}"

    def nearest(self, value: Any, trace: Trace) -> float:
        return min(max(float(value or 0), self.low), self.slider[1] if self.slider else self.high)


@dataclass(frozen=True, kw_only=True)
class Count(Described):
    """A whole number from `low` to `high`, which may depend on the picture. `slider`: as in Number."""

    low: int = 1
    high: int | Callable[[Trace], int] = 4096
    slider: tuple[int, int, int] | None = None

    def accepts(self, value: Any, trace: Trace) -> bool:
        return isinstance(value, Integral) and self.low <= int(value) <= self.highest(trace)

    def highest(self, trace: Trace) -> int:
        return self.high(trace) if callable(self.high) else self.high

    def usual(self, trace: Trace) -> str:
        return f"a whole number from {self.low} to {self.highest(trace)}"

    def nearest(self, value: Any, trace: Trace) -> int:
        highest = self.highest(trace)
        return min(max(int(value or self.low), self.low), self.slider[1] if self.slider else highest, highest)


@dataclass(frozen=True, kw_only=True)
class Index(Described):
    """A number from 0 to below `size`. `left_out`: what None stands for, where it is valid too."""

    size: Callable[[Trace], int]
    left_out: str = ""

    def accepts(self, value: Any, trace: Trace) -> bool:
        if value is None:
            return bool(self.left_out)
        return isinstance(value, Integral) and 0 <= int(value) < self.size(trace)

    def usual(self, trace: Trace) -> str:
        return f"from 0 to {self.size(trace) - 1}" + (f", or left out for {self.left_out}" if self.left_out else "")


@dataclass(frozen=True, kw_only=True)
class Layer(Choice):
    """A layer, from 0, or negative to count from the last. `optional`: whether None, all layers, is valid too.
    `lowest`: the smallest number that the page offers."""

    optional: bool = False
    lowest: int = -1

    def check(self, value: Any, trace: Trace) -> None:
        if not self.optional or value is not None:
            check_layer(trace, value, self.name)

    def nearest(self, value: Any, trace: Trace) -> int:
        return min(max(int(value if value is not None else self.lowest), self.lowest), trace.layers - 1)


@dataclass(frozen=True, kw_only=True)
class Token(Choice):
    """A token's number. `optional`: whether None is valid too, which each method defines."""

    optional: bool = False

    def check(self, value: Any, trace: Trace) -> None:
        if not self.optional or value is not None:
            check_token(trace, value)


@dataclass(frozen=True)
class Method:
    """A method of explanation: called as its function, (model, pixels, trace, target, **choices) -> Explanation, once
    the choices are checked.

    - `signed`: whether negative values mean something
    - `needs_head`: whether it explains a class, so that the model needs a head; it then has the choice `against`
    - `gradients`: which it starts from. "attention" and "pixels": a `Gradients` made by others, handed to it as
      `gradients`, where "pixels" needs those of the pixels as well; "own": it runs its own backward passes
    - `passes`: (choices with defaults, grid) -> how many times it runs the model, for a method of many passes, which is
      then computed on request only and takes `progress`; `most_passes`: at most so many on a shared host
    - `adds_up`: whether the map's sum is how far the score lies above the baseline's

    Raises ValueError where these do not fit the function's keyword-only parameters.
    """

    name: str
    function: Callable[..., Explanation]
    choices: tuple[Choice, ...] = ()
    signed: bool = False
    needs_head: bool = True
    gradients: Literal["none", "own", "attention", "pixels"] = "none"
    passes: Callable[[Mapping[str, Any], tuple[int, int]], int] | None = None
    most_passes: int | None = None
    adds_up: bool = False

    def __post_init__(self) -> None:
        expected = {choice.name for choice in self.choices} | ({"against"} if self.needs_head else set())
        expected |= ({"gradients"} if self.shares_gradients else set()) | ({"progress"} if self.slow else set())
        if (found := set(self._keywords)) != expected:
            differing = ", ".join(sorted(found ^ expected))
            raise ValueError(f"the record of {self.name} and its function's keyword arguments differ in {differing}")

    @property
    def slow(self) -> bool:
        """Whether it runs the model many times."""
        return self.passes is not None

    @property
    def shares_gradients(self) -> bool:
        """Whether gradients that were made once can be handed to it."""
        return self.gradients in ("attention", "pixels")

    @property
    def defaults(self) -> dict[str, Any]:
        """Choice -> its default, `against` among them where the method has it."""
        return {name: value for name, value in self._keywords.items() if name not in ("gradients", "progress")}

    def check(self, choices: Mapping[str, Any], trace: Trace) -> None:
        """Raise ValueError, naming what is valid, for a choice that the method lacks and for a value out of range."""
        self.check_names(choices)
        for choice in self.choices:
            if choice.name in choices:
                choice.check(choices[choice.name], trace)

    def check_names(self, choices: Mapping[str, Any]) -> None:
        """Raise ValueError for a choice that the method lacks."""
        valid = self.defaults
        if unknown := ", ".join(sorted(choices.keys() - valid.keys()))[:80]:
            raise ValueError(f"{self.name} has no choice {unknown}; its choices are {', '.join(valid)}")

    def count_passes(self, choices: Mapping[str, Any], grid: tuple[int, int]) -> int:
        """How many times it runs the model with these choices, its defaults for the others."""
        return 1 if self.passes is None else self.passes(self.defaults | dict(choices), grid)

    def __call__(
        self, model: VisionTransformer, pixels: Tensor, trace: Trace, target: object, **choices: Any
    ) -> Explanation:
        self.check({name: value for name, value in choices.items() if name not in ("gradients", "progress")}, trace)
        return self.function(model, pixels, trace, target, **choices)

    def explanation(self, values: Tensor, target: int | None = None, against: int | None = None) -> Explanation:
        """A map of this method; see Explanation."""
        return Explanation(self.name, values, target, self.signed, against)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @cached_property
    def _keywords(self) -> dict[str, Any]:
        parameters = inspect.signature(self.function).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
