"""Fetches the files of one checkpoint from the Hugging Face Hub into huggingface_hub's cache, and no file more.

huggingface_hub reads the environment: HF_ENDPOINT (a mirror), HF_TOKEN, HF_HOME (the cache), HF_HUB_OFFLINE. It picks a
download up where a broken connection left it; what a stopped process had of an unfinished file it throws away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from huggingface_hub import (
    HfApi,
    ModelInfo,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub import errors as hub_errors

# The transport's own base class, whichever transport this version uses
from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
from huggingface_hub.utils import tqdm

from vit_model.checkpoints import hub_access
from vit_model.checkpoints.hub_access import Token
from vit_model.errors import (
    DiskFullError,
    DownloadTooLargeError,
    GatedRepositoryError,
    HubError,
    HubServerError,
    NoWeightsError,
    OfflineError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from vit_model.messages import message

MAX_BYTES = 20_000_000_000
TIMEOUT_SECONDS = 8.0  # for the first answer; without one the cache is used

if "HF_HUB_DISABLE_XET" not in os.environ:
    # Xet's client retries an unreachable store for minutes, starts every broken file anew and hides a full disk. Its
    # files also come by plain HTTP, which has none of this; HF_HUB_DISABLE_XET=0 in the environment brings Xet back.
    constants.HF_HUB_DISABLE_XET = True

# huggingface_hub writes, reports and later resumes in pieces of 10 MB, which on a slow line looks like a standstill.
constants.DOWNLOAD_CHUNK_SIZE = 2**20

CONFIGS = ("config.json", "preprocessor_config.json")
SINGLE, SHARD_INDEX, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")


def download(
    repository: str,
    revision: str = "main",
    progress: Callable[[int, int, str], None] | None = None,
    max_bytes: int = MAX_BYTES,
    *,
    token: Token = None,
) -> Path:
    """The folder with the checkpoint's files (see `files_to_fetch`); what the cache holds already is not fetched again.

    One question to the Hub names the commit, the files and their sizes. If it fails for any reason but a wrong
    revision, what the cache holds of the repository is used. `progress(bytes done, bytes in all, file)` is called while
    bytes arrive (not necessarily from this thread), and not at all when there is nothing to fetch.
    `token`: None for the host's own; with any other, False for none, only what the Hub shows to that token is handed
    out, also of the cache. HubError's subclasses say what went wrong.
    """
    asked = _asked(repository, revision, token)
    if isinstance(asked, Path):
        return asked
    if token is not None:
        max_bytes = min(max_bytes, hub_access.VISITOR_BYTES)
    commit, sizes, public = asked
    files = files_to_fetch(sizes)
    if not files:
        raise _no_weights(repository, revision, sizes)
    missing = [name for name in files if not _is_cached(repository, commit, name)]
    needed = sum(sizes[name] for name in missing)
    if needed > max_bytes:
        size, most = _size(needed), _size(max_bytes)
        text = (
            "{repository} needs a download of {size}, more than the {most} allowed here; choose a smaller model, or "
            "{hint}"
        )
        named = _named(repository, revision)
        raise DownloadTooLargeError(message("hub_too_large", text, size=size, most=most, **named))
    if missing:
        _check_disk(needed, repository, revision)

    done, path = 0, ""
    for name in files:
        if progress is not None and name in missing:
            progress(done, needed, name)
        bar = _reporting_bar(name, done, needed, progress) if progress is not None else None
        try:
            path = hf_hub_download(
                repository,
                name,
                revision=commit,
                token=token,
                tqdm_class=bar,
                etag_timeout=TIMEOUT_SECONDS,
                library_name="vit-explorer",
            )
        except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: Xet's faults
            _explain(error, repository, revision, name)
        if name in missing:
            done += sizes[name]
            if progress is not None:
                progress(done, needed, name)
    folder = Path(path).parent
    _remember(folder, revision)
    if public:
        hub_access.note_public(repository)
    return folder


def check_access(repository: str, revision: str, token: Token) -> None:
    """HubError unless the Hub shows the repository to this token, or showed it lately: before what was loaded for
    somebody else is handed out."""
    if not hub_access.granted(repository, token):
        _asked(repository, revision, token)


def _asked(repository: str, revision: str, token: Token) -> tuple[str, dict[str, int], bool] | Path:
    """(commit, {file: bytes}, whether it is public) as the Hub shows them to this token; where it cannot be asked, the
    cache's folder."""
    try:
        commit, sizes, public = _listing(repository, revision, token)
        files = files_to_fetch(sizes)
        if token is not None and not public and files:
            # The list of a gated repository's files is for everybody, and what is cached is not asked for again
            url = hf_hub_url(repository, files[-1], revision=commit)
            get_hf_file_metadata(url, token=token, timeout=TIMEOUT_SECONDS)
    except hub_errors.RevisionNotFoundError as error:
        _explain(error, repository, revision)
    except (HTTPError, OSError, HubServerError) as error:
        refused = hub_access.refuses(error)
        if refused and token is False:
            hub_access.revoke(repository)
        mine = token is None or (not refused and hub_access.is_public(repository))
        cached = cached_folder(repository, revision) if mine else None
        if cached is None:
            _explain(error, repository, revision)
        hub_access.grant(repository, token, public=token is not None)
        return cached
    if public or files:
        hub_access.grant(repository, token, public)
    if not public:
        hub_access.note_public(repository, False)
    return commit, sizes, public


