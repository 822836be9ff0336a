"""What can end a run, in words that say what to do."""


class TrainingError(RuntimeError):
    """A run cannot go on; its message is the reason that people read."""


def quoted(value: object) -> str:
    """`vit_model.errors.quoted`, which brings torch along: only whoever has a fault to tell waits for that."""
    from vit_model.errors import quoted as in_short

    return in_short(value)
