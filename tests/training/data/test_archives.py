"""Archives, honest and hostile."""

import contextlib
import gzip
import io
import lzma
import os
import random
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
import zlib

import pytest

from tests.training.data.data_files import add, animals, picture, write_tar, write_zip
from training.data import archives
from training.data.archive_members import Limits
from training.data.archives import make_room, unpack
from training.data.datasets import open_dataset
from training.data.picture_set import DataError
from training.runs import bounds

FILES = animals(2)


def contents(unpacked):
    """{name: bytes}."""
    data = unpacked.store.path.read_bytes()
    spans = unpacked.store.spans.tolist()
    return {name: data[at : at + size] for name, (at, size) in zip(unpacked.names, spans, strict=True)}


def refusal(path, tmp_path, limits=None):
    """The words of the refusal; and nothing stays behind, inside the cache or out of it."""
    before = {p for p in tmp_path.rglob("*") if "cache" not in p.parts}
    with pytest.raises(DataError) as caught:
        unpack(path, tmp_path / "cache", limits=limits)
    assert [file.name for file in (tmp_path / "cache").iterdir() if not file.name.startswith(".lock-")] == []
    assert {p for p in tmp_path.rglob("*") if "cache" not in p.relative_to(tmp_path).parts} == before
    return str(caught.value)


@pytest.fixture
def tar(tmp_path):
    """tar((name, content, fields of TarInfo), ...) -> a tar with these members after an honest one."""

    def make(*members):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            add(archive, "cat/1.png", picture())
            for name, content, fields in members:
                add(archive, name, content, **fields)
        return path

    return make


# Honest ones


