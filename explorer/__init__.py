"""What can be seen of a Vision Transformer: analyses as pure functions, and the page that shows them.

The names are imported when they are first used: the page sets variables that torch reads before torch is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.analysis.explain.explanation import Explanation
    from explorer.analysis.explain.methods import METHODS, explain
    from explorer.analysis.position import position_similarity

__all__ = ["METHODS", "Explanation", "explain", "position_similarity"]

_MODULES = {
    "METHODS": "analysis.explain.methods",
    "Explanation": "analysis.explain.explanation",
    "explain": "analysis.explain.methods",
    "position_similarity": "analysis.position",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
