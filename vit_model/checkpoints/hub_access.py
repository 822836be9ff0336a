"""Which repositories of the Hub somebody who is not the host may have out of the host's caches.

A model that is in a cache may have come with anybody's token. So whoever asks with another token than the host's
(`str`: their own login, `False`: none) is let in by the Hub's own answer to that token. What the Hub answered is
remembered for a while; that a repository is public, also on disk, so that public models open without a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub import errors as hub_errors
from huggingface_hub.file_download import repo_folder_name

from vit_model.checkpoints.known import KNOWN

Token = str | bool | None
"""As huggingface_hub takes it: a token, False for none at all, None for the host's (HF_TOKEN, or `hf auth login`'s)."""

PUBLIC_SECONDS, GRANT_SECONDS = 3600.0, 600.0  # until the Hub is asked again
VISITOR_BYTES = int(os.environ.get("VIT_EXPLORER_MAX_DOWNLOAD", 5_000_000_000))  # that one download may bring
REFUSALS = (401, 403, 404)

_KNOWN = frozenset(known.key for known in KNOWN)
_granted: dict[tuple[str, str], float] = {}  # (repository, whose) -> until when
_lock = threading.Lock()


def granted(repository: str, token: Token) -> bool:
    """Whether this token was let in lately, or everybody is. The host always is."""
    if token is None or repository in _KNOWN:
        return True
    now = time.monotonic()
    with _lock:
        return any(_granted.get((repository, whose), 0.0) > now for whose in ("public", _whose(token)))


def grant(repository: str, token: Token, public: bool) -> None:
    """Remember what the Hub answered to this token."""
    now = time.monotonic()
    with _lock:
        for key in [key for key, until in _granted.items() if until <= now]:
            del _granted[key]
        if public:
            _granted[repository, "public"] = now + PUBLIC_SECONDS
        elif token is not None:
            _granted[repository, _whose(token)] = now + GRANT_SECONDS


def note_public(repository: str, public: bool = True) -> None:
    """Note in the cache that the repository is public, for times without a network; or that it is not."""
    note = _note(repository)
    with contextlib.suppress(OSError):  # a read-only cache serves all the same
        if public:
            note.touch()
        else:
            note.unlink(missing_ok=True)


def revoke(repository: str) -> None:
    """The Hub no longer shows it to everybody."""
    with _lock:
        _granted.pop((repository, "public"), None)
    note_public(repository, False)


def is_public(repository: str) -> bool:
    """Whether the Hub showed it to everybody when it last answered."""
    return repository in _KNOWN or _note(repository).is_file()


def refuses(error: Exception) -> bool:
    """Whether the Hub answered that this token may not have it. (A network that is down is no such answer.)"""
    if isinstance(error, hub_errors.RepositoryNotFoundError):  # a gated one is of that kind
        return True
    return isinstance(error, hub_errors.HfHubHTTPError) and error.response.status_code in REFUSALS


def _note(repository: str) -> Path:
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"), ".public")


def _whose(token: str | bool) -> str:
    return hashlib.sha256(token.encode()).hexdigest() if isinstance(token, str) else "anybody"