@pytest.mark.parametrize(("ending", "mode"), [("tar", "w"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz"), ("tbz2", "w:bz2")])
def test_tars(tmp_path, ending, mode):
    path = write_tar(tmp_path / f"a.{ending}", FILES, mode)
    assert contents(unpack(path, tmp_path / "cache")) == FILES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zips(tmp_path, compression):
    path = write_zip(tmp_path / "a.zip", FILES, compression)
    assert contents(unpack(path, tmp_path / "cache")) == FILES


def test_the_pictures_can_be_read(tmp_path):
    unpacked = unpack(write_zip(tmp_path / "a.zip", FILES), tmp_path / "cache")
    assert unpacked.store.read(0).size == (6, 8)


def test_its_kind_is_told_by_its_bytes(tmp_path):
    path = write_tar(tmp_path / "a.zip", FILES, "w:gz")
    assert contents(unpack(path, tmp_path / "cache")) == FILES


def test_the_same_bytes_are_unpacked_once(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", FILES)
    first = unpack(path, tmp_path / "cache")
    monkeypatch.setattr(archives, "_unpack", None)
    again = unpack(path.rename(tmp_path / "b.zip"), tmp_path / "cache")
    assert again.store.path == first.store.path
    assert again.fingerprint == first.fingerprint


def test_a_damaged_cache_is_made_anew(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    kept = unpack(path, tmp_path / "cache").store.path
    for name, content in {"pictures.bin": b"", "names.json": b"{", "spans.npy": b""}.items():
        (kept.parent / name).write_bytes(content)
        assert contents(unpack(path, tmp_path / "cache")) == FILES


def test_many_at_once_unpack_to_the_same(tmp_path):
    path, found = write_zip(tmp_path / "a.zip", FILES), []
    threads = [threading.Thread(target=lambda: found.append(unpack(path, tmp_path / "cache"))) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [contents(unpacked) for unpacked in found] == [FILES] * 8
    assert len(list((tmp_path / "cache").glob("*/pictures.bin"))) == 1


def test_progress_is_reported(tmp_path):
    path, seen = write_zip(tmp_path / "a.zip", FILES), []
    unpack(path, tmp_path / "cache", progress=lambda *report: seen.append(report))
    assert seen[0] == (path.stat().st_size, path.stat().st_size, "reading the archive")


def test_junk_other_files_and_folders(tmp_path):
    files = FILES | {"__MACOSX/cat/._0.png": b"x", "cat/.DS_Store": b"x", "cat/Thumbs.db": b"x", "notes.txt": b"hello"}
    path = write_zip(tmp_path / "a.zip", files | {"emu/": b""})
    unpacked = unpack(path, tmp_path / "cache")
    assert contents(unpacked) == FILES | {"notes.txt": b""}, "only pictures are kept"
    assert unpacked.folders == ("emu",)


def test_names_with_a_dot_or_backslashes(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"./cat/1.png": b"1", "dog\\2.png": b"2", "./": b""})
    assert unpack(path, tmp_path / "cache").names == ("cat/1.png", "dog/2.png")


def test_a_name_that_comes_twice(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"cat/1.png": b"old", "./cat/1.png": b"new!"})
    assert contents(unpack(path, tmp_path / "cache")) == {"cat/1.png": b"new!"}


ODD = ["<b>cat</b>/1.png", "a\nb/1.png", "con/1.png", "x:y/1.png", "cat /1.png", "名前/图.png", "a" * 255 + "/1.png"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_only_data(tmp_path, name):
    for path in (write_zip(tmp_path / "a.zip", {name: b"x"}), write_tar(tmp_path / "a.tar", {name: b"x"})):
        assert unpack(path, tmp_path / "cache").names == (name,)
    written = {path.name for path in (tmp_path / "cache").glob("[!.]*/**/*")}
    assert written == {"pictures.bin", "names.json", "spans.npy"}


@pytest.mark.parametrize(
    ("name", "encoding", "marked"),
    [
        ("小狗/图片一号.png", "gb2312", False),
        ("猫/図.png", "utf-8", False),
        ("café/é.png", "cp437", False),
        ("猫/1.png", "utf-8", True),
    ],
)
def test_names_in_the_code_page_of_whoever_packed_them(tmp_path, name, encoding, marked):
    raw = name.encode(encoding)
    path = write_zip(tmp_path / "a.zip", {"x" * len(raw): b"x"}, zipfile.ZIP_STORED)
    data = path.read_bytes().replace(b"x" * len(raw), raw)
    if marked:
        data = _set_flag(data, 0x800)
    path.write_bytes(data)
    assert unpack(path, tmp_path / "cache").names == (name,)


def test_tar_names_that_are_not_utf_8(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        add(archive, "été/é.png", b"x")
    assert unpack(path, tmp_path / "cache").names == ("été/é.png",)


# Hostile ones


CLIMBING = [
    "../cat/1.png",
    "cat/../../1.png",
    "/etc/cat/1.png",
    "C:/cat/1.png",
    "..\\cat\\1.png",
    "\\\\host\\cat\\1.png",
]


@pytest.mark.parametrize("name", CLIMBING)
def test_paths_that_climb_out(tmp_path, tar, name):
    expected = f"the archive holds the path {name!r}, which leads out of it; pack the folder itself, by a relative path"
    assert refusal(tar((name, b"x", {})), tmp_path) == expected
    assert refusal(write_zip(tmp_path / "a.zip", {name: b"x"}), tmp_path) == expected


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "1.png"])
def test_links_in_tars(tmp_path, tar, kind, target):
    text = refusal(tar(("cat/2.png", b"", {"type": kind, "linkname": target})), tmp_path)
    assert text.startswith(f"the archive holds a link, 'cat/2.png' to {target!r}, and links are not followed")


def test_links_in_zips(tmp_path):
    path, info = tmp_path / "a.zip", zipfile.ZipInfo("cat/2.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert refusal(path, tmp_path).startswith("the archive holds a link, 'cat/2.png', and")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(tmp_path, tar, kind):
    text = refusal(tar(("cat/2.png", b"", {"type": kind, "devmajor": 1, "devminor": 5})), tmp_path)
    assert text.startswith("the archive holds 'cat/2.png', which is no plain file but a device")


def test_devices_in_zips(tmp_path):
    path, info = tmp_path / "a.zip", zipfile.ZipInfo("cat/2.png")
    info.external_attr = (stat.S_IFBLK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "")
    assert "a device or pipe" in refusal(path, tmp_path)


def test_sparse_files(tmp_path, tar):
    fields = {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**15)}}
    path = tar(("cat/2.png", b"1\n0\n0\n".ljust(512, b"\0"), fields))
    assert "a sparse file" in refusal(path, tmp_path)


SMALL = Limits(free_bytes=1_000_000)


def test_zip_bomb(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": bytes(3_000_000)})
    assert refusal(path, tmp_path, SMALL).startswith(
        "the archive unpacks to more than 1 MB, which is 100 times its own"
    )


def test_zip_bomb_of_many_files(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"cat/{n}.png": bytes(300_000) for n in range(10)})
    assert "unpacks to more than 1 MB" in refusal(path, tmp_path, SMALL)


@pytest.mark.parametrize(
    ("method", "name"), [(12, "bzip2"), (14, "LZMA"), (9, "deflate64"), (93, "zstd"), (95, "xz"), (77, "method 77")]
)
def test_methods_that_unpack_a_whole_block_at_once(tmp_path, method, name):
    """A zip of 1,678 bytes of bzip2 took 4 GB before any limit was looked at."""
    path = write_zip(tmp_path / "a.zip", {"cat/0.jpg": bytes(1000)})
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", data, data.index(mark) + at, method)
    path.write_bytes(data)
    assert refusal(path, tmp_path) == (
        f"'cat/0.jpg' in the archive is packed with {name}, whose memory cannot be bounded; pack it again as a .zip "
        "with deflate"
    )


def bombs(path):
    """{what: archive of few kilobytes}"""
    zeros = bytes(2**22)

    def zipped(method):
        with zipfile.ZipFile(path, "w", method) as out, out.open("cat/0.jpg", "w", force_zip64=True) as member:
            for _ in range(256):
                member.write(zeros)
        return path

    def xz_of_a_large_dictionary():
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 2**20}]
        data = bytearray(lzma.compress(bytes(10**6), filters=filters))
        assert data[12:16] == bytes([2, 0, 0x21, 1]) and data[16] == 16
        data[16] = 40  # 4 GB
        data[20:24] = struct.pack("<L", zlib.crc32(bytes(data[12:20])))
        path.write_bytes(data)
        return path

    def long_names():
        with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
            for n in range(20_000):
                add(archive, f"{n:05d}/" + "é" * 990 + ".jpg", b"")
        return path

    def global_headers():
        info = tarfile.TarInfo("cat/0.jpg")
        with tarfile.open(
            path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={f"a{n}": "" for n in range(5000)}
        ) as out:
            for _ in range(3):
                out.addfile(info)
        return path

    def members_without_names():
        entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        listing = entry * 1_400_000
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, len(listing), 4, 0)
        path.write_bytes(b"PK\x03\x04" + listing + end)
        return path

    return {
        "bzip2": lambda: zipped(zipfile.ZIP_BZIP2),
        "LZMA": lambda: zipped(zipfile.ZIP_LZMA),
        "deflate": lambda: zipped(zipfile.ZIP_DEFLATED),
        "xz of a large dictionary": xz_of_a_large_dictionary,
        "long names": long_names,
        "global headers": global_headers,
        "members without names": members_without_names,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is measured as Linux tells it")
@pytest.mark.parametrize("what", bombs(None))
def test_a_small_archive_takes_little_memory(tmp_path, what):
    path = bombs(tmp_path / "bomb")[what]()
    program = (
        "import sys\nfrom pathlib import Path\nfrom training.data.archives import unpack\n"
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "before = peak()\n"
        "try: unpack(Path(sys.argv[1]), Path(sys.argv[2])); said = 'accepted'\n"
        "except ValueError as error: said = str(error)\n"
        "print((peak() - before) >> 10, said)"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path / "cache")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    megabytes, said = ran.stdout.split(" ", 1)
    print(f"{what}: {path.stat().st_size:,} bytes, +{megabytes} MB: {said[:120]}")
    assert said.strip() != "accepted"
    assert int(megabytes) < 300


def test_xz_of_several_streams_with_padding(tmp_path):
    plain = write_tar(tmp_path / "a", FILES, "w:").read_bytes()
    half = len(plain) // 2
    path = tmp_path / "a.tar.xz"
    path.write_bytes(lzma.compress(plain[:half]) + bytes(8) + lzma.compress(plain[half:]) + bytes(4))
    assert contents(unpack(path, tmp_path / "cache")) == FILES


def test_zip_whose_header_claims_less(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": bytes(3_000_000)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 3_000_000), struct.pack("<L", 10)))
    assert "is damaged or cut short" in refusal(path, tmp_path, SMALL)


def test_zip_whose_members_overlap(tmp_path):
    """A thousand names for the same compressed bytes."""
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": bytes(200_000)})
    data = path.read_bytes()
    at = data.rindex(b"PK\x01\x02")
    entry = data[at : data.rindex(b"PK\x05\x06")]
    listing = b"".join(entry.replace(b"cat/1.png", b"cat/%d.png" % (n % 10)) for n in range(1000))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(listing), at, 0)
    path.write_bytes(data[:at] + listing + end)
    text = refusal(path, tmp_path, SMALL)
    assert "unpacks to more than 1 MB" in text or "is damaged" in text


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("name", ["cat/1.png", "notes.txt", ".hidden"])
def test_tar_bomb_also_in_what_is_passed_over(tmp_path, mode, name):
    path = write_tar(tmp_path / "a.tar.x", {name: bytes(3_000_000), "cat/2.png": b"x"}, mode)
    assert "unpacks to more than 1 MB" in refusal(path, tmp_path, SMALL)


def test_a_tar_that_claims_more_than_it_holds(tmp_path):
    info = tarfile.TarInfo("cat/1.png")
    info.size = 10**12
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf() + b"short")
    assert "is damaged or cut short" in refusal(path, tmp_path)


