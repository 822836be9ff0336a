"""Download one published file: resumed where it broke off, checked by its MD5, whole or absent."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from training.data.picture_set import DataError
from training.storage.disk import free_bytes, is_full, shown_bytes
from training.storage.jsonfile import locked
from vit_model.files.private import private_folder
from vit_model.messages import Message, message

Progress = Callable[[int, int, str], None]
PIECE = 2**18
TIMEOUT_SECONDS = 20.0  # without a byte
MAX_BYTES = 4_000_000_000


def fetch(url: str, path: Path, md5: str, progress: Progress | None = None) -> Path:
    """Return `path`, which holds the file at `url` with this MD5; downloaded unless it does already.

    `progress(bytes done, bytes in all, file name)`. DataError if the network fails, the disk is full, or the server
    sends something else; it says how to bring the file by hand.
    """
    if _md5(path) == md5:
        return path
    try:
        private_folder(path.parent)
        with locked(path.with_name(path.name + ".lock")):  # two runs that need the same file
            if _md5(path) == md5:
                return path
            part = path.with_name(path.name + ".part")
            _download(url, part, progress, path.name)
            if _md5(part) != md5:
                part.unlink()
                raise DataError(
                    message(
                        "download_checksum",
                        "{url} sent a file whose checksum is not the published one (MD5 {md5}); try again later, or "
                        "{hint}",
                        url=url,
                        md5=md5,
                        hint=by_hand(url, path),
                    )
                )
            os.replace(part, path)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        text = "the download of {url} failed ({reason}); check the network and proxies, or {hint}"
        reason = getattr(error, "reason", None) or (error.args[0] if isinstance(error, _BrokenOffError) else error)
        raise DataError(message("download_failed", text, url=url, reason=reason, hint=by_hand(url, path))) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if is_full(error):
            reason += f", {shown_bytes(free_bytes(path.parent))} free"
        raise DataError(
            message(
                "download_unsaved",
                "{name} cannot be saved in {folder}: {reason}; make room, or set VIT_EXPLORER_DATA to another folder",
                name=path.name,
                folder=path.parent,
                reason=reason,
            )
        ) from error
    return path


def by_hand(url: str, path: Path) -> Message:
    text = "fetch it elsewhere and put it into {folder} as {name}"
    return message("download_by_hand", text, folder=path.parent, name=path.name)


class _BrokenOffError(ConnectionError):
    """A download that ended too early; its argument is a `Message`."""


def _download(url: str, part: Path, progress: Progress | None, name: str) -> None:
    """Download after the bytes that `part` has, if the server can go on there."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "vit-explorer"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        return  # nothing after the bytes that are there: all of it came, or something else, as the checksum will tell
    with answer:
        if answer.status != 206:
            done = 0
        total = done + int(answer.headers.get("Content-Length") or 0)
        with open(part, "ab" if done else "wb") as out:
            while piece := answer.read(PIECE):
                out.write(piece)
                done += len(piece)
                if done > MAX_BYTES:
                    text = "{url} sends more than {most} bytes, which is not the file expected"
                    raise DataError(message("download_too_large", text, url=url, most=f"{MAX_BYTES:,}"))
                if progress is not None:
                    progress(done, max(total, done), name)
    if done < total:
        text = "it broke off after {done} of {total} bytes; trying again goes on from there"
        raise _BrokenOffError(message("download_broke_off", text, done=f"{done:,}", total=f"{total:,}"))


def _md5(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError:
        return None
