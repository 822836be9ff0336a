"""What can end a run, in words that say what to do."""

from vit_model.errors import Coded


class TrainingError(Coded, RuntimeError):
    """A run cannot go on; its message is the reason that people read."""
