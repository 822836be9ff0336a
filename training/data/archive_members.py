"""The members of a zip or tar, one by one, each checked: what a name may be, what kind, how many, how many bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol

from training.data.picture_set import DataError
from vit_model.files.zips import listing, unbounded_method
from vit_model.messages import Message, message
from vit_model.picture import unknown_kind

PIECE = 2**20
HEADER_BYTES = 2**20  # what the headers between two files of a tar may take: long names, not a hidden gigabyte
MAX_NAME = 1000
DIRECTORY_BYTES = 64 * 2**20  # of a zip's list of members, which is read at once
XZ_MEMORY = 256 * 2**20  # xz -9 takes 65 MiB
MAX_PAX_HEADERS = 100  # that hold for a whole tar: tarfile copies them for each member


@dataclass(frozen=True)
class Limits:
    """Bounds on an archive: `members`; `total_bytes` unpacked; and, beyond `free_bytes`, no more than `ratio` times
    the archive's own bytes. Pictures hardly shrink when packed: CIFAR-10 as a .tar.xz unpacks to 5 times its size."""

    members: int = 200_000
    total_bytes: int = 100_000_000_000
    ratio: float = 100.0
    free_bytes: int = 256 * 2**20


KINDS = {
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"(\xb5/\xfd": "a zstd archive",
    b"\x89PNG": "a single picture",
    b"\xff\xd8\xff": "a single picture",
}
"""First bytes of files that are sent in place of an archive -> their kind."""


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive: `name` with "/" between its parts, none of them "." or ".."; `pieces()` yields
    the file's bytes, which must be taken before the next member is asked for."""

    name: str
    is_folder: bool
    pieces: Callable[[], Iterator[bytes]]


def members(file: BinaryIO, limits: Limits) -> Iterator[Member]:
    """Yield all members of the archive in `file`, whose kind its first bytes tell. DataError for forbidden content; the
    archive modules' own errors for damage."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    allowed = min(limits.total_bytes, max(int(limits.ratio * size), limits.free_bytes))
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip_members(file, limits, allowed)
    if head[:2] == b"\x1f\x8b":
        return _tar_members(gzip.GzipFile(fileobj=file), limits, allowed)
    if head[:6] == b"\xfd7zXZ\x00":
        return _tar_members(_Xz(file), limits, allowed)
    if head[:3] == b"BZh":
        return _tar_members(bz2.BZ2File(file), limits, allowed)
    file.seek(257)
    if file.read(5) == b"ustar":
        file.seek(0)
        return _tar_members(file, limits, allowed)
    kind = next((kind for start, kind in KINDS.items() if head.startswith(start)), None) or unknown_kind(head)
    text = "expected a .zip or a .tar (plain, .gz, .xz, .bz2), this is {kind}; pack the pictures again as a .zip"
    raise DataError(message("not_an_archive", text, kind=kind))


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Counted:
    """A stream that is read through to the end: how many bytes came, and never more than `limit`."""

    def __init__(self, stream: _Readable, limits: Limits, allowed: int):
        self._stream, self._limits, self._allowed = stream, limits, allowed
        self.position = 0
        self.until = HEADER_BYTES  # how far the reader of headers may go

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self.position += len(piece)
        if self.position > self._allowed:
            raise DataError(too_large(self._limits, self._allowed))
        if self.position > self.until:
            text = "this tar has a header of more than 1 MiB, which no honest one has; pack it again"
            raise DataError(message("tar_header", text))
        return piece


class _Xz:
    """The stream inside an .xz file, by a decoder that may take XZ_MEMORY; lzma.LZMAFile gives it what the file's
    header asks for, up to 4 GB."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._decoder: lzma.LZMADecompressor | None = None

    def read(self, size: int) -> bytes:
        """Read at most `size` bytes; b"" at the end."""
        while True:
            packed = b""
            if self._decoder is None or self._decoder.eof:
                packed = (self._decoder.unused_data if self._decoder else b"") or self._file.read(PIECE)
                while packed and not packed.strip(b"\0"):  # padding between two streams
                    packed = self._file.read(PIECE)
                if not packed:
                    return b""
                packed = packed.lstrip(b"\0") if self._decoder else packed
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
            elif self._decoder.needs_input:
                packed = self._file.read(PIECE)
                if not packed:
                    raise EOFError(message("xz_short", "the .xz ends in the middle"))
            try:
                piece = self._decoder.decompress(packed, size)
            except lzma.LZMAError as error:
                if "memory" not in str(error).lower():
                    raise
                raise DataError(
                    message(
                        "xz_memory",
                        "to unpack this .xz takes more than {size} MiB of memory, the most that is used; pack it again "
                        "with xz -6, or as a .zip",
                        size=XZ_MEMORY >> 20,
                    )
                ) from error
            if piece:
                return piece


