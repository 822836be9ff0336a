"""Data-set repositories of the Hugging Face Hub in image-folder layout: their pictures and archives, and no file more.

huggingface_hub reads the environment: HF_ENDPOINT (a mirror), HF_TOKEN, HF_HOME (the cache), HF_HUB_OFFLINE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub import errors as hub_errors
from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
from huggingface_hub.utils import tqdm

from training.data.archive_members import Limits
from training.data.archives import Unpacked, is_archive_path, unpack
from training.data.layout import TEST, TRAIN, VAL, is_junk, is_picture, unwrapped
from training.data.picture_set import DataError, FileStore, JoinedStore, Store
from training.storage.jsonfile import read_json, write_json
from vit_model.checkpoints.hub_access import VISITOR_BYTES
from vit_model.checkpoints.zoo import MOST_LETTERS
from vit_model.files.private import private_folder
from vit_model.messages import Message, message

Progress = Callable[[int, int, str], None]
MAX_FILES = 50_000
MAX_BYTES = 20_000_000_000
TIMEOUT_SECONDS = 10.0
AT_ONCE = 8
LISTING_BYTES = 3 * 2**20  # of what is remembered for a time without a network

_NAME = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,100}))?")


@dataclass(frozen=True)
class Fetched:
    """The pictures of a repository: their relative `names`, and where they are now."""

    names: tuple[str, ...]
    store: Store
    fingerprint: str


def hub_pictures(
    name: str, cache: Path, progress: Progress | None = None, guest: bool = False, limits: Limits | None = None
) -> Fetched:
    """Fetch the pictures of the data-set repository `name`, "owner/name" or "owner/name@revision"; those of its
    archives if it has no picture itself: one archive with everything, or archives called train, val and test.

    What huggingface_hub's cache holds is not fetched again, and does without the network.

    `progress(bytes done, bytes in all, file)`. At most MAX_FILES files and MAX_BYTES bytes. `guest`: somebody
    who may not see what this machine's token opens: none is sent, and of the cache only what is public is handed out.
    `limits` of each archive. DataError says what is wrong.
    """
    parsed = _NAME.fullmatch(name) if len(name) <= 2 * MOST_LETTERS else None
    if parsed is None:
        text = "expected hf:owner/name, got {name}"
        raise DataError(message("hub_data_name", text, name=repr("hf:" + name[:120])))
    repository, revision = parsed[1], parsed[2] or "main"
    token = False if guest else None
    commit, sizes, public = _listing(repository, revision, cache, token)
    files = _wanted(repository, sizes)
    if guest and not public:
        _check_open(repository, commit, files[0])
    needed = sum(sizes[file] for file in files)
    most = min(MAX_BYTES, VISITOR_BYTES) if guest else MAX_BYTES
    if len(files) > MAX_FILES or needed > most:
        raise DataError(
            message(
                "hub_data_too_large",
                "{repository} holds {count} picture files of {size} GB, at most {most} files and {most_size} GB are "
                "fetched; {hint}",
                repository=repository,
                count=f"{len(files):,}",
                size=f"{needed / 1e9:.1f}",
                most=f"{MAX_FILES:,}",
                most_size=f"{most / 1e9:.0f}",
                hint=_by_hand(repository),
            )
        )
    folder = _downloaded(repository, commit, files, sizes, progress, token)
    if not is_archive_path(Path(files[0])):
        return Fetched(tuple(files), FileStore(folder, tuple(files)), commit)
    return _joined(
        repository,
        [(_split_of(file), unpack(folder / file, cache / ".unpacked", progress, limits)) for file in files],
    )


def is_fetched(name: str, cache: Path) -> bool:
    """Return whether huggingface_hub's cache holds all files that the Hub listed when it was last asked."""
    parsed = _NAME.fullmatch(name)
    if parsed is None:
        return False
    known = _remembered(_note(cache, parsed[1], parsed[2] or "main"))
    if not known:
        return False
    commit, sizes, _ = known
    found = (
        try_to_load_from_cache(parsed[1], file, repo_type="dataset", revision=commit)
        for file in _wanted(parsed[1], sizes)
    )
    return all(isinstance(path, str) for path in found)