def files_to_fetch(names: Iterable[str]) -> tuple[str, ...]:
    """Of the files in a repository, those to fetch, in this order; () if there are no weights among them.

    The configs come first and the weights' last piece last, so that a folder whose weights are complete is complete.
    Weights: safetensors in one file, else in shards (all of them, and their index), else pytorch_model.bin. timm's
    repositories use the same names.
    """
    present = set(names)
    shards = sorted(name for name in present if _SHARD.fullmatch(name))
    if SINGLE in present:
        weights = [SINGLE]
    elif SHARD_INDEX in present and shards and len(shards) == _shards_named(shards[-1]):
        weights = [*shards, SHARD_INDEX]
    elif PICKLED in present:
        weights = [PICKLED]
    else:
        return ()
    return (*(name for name in CONFIGS if name in present), *weights)


def _shards_named(name: str) -> int:
    """How many shards a checkpoint has, by the name of one of them."""
    match = _SHARD.fullmatch(name)
    return int(match[2]) if match else 0


def cached_folder(repository: str, revision: str = "main") -> Path | None:
    """The cache's folder for this revision if it holds weights, without a question to the network."""
    for name in (SINGLE, SHARD_INDEX, PICKLED):
        path = try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(path, str) and files_to_fetch(os.listdir(Path(path).parent)):
            return Path(path).parent
    return None


def _listing(repository: str, revision: str, token: Token) -> tuple[str, dict[str, int], bool]:
    """(commit, {file: bytes}, whether everybody may have them) as the Hub has them now. A size that the server keeps to
    itself counts as 0."""
    endpoint = constants.ENDPOINT
    try:
        info = HfApi(library_name="vit-explorer").model_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS, token=token
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, (HTTPError, OSError)):
            raise
        text = "{host} does not answer as a Hub does ({reason}); check HF_ENDPOINT and proxies"
        details = {"host": endpoint, "reason": error, "repository": repository}
        raise HubServerError(message("hub_strange", text, **details)) from error
    if info.sha is None or not re.fullmatch("[0-9a-f]{40}", info.sha) or info.siblings is None:
        text = "{host} answered without a commit or a list of files; check HF_ENDPOINT"
        raise HubServerError(message("hub_no_commit", text, host=endpoint, repository=repository))
    return info.sha, {file.rfilename: file.size or 0 for file in info.siblings}, _is_public(info)


def _is_public(info: ModelInfo) -> bool:
    return info.private is False and info.gated is False


def _remember(folder: Path, revision: str) -> None:
    """Notes in the cache (.../refs/main holds a commit) what `revision` is, so that it is found without a network.

    huggingface_hub does so as a download by revision begins; done at its end, the note never moves from a complete
    version to one that broke off.
    """
    note, commit = folder.parent.parent / "refs" / revision, folder.name
    if revision == commit or (note.is_file() and note.read_text() == commit):
        return
    with contextlib.suppress(OSError):  # a read-only cache serves this call all the same
        note.parent.mkdir(parents=True, exist_ok=True)
        draft = note.with_name(f"{note.name}.{uuid.uuid4().hex[:8]}.tmp")
        draft.write_text(commit)
        os.replace(draft, note)


def _is_cached(repository: str, commit: str, name: str) -> bool:
    return isinstance(try_to_load_from_cache(repository, name, revision=commit), str)


def _check_disk(needed: int, repository: str, revision: str) -> None:
    free = _free(Path(constants.HF_HUB_CACHE))
    if needed > free:
        size, room, cache = _size(needed), _size(free), constants.HF_HUB_CACHE
        text = (
            "{repository} needs {size}, the disk of the cache folder {cache} has {room} free; make room, set HF_HOME "
            "to a folder on another disk, or {hint}"
        )
        named = _named(repository, revision)
        raise DiskFullError(message("hub_no_room", text, size=size, room=room, cache=cache, **named))