def test_an_endless_header(tmp_path):
    """tarfile reads long names and pax headers into memory, whatever their size."""
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = kind, 200_000_000
        path = tmp_path / "a.tar.gz"
        with gzip.open(path, "wb", compresslevel=1) as out:
            out.write(info.tobuf(tarfile.GNU_FORMAT))
            for _ in range(4):
                out.write(bytes(2**20))
        assert "a header of more than 1 MiB" in refusal(path, tmp_path)


def test_a_hundred_thousand_tiny_files(tmp_path):
    files = io.BytesIO()
    with tarfile.open(fileobj=files, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for n in range(500):
            add(archive, f"cat/{n}.png", b"x")
    block = files.getvalue()[: 500 * 1024]
    path = tmp_path / "a.tar"
    path.write_bytes(block * 200 + bytes(1024))
    assert len(unpack(path, tmp_path / "cache").names) == 500
    kept = list((tmp_path / "cache").glob("[!.]*/*"))
    assert len(kept) == 3, "however many files an archive has, it becomes three"
    limits = Limits(members=99_999)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match="holds more than 99,999 files; at most 99,999 files are taken"):
        unpack(path, tmp_path / "cache", limits=limits)


def test_too_many_files_in_a_zip(tmp_path):
    path = write_zip(tmp_path / "a.zip", {f"cat/{n}.png": b"x" for n in range(11)})
    assert "holds more than 10 files" in refusal(path, tmp_path, Limits(members=10))


