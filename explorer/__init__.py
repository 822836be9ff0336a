"""What can be seen of a Vision Transformer: analyses as pure functions, and the page that shows them."""

from explorer.analysis.explain.explanation import Explanation
from explorer.analysis.explain.methods import METHODS, explain
from explorer.analysis.position import position_similarity

__all__ = ["METHODS", "Explanation", "explain", "position_similarity"]