def _joined(repository: str, parts: list[tuple[str, Unpacked]]) -> Fetched:
    """Join archives: one as it is; of several, each must be a split, and gives its own folder."""
    if len(parts) == 1:
        (_, only), *_ = parts
        return Fetched(only.names, only.store, only.fingerprint)
    splits = [split for split, _ in parts]
    if not all(splits) or len(set(splits)) < len(splits):
        raise DataError(
            message(
                "hub_data_archives",
                "{repository} holds {count} archives; expected one, or one each called train, val and test. {hint}",
                repository=repository,
                count=len(parts),
                hint=_by_hand(repository),
            )
        )
    names = tuple(f"{split}/{name}" for split, part in parts for name in unwrapped(part.names))
    store = JoinedStore(tuple(part.store for _, part in parts), tuple(len(part.names) for _, part in parts))
    return Fetched(names, store, "-".join(part.fingerprint for _, part in parts))


def _split_of(file: str) -> str:
    """ "data/train.tar.gz" -> "train"; "" where the name is not that of a split."""
    stem = Path(file).name.partition(".")[0].casefold()
    return stem if stem in (*TRAIN, *VAL, *TEST) else ""


def _wanted(repository: str, sizes: dict[str, int]) -> list[str]:
    names = sorted(name for name in sizes if not is_junk(name) and ".." not in name.split("/"))
    pictures = [name for name in names if is_picture(name)]
    archives = [name for name in names if is_archive_path(Path(name))]
    if pictures or archives:
        return pictures or archives
    kinds = sorted({name.rpartition(".")[2] for name in names if "." in name})
    hint: str = ""
    if "parquet" in kinds:
        text = " Parquet tables are not read: export the pictures as one folder a class."
        hint = message("hub_data_parquet", text)
    raise DataError(
        message(
            "hub_data_kinds",
            "{repository} holds neither pictures nor archives, but files of the kinds {kinds}; expected the "
            "image-folder layout, one folder for each class.{hint}",
            repository=repository,
            kinds=", ".join(kinds) or message("no_kinds", "none"),
            hint=hint,
        )
    )


