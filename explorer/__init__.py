"""What can be seen of a Vision Transformer: analyses as pure functions, and the page that shows them.

The names are imported when they are first used: the page sets variables that torch reads before torch is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vit_model.lazy import lazy_names

if TYPE_CHECKING:
    from explorer.analysis.explain.explanation import Explanation
    from explorer.analysis.explain.methods import METHODS, explain
    from explorer.analysis.position import position_similarity

__all__ = ["METHODS", "Explanation", "explain", "position_similarity"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "METHODS": "analysis.explain.methods",
        "Explanation": "analysis.explain.explanation",
        "explain": "analysis.explain.methods",
        "position_similarity": "analysis.position",
    },
)