@pytest.mark.parametrize("far", [False, True])
def test_a_zip_with_a_huge_list_of_members(tmp_path, far):
    """It is refused before zipfile reads it."""
    path = tmp_path / "a.zip"
    data = write_zip(path, FILES).read_bytes()
    at = data.rindex(b"PK\x05\x06")
    if far:
        record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 9, 9, 10**10, 0)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
        data = data[:at] + record + locator + data[at:]
    else:
        data = data[: at + 12] + struct.pack("<L", 10**9) + data[at + 16 :]
    path.write_bytes(data)
    assert f"list of members takes {10**10 if far else 10**9:,} bytes" in refusal(path, tmp_path)


def test_encrypted(tmp_path):
    path = write_zip(tmp_path / "a.zip", FILES)
    path.write_bytes(_set_flag(path.read_bytes(), 1))
    assert refusal(path, tmp_path) == "'cat/0.png' in the archive is encrypted; pack it again without a password"


def test_nested_archives_are_not_opened(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", FILES).read_bytes()
    path = write_zip(tmp_path / "a.zip", FILES | {"inner.zip": inner})
    assert contents(unpack(path, tmp_path / "cache")) == FILES | {"inner.zip": b""}


def test_a_name_of_endless_length(tmp_path, tar):
    assert "a name in the archive has 5,000 characters" in refusal(tar(("a" * 5000, b"", {})), tmp_path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["zip", "w:", "w:gz", "w:xz", "w:bz2"])
def test_cut_short(tmp_path, kind, keep):
    path = tmp_path / "a"
    write_zip(path, FILES) if kind == "zip" else write_tar(path, FILES, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    try:
        found = contents(unpack(path, tmp_path / "cache"))
    except DataError as error:
        assert "is damaged or cut short" in str(error)
    else:
        assert found == FILES, "what is missing is of no use"


def test_broken_bytes_inside(tmp_path):
    for kind in ("zip", "w:gz", "w:xz", "w:bz2"):
        path = tmp_path / "a"
        write_zip(path, FILES) if kind == "zip" else write_tar(path, FILES, kind)
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 255
        path.write_bytes(bytes(data))
        assert "is damaged or cut short" in refusal(path, tmp_path)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "an empty file"),
        (b"7z\xbc\xaf'\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (picture(), "a single picture"),
        (b"\x00\x01", "a file of unknown kind"),
    ],
)
def test_something_else(tmp_path, data, kind):
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    text = refusal(path, tmp_path)
    assert text.startswith("expected a .zip or a .tar")
    assert kind in text