def _listing(repository: str, revision: str, cache: Path, token: bool | None) -> tuple[str, dict[str, int], bool]:
    """Return (commit, {file: bytes}, whether everybody may have them) as the Hub lists them; if it does not answer, as
    it listed them last: without a token, if they were public then."""
    note = _note(cache, repository, revision)
    try:
        info = HfApi(library_name="vit-explorer").dataset_info(
            repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS, token=token
        )
    except hub_errors.GatedRepoError as error:
        raise _gated(repository) from error
    except hub_errors.RepositoryNotFoundError as error:
        if token is False and (known := _remembered(note)) is not None:  # it is not for everybody any more
            _remember(note, *known[:2], public=False)
        raise DataError(
            message(
                "hub_data_missing",
                "{hub} has no data set {repository}, or it is private; check the spelling, and for a private one set "
                "HF_TOKEN",
                hub=constants.ENDPOINT,
                repository=repr(repository),
            )
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        text = "{repository} has no revision {revision}; leave it out for the newest"
        details = {"repository": repository, "revision": repr(revision)}
        raise DataError(message("hub_data_revision", text, **details)) from error
    except (HTTPError, OSError, hub_errors.OfflineModeIsEnabled) as error:
        known = _remembered(note)
        if known is not None and (token is None or known[2]):
            return known
        raise DataError(_unreachable(repository, error)) from error
    except (KeyError, TypeError, ValueError) as error:
        text = "{hub} does not answer as a Hub does ({reason}); check HF_ENDPOINT"
        raise DataError(message("hub_data_strange", text, hub=constants.ENDPOINT, reason=error)) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if info.sha is None or not re.fullmatch("[0-9a-f]{40}", info.sha):
        text = "{hub} answered without a commit; check HF_ENDPOINT"
        raise DataError(message("hub_data_commit", text, hub=constants.ENDPOINT))
    public = info.private is False and info.gated is False
    if sum(map(len, sizes)) < LISTING_BYTES:
        _remember(note, info.sha, sizes, public)
    return info.sha, sizes, public


def _check_open(repository: str, commit: str, file: str) -> None:
    """Raise DataError unless the Hub gives this file to everybody: the list of a gated repository's files is no proof,
    and what the cache holds is not asked for again."""
    try:
        url = hf_hub_url(repository, file, repo_type="dataset", revision=commit)
        get_hf_file_metadata(url, token=False, timeout=TIMEOUT_SECONDS)
    except hub_errors.GatedRepoError as error:
        raise _gated(repository) from error
    except (HTTPError, OSError) as error:
        raise DataError(_unreachable(repository, error)) from error


def _gated(repository: str) -> DataError:
    return DataError(
        message(
            "hub_data_gated",
            "{repository} is gated: accept its terms on {hub}/datasets/{repository}, and set HF_TOKEN to a token of "
            "that account, or {hint}",
            repository=repository,
            hub=constants.ENDPOINT,
            hint=_by_hand(repository),
        )
    )


def _note(cache: Path, repository: str, revision: str) -> Path:
    """Return where the last listing of a repository is kept."""
    return cache / ".hub" / (re.sub(r"[^\w.-]", "--", f"{repository}@{revision}") + ".json")


def _remember(note: Path, commit: str, sizes: dict[str, int], public: bool) -> None:
    private_folder(note.parent)
    write_json(note, {"commit": commit, "files": sizes, "public": public}, durable=False)


def _remembered(note: Path) -> tuple[str, dict[str, int], bool] | None:
    try:
        kept = read_json(note)
        if kept is None:
            return None
        sizes = {str(name): int(size) for name, size in kept["files"].items()}
        return str(kept["commit"]), sizes, kept.get("public") is True
    except (ValueError, KeyError, AttributeError, TypeError, json.JSONDecodeError):
        return None


def _downloaded(
    repository: str,
    commit: str,
    files: Sequence[str],
    sizes: dict[str, int],
    progress: Progress | None,
    token: bool | None,
) -> Path:
    def get(name: str) -> tuple[str, str]:
        return name, hf_hub_download(
            repository,
            name,
            repo_type="dataset",
            revision=commit,
            token=token,
            etag_timeout=TIMEOUT_SECONDS,
            tqdm_class=_NoBar,
            library_name="vit-explorer",
        )

    name = path = ""
    done, needed = 0, sum(sizes[name] for name in files)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = [pool.submit(get, name) for name in files]
        try:
            for future in as_completed(under_way):
                name, path = future.result()
                done += sizes[name]
                if progress is not None:
                    progress(done, needed, name)
        except (HTTPError, OSError, RuntimeError) as error:
            pool.shutdown(wait=False, cancel_futures=True)
            raise DataError(_unreachable(repository, error)) from error
        except BaseException:  # a progress that stops the work
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Path(path[: -len(name)])


class _NoBar(tqdm):
    """A progress bar that shows nothing: thousands of bars, one a file, would help nobody."""

    def __init__(self, *arguments, **choices):
        super().__init__(*arguments, **choices | {"disable": True})


def _unreachable(repository: str, error: Exception) -> Message:
    if isinstance(error, hub_errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # "not in the cache" hides what happened
    if isinstance(error, hub_errors.OfflineModeIsEnabled):
        text = "{repository} is not all in the cache, and HF_HUB_OFFLINE is set; unset it, or {hint}"
        return message("hub_data_offline", text, repository=repository, hint=_by_hand(repository))
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return message(
        "hub_data_unreached",
        "{repository} cannot be fetched from {hub} ({reason}); check the network, HF_ENDPOINT and proxies, or {hint}",
        repository=repository,
        hub=constants.ENDPOINT,
        reason=reason,
        hint=_by_hand(repository),
    )


def _by_hand(repository: str) -> Message:
    text = 'fetch it with "hf download --repo-type dataset {repository} --local-dir FOLDER" and open FOLDER'
    return message("hub_data_by_hand", text, repository=repository)
