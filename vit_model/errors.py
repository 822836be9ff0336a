"""What can go wrong between the name of a model and its weights: everything worth catching is a `CheckpointError`."""

from __future__ import annotations

import reprlib

from vit_model.messages import Message


class Coded:
    """What makes an exception one whose English message can be said in another language: `code` names it ("" where it
    has no name), `details` are the values in its message. A `Message` brings both along."""

    def __init__(self, message: str):
        super().__init__(message)  # pyright: ignore[reportCallIssue] # of the exception that it is mixed into
        self.code = message.code if isinstance(message, Message) else ""
        self.details = dict(message.details) if isinstance(message, Message) else {}


class CodedError(Coded, ValueError):
    """A `ValueError` with a code: what came cannot be used."""


class CheckpointError(CodedError):
    """A checkpoint cannot be found, fetched, read or used; the message says what came and what to do."""


class UnknownSourceError(CheckpointError):
    """The name is neither "bundled", nor a file or folder, nor a Hub id."""


class HubError(CheckpointError):
    """A model could not be fetched from the Hugging Face Hub."""


class RepositoryNotFoundError(HubError):
    """The Hub holds no such repository, or hides it from this token."""


class GatedRepositoryError(HubError):
    """The repository's licence has to be accepted on its page first."""


class RevisionNotFoundError(HubError):
    """The repository holds no such branch, tag or commit."""


class OfflineError(HubError):
    """The Hub cannot be reached, or must not be (HF_HUB_OFFLINE), and the model is not in the cache."""


class NoWeightsError(HubError):
    """The repository holds no weights file of a name that we read."""


class DownloadTooLargeError(HubError):
    """The model's files are larger than the caller allows."""


class DiskFullError(HubError):
    """The cache folder's disk has no room for the download."""


class HubServerError(HubError):
    """The Hub answered, but with a fault of its own, a refusal or an incomplete file."""


class _Quoting(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 3, MOST_QUOTED, 40, MOST_QUOTED

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > 1024:  # Python itself refuses to write out the longest
            return f"a number of {int(x.bit_length() * 0.30103) + 1:,} digits"
        return super().repr_int(x, level)


MOST_QUOTED = 80
_QUOTING = _Quoting()


def quoted(value: object) -> str:
    """`repr` of what somebody sent or a file says, for a message: some 80 characters, whatever it is."""
    text = _QUOTING.repr(value)
    return text if len(text) <= 2 * MOST_QUOTED else f"{text[:MOST_QUOTED]}..."


def few(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(name[:120] for name in names[:4]) + more
