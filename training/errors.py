"""What can end a run, in words that say what to do."""


class TrainingError(RuntimeError):
    """A run cannot go on; its message is the reason that people read."""