def test_a_name_marked_as_utf_8_that_is_none(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"xx.png": b"x"}, zipfile.ZIP_STORED)
    path.write_bytes(_set_flag(path.read_bytes().replace(b"xx.png", b"\xff\xfe.png"), 0x800))
    assert "is damaged or cut short ('utf-8' codec" in refusal(path, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "w:", "w:gz", "w:xz", "w:bz2"])
def test_any_broken_byte_is_told_or_harmless(tmp_path, kind):
    """200 archives, each with one to three bytes changed: whatever is wrong is a DataError, and nothing else."""
    path, chance = tmp_path / "a", random.Random(kind)
    write_zip(path, FILES) if kind == "zip" else write_tar(path, FILES, kind)
    whole = path.read_bytes()
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(bytes(data))
        with contextlib.suppress(DataError):
            unpack(path, tmp_path / "cache")


def test_a_gzip_that_holds_no_tar(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"hello " * 1000))
    assert "is damaged or cut short" in refusal(path, tmp_path)


def test_an_archive_that_is_gone(tmp_path):
    with pytest.raises(DataError, match=r"the archive a.zip cannot be read: No such file"):
        unpack(tmp_path / "a.zip", tmp_path / "cache")


def test_the_disk_is_full(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_copy", full)
    text = refusal(write_zip(tmp_path / "a.zip", FILES), tmp_path)
    assert text.startswith("the disk became full while a.zip was unpacked")


def test_a_picture_larger_than_any_that_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_PICTURE_BYTES", 1000)
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": bytes(5000), "dog/1.png": b"x"})
    found = contents(unpack(path, tmp_path / "cache"))
    assert {name: len(content) for name, content in found.items()} == {"cat/1.png": 1001, "dog/1.png": 1}


def test_room_is_made_of_what_was_long_not_used(tmp_path):
    old, new = (
        unpack(write_zip(tmp_path / name, animals(2, seed=n)), tmp_path / "cache").store.path.parent
        for n, name in enumerate(("a.zip", "b.zip"))
    )
    half = tmp_path / "cache" / ".unpacking-killed"
    half.mkdir()
    make_room(tmp_path / "cache", keep_bytes=0)
    assert old.exists() and new.exists() and half.exists(), "all used lately"
    long_ago = time.time() - 30 * 24 * 3600
    for folder in (old, half):
        os.utime(folder, (long_ago, long_ago))
    make_room(tmp_path / "cache", keep_bytes=10**9)
    assert old.exists(), "there is room"
    assert not half.exists()
    make_room(tmp_path / "cache", keep_bytes=0)
    assert not old.exists()
    assert new.exists()


def _set_flag(data: bytes, flag: int) -> bytes:
    """A zip with this flag set in all headers, local and central."""
    data = bytearray(data)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = data.find(mark)
        while begin >= 0:
            data[begin + at : begin + at + 2] = struct.pack("<H", struct.unpack_from("<H", data, begin + at)[0] | flag)
            begin = data.find(mark, begin + 1)
    return bytes(data)


def test_a_visitors_archive_takes_no_more_than_a_visitor_may(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "animals.zip", animals())
    monkeypatch.setattr(bounds, "VISITOR", bounds.Bounds(disk=500, reserve=0))
    with pytest.raises(DataError, match="unpacks to more than"):
        open_dataset(str(archive), cache=tmp_path / "data", guest=True)
    assert len(open_dataset(str(archive), cache=tmp_path / "data").splits["train"])