def _free(folder: Path) -> int:
    """Bytes free where the folder is, or will be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _reporting_bar(name: str, before: int, needed: int, progress: Callable[[int, int, str], None]) -> type:
    """huggingface_hub's terminal bar that also reports to `progress`; `before`: bytes of the files already fetched."""

    class ReportingBar(tqdm):
        received = 0

        def update(self, n: float | None = 1) -> bool | None:
            self.received += int(n or 0)  # a terminal bar that is switched off does not count
            progress(before + self.received, max(needed, before + self.received), name)
            return super().update(n)

        def update_transfer(self, n: float | None = 1) -> None:
            """Xet counts bytes received and bytes written apart; having this method keeps it to one bar, the latter."""

        def set_transfer_postfix_str(self, postfix: str, refresh: bool = False) -> None:
            """As above."""

    return ReportingBar


def _explain(error: Exception, repository: str, revision: str, file: str | None = None) -> NoReturn:
    """Raises the HubError that says what happened and what to do. `file`: the one being fetched, if it got that far."""
    if isinstance(error, hub_errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # huggingface_hub's "no connection and not in the cache" hides what happened
    if isinstance(error, HubError):
        raise error
    raise _explanation(error, repository, revision, file) from error


def _explanation(error: Exception, repository: str, revision: str, file: str | None) -> HubError:
    host, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    page, what, reason = f"{host}/{repository}", file or repository, _reason(error)
    named = _named(repository, revision) | {"host": host, "cache": cache, "page": page, "what": what, "reason": reason}
    if isinstance(error, hub_errors.GatedRepoError):  # before its parent, RepositoryNotFoundError
        text = (
            "{repository} is gated: accept its licence on {page}, make an access token in the settings there, and set "
            "HF_TOKEN to it, or with that token {hint}"
        )
        return GatedRepositoryError(message("hub_gated", text, **named))
    if isinstance(error, hub_errors.RepositoryNotFoundError):
        text = (
            "{host} has no model '{repository}', or it is private; check the spelling, and for a private model set "
            "HF_TOKEN"
        )
        return RepositoryNotFoundError(message("hub_missing", text, **named))
    if isinstance(error, hub_errors.RevisionNotFoundError):
        text = (
            "{repository} has no revision '{revision}'; leave \"@{revision}\" out for its newest version, or look for "
            "its branches and tags on {page}/tree/main"
        )
        return RevisionNotFoundError(message("hub_revision", text, **named))
    if isinstance(error, hub_errors.HfHubHTTPError):
        status = error.response.status_code
        if status == 401:
            text = "{host} refused the access token (401); correct HF_TOKEN, or unset it"
            return HubServerError(message("hub_token", text, **named))
        named["reason"] = f"{status} ({error.server_message or error.response.reason_phrase})"
        if status < 500 and status not in (408, 429):
            text = "{host} answered {reason} to the question for {what}; check HF_ENDPOINT, HF_TOKEN and proxies"
            return HubServerError(message("hub_refused", text, **named))
        text = "{host} answered {reason} to the question for {what}; try again later"
        return HubServerError(message("hub_busy", text, **named))
    if isinstance(error, hub_errors.OfflineModeIsEnabled):
        text = "{repository} is not in the cache {cache}, and HF_HUB_OFFLINE is set; unset it, or {hint}"
        return OfflineError(message("hub_offline", text, **named))
    if isinstance(error, HTTPError) and file is None:
        text = (
            "{host} cannot be reached ({reason}) and {repository} is not in the cache {cache}; check the network, "
            "HF_ENDPOINT and proxies, or {hint}"
        )
        return OfflineError(message("hub_unreached", text, **named))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        named["room"] = _size(_free(Path(cache)))
        text = (
            "the disk of the cache folder {cache} became full while {what} was downloaded ({room} free); make room and "
            "try again, or set HF_HOME to a folder on another disk"
        )
        return DiskFullError(message("hub_disk_full", text, **named))
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        named["reason"] = str(error.strerror)
        text = "the cache folder {cache} cannot be used ({reason}); set HF_HOME to one that can"
        return HubError(message("hub_cache", text, **named))
    text = "the download of {what} from {host} broke off ({reason}); try again, or {hint}"
    return HubServerError(message("hub_broken", text, **named))


def _named(repository: str, revision: str) -> dict[str, str]:
    """The details that every error of a repository has; `hint`: how to fetch it by hand."""
    text = (
        'fetch it elsewhere with "hf download {repository}{at} --local-dir FOLDER" and open FOLDER: a folder works as '
        "well as a Hub id"
    )
    at = "" if revision == "main" else f" --revision {revision}"
    hint = message("hub_by_hand", text, repository=repository, at=at)
    return {"repository": repository, "revision": revision, "hint": hint}


def _no_weights(repository: str, revision: str, names: Iterable[str]) -> NoWeightsError:
    names = sorted(names)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    text = (
        "expected model.safetensors, all shards of model.safetensors.index.json or pytorch_model.bin in {repository}, "
        "found {found}; choose a repository with PyTorch weights"
    )
    found = shown or message("hub_no_file", "no file")
    return NoWeightsError(message("hub_no_weights", text, found=found, **_named(repository, revision)))


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
