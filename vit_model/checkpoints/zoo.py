"""From a name to a checkpoint's files: a shipped model, a Hub id, or any file or folder that holds a checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vit_model.checkpoints.known import BUNDLED, KNOWN, SHIPPED
from vit_model.errors import UnknownSourceError
from vit_model.messages import Message, message

HUB_PREFIX = "hf-hub:"  # timm's way to say "this is a Hub id, not a path"

Progress = Callable[[int, int, str], None]  # (bytes done, bytes in all, name of the file that is coming in)


def fetch(
    source: str | Path,
    progress: Progress | None = None,
    local_paths: bool = True,
    token: str | bool | None = None,
) -> Path:
    """The folder (or file) that holds the checkpoint called `source`, downloaded first where that is needed.

    What a source can be, and the first that fits wins:
      1. "bundled", or another of SHIPPED: a model in this package, whatever the current folder holds;
      2. "hf-hub:owner/name": always the Hub;
      3. a `Path`, or the name of an existing file or folder: itself, even where a Hub model has the same name
         (say "hf-hub:google/vit" for the Hub's). Only with `local_paths`; without it nothing is looked for on the disk;
      4. "owner/name" or "owner/name@revision" (a branch, tag or commit): the Hub, or its cache.

    `progress(bytes done, bytes in all, file)` is called while a download runs, not necessarily in this thread.
    `token`: whose rights count at the Hub, see `hub.download`. UnknownSourceError for anything else; HubError and its
    kin from the Hub.
    """
    if isinstance(source, Path):
        if not local_paths:
            raise UnknownSourceError(_expectation(source, local_paths))
        return _existing(source, source)
    name = source.strip()
    if name in SHIPPED:
        return Path(__file__).parents[1] / SHIPPED[name]
    if not name.startswith(HUB_PREFIX) and local_paths:
        path = os.path.expanduser(name)
        if name and os.path.exists(path):
            return Path(path)
    hub_id = _hub_id(name.removeprefix(HUB_PREFIX))
    if hub_id is None:
        raise UnknownSourceError(_expectation(source, local_paths))
    from vit_model.checkpoints import hub  # a fraction of a second that the bundled model has no use for

    rights: dict[str, Any] = {} if token is None else {"token": token}
    return hub.download(*hub_id, progress=progress, **rights)


def check_access(source: str, token: str | bool | None) -> None:
    """HubError if `source` is a repository of the Hub that this token may not have; see `hub.check_access`."""
    if token is None or source in (BUNDLED, *(known.key for known in KNOWN)):
        return
    hub_id = _hub_id(source.removeprefix(HUB_PREFIX))
    if hub_id is None or (not source.startswith(HUB_PREFIX) and os.path.exists(os.path.expanduser(source))):
        return
    from vit_model.checkpoints import hub

    hub.check_access(*hub_id, token)


def _existing(path: Path, source: str | Path) -> Path:
    path = Path(os.path.expanduser(path))
    if not os.path.exists(path):
        raise UnknownSourceError(_expectation(source, True))
    return path


# A git ref, less what git or a file system would choke on: no "..", no empty part, no leading dot or dash, no colon.
MOST_LETTERS = 255  # of a revision; file systems keep no longer names
_REVISION = re.compile(r"(?!.*\.\.)\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)


def _hub_id(name: str) -> tuple[str, str] | None:
    """ "owner/name[@revision]" -> (id, revision), or None where it is no Hub id. Looks at the text only."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    repository, at, revision = name.partition("@")
    if repository.count("/") != 1 or (at and not _REVISION.fullmatch(revision)) or len(revision) > MOST_LETTERS:
        return None
    try:
        validate_repo_id(repository)
    except HFValidationError:
        return None
    return repository, revision or "main"


def _expectation(source: str | Path, local_paths: bool) -> Message:
    got = repr(str(source)[:200])
    if local_paths:
        return message(
            "source_unknown",
            'expected "{bundled}", or a Hub id such as "google/vit-base-patch16-224" ("owner/name", or '
            '"owner/name@revision"), or an existing checkpoint folder or .safetensors, .npz, .pth or .bin file, got '
            "{got}",
            bundled=BUNDLED,
            got=got,
        )
    return message(
        "source_refused",
        'expected "{bundled}", or a Hub id such as "google/vit-base-patch16-224" ("owner/name", or '
        '"owner/name@revision"), got {got}. Paths on the server are not accepted here',
        bundled=BUNDLED,
        got=got,
    )