def _tar_members(stream: _Readable, limits: Limits, allowed: int) -> Iterator[Member]:
    counted = _Counted(stream, limits, allowed)
    count = end = 0
    source: Any = counted  # "r|" only reads, though the types ask for a file that can seek
    with tarfile.open(fileobj=source, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
        while (info := tar.next()) is not None:
            # Else a tar keeps every header it has seen
            tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue]
            count += 1
            _check_count(count, limits)
            if len(tar.pax_headers) > MAX_PAX_HEADERS:
                text = "this tar has more than {count} global headers, which no honest one has; pack it again"
                raise DataError(message("tar_global_headers", text, count=MAX_PAX_HEADERS))
            name = checked_name(_tar_name(info.name))
            if info.issym() or info.islnk():
                raise DataError(_link(name, info.linkname))
            if not (info.isfile() or info.isdir()) or info.issparse():
                raise DataError(
                    message(
                        "tar_member_kind",
                        "the archive holds {name}, which is no plain file but a device, a pipe or a sparse file; pack "
                        "the pictures and folders alone",
                        name=repr(name),
                    )
                )
            end = info.offset_data + -(-info.size // 512) * 512
            counted.until = end + HEADER_BYTES
            if name:
                yield Member(name, info.isdir(), lambda info=info: _read_through(_opened(tar, info)))
    if counted.position < end + 512:
        raise tarfile.ReadError(message("tar_short", "the mark at its end is missing"))  # tarfile takes this for an end


def _zip_members(file: BinaryIO, limits: Limits, allowed: int) -> Iterator[Member]:
    _check_directory(file, limits)
    budget = [allowed]
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_count(len(infos), limits)
        decode = zip_names(infos)
        for info in infos:
            name = checked_name(decode(info))
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise DataError(_link(name, ""))
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                text = "the archive holds {name}, a device or pipe; pack the pictures and folders alone"
                raise DataError(message("zip_member_kind", text, name=repr(name)))
            if info.flag_bits & 1:
                text = "{name} in the archive is encrypted; pack it again without a password"
                raise DataError(message("zip_encrypted", text, name=repr(name)))
            if (method := unbounded_method(info)) and not info.is_dir():
                raise DataError(
                    message(
                        "zip_method",
                        "{name} in the archive is packed with {method}, whose memory cannot be bounded; pack it again "
                        "as a .zip with deflate",
                        name=repr(name),
                        method=method,
                    )
                )

            def pieces(info: zipfile.ZipInfo = info) -> Iterator[bytes]:
                with archive.open(info) as packed:
                    for piece in _read_through(packed):
                        budget[0] -= len(piece)
                        if budget[0] < 0:
                            raise DataError(too_large(limits, allowed))
                        yield piece

            if name:
                yield Member(name, info.is_dir(), pieces)


def _check_directory(file: BinaryIO, limits: Limits) -> None:
    """zipfile reads a zip's whole list of members, and makes objects of them, before it can be asked how many."""
    size, count = listing(file, DIRECTORY_BYTES)
    if size > DIRECTORY_BYTES:
        text = "the archive's list of members takes {size} bytes; {hint}"
        raise DataError(message("zip_listing", text, size=f"{size:,}", hint=_fewer(limits)))
    _check_count(count, limits)
    file.seek(0)


def zip_names(infos: list[zipfile.ZipInfo]) -> Callable[[zipfile.ZipInfo], str]:
    """Return how to read the names of a zip. Those not marked as UTF-8 are in the code page of whoever packed it, which
    no field tells: UTF-8 or GB 2312 where all of them are that, else code page 437, as the format says."""
    marked = 0x800
    raw = [info.orig_filename.encode("cp437", "replace") for info in infos if not info.flag_bits & marked]
    for encoding in ("utf-8", "gb2312"):
        try:
            for name in raw:
                name.decode(encoding)
        except UnicodeDecodeError:
            continue
        break
    else:
        encoding = "cp437"

    def decode(info: zipfile.ZipInfo) -> str:
        if info.flag_bits & marked:
            return info.filename
        return info.filename.encode("cp437", "replace").decode(encoding, "replace")

    return decode


def _tar_name(name: str) -> str:
    """Decode a tar's name. Names that are not UTF-8 come with their bytes escaped, which no text file may hold."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def checked_name(name: str) -> str:
    """Return a member's name with "/" between its parts, and "." left out. DataError if it leads out of the archive."""
    if len(name) > MAX_NAME:
        text = "a name in the archive has {length} characters ({start}...), at most {most}"
        length, most = f"{len(name):,}", f"{MAX_NAME:,}"
        raise DataError(message("member_name_long", text, length=length, start=repr(name[:60]), most=most))
    parts = name.replace("\\", "/").split("/")  # Windows tools write either
    absolute = len(parts) > 1 and (parts[0] == "" or (len(parts[0]) == 2 and parts[0][1] == ":"))
    if absolute or ".." in parts:
        text = "the archive holds the path {name}, which leads out of it; pack the folder itself, by a relative path"
        raise DataError(message("member_path", text, name=repr(name)))
    return "/".join(part for part in parts if part not in ("", "."))


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.members:
        text = "the archive holds more than {most} files; {hint}"
        raise DataError(message("many_members", text, most=f"{limits.members:,}", hint=_fewer(limits)))


def _fewer(limits: Limits) -> Message:
    return message(
        "fewer_members",
        "at most {most} files are taken from an archive: pack fewer, or on your own computer open the unpacked folder",
        most=f"{limits.members:,}",
    )


def too_large(limits: Limits, allowed: int) -> Message:
    return message(
        "archive_too_large",
        "the archive unpacks to more than {size} MB, which is {ratio} times its own size or the most that is taken; "
        "pictures do not shrink like that. If it is meant so, pack fewer pictures, or on your own computer open the "
        "unpacked folder",
        size=f"{allowed / 1e6:,.0f}",
        ratio=f"{limits.ratio:g}",
    )


def _link(name: str, target: str) -> Message:
    return message(
        "archive_link",
        "the archive holds a link, {name}{to}, and links are not followed; pack the files themselves (tar "
        "--dereference)",
        name=repr(name),
        to=message("link_to", " to {target}", target=repr(target)) if target else "",
    )


def _opened(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    assert stream is not None  # links and devices have been refused, and a folder is not opened
    return stream


def _read_through(stream: IO[bytes]) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(PIECE):
            yield piece
