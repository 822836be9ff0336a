"""What can be seen of a Vision Transformer: analyses as pure functions, and the page that shows them."""

from explorer.explanation import Explanation
from explorer.methods import METHODS, explain
from explorer.position import position_similarity

__all__ = ["METHODS", "Explanation", "explain", "position_similarity"]
