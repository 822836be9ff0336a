"""Small files that would take gigabytes or minutes: each is read by a process of its own, whose memory is measured,
and that of the worker it starts."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_model.picture import headers, room, worker
from vit_model.picture.limits import PictureError
from vit_model.picture.reading import read_picture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is measured as Linux tells it")

MEASURED = """
import io, json, resource, sys, types
package = types.ModuleType("vit_model"); package.__path__ = [sys.argv[1]]; sys.modules["vit_model"] = package
from PIL import Image
Image.init()
from vit_model.picture import read_picture, worker
data = sys.stdin.buffer.read()
def used(): return resource.getrusage(resource.RUSAGE_SELF)
def peak():  # ru_maxrss would begin with that of the process that started this one
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
before, before_peak = used(), peak()
try: said = "read %d x %d" % read_picture(io.BytesIO(data)).size
except ValueError as error: said = str(error)
worker._end_all()
child = resource.getrusage(resource.RUSAGE_CHILDREN)
seconds = used().ru_utime + used().ru_stime - before.ru_utime - before.ru_stime + child.ru_utime + child.ru_stime
print(json.dumps([said, (peak() - before_peak) >> 10, child.ru_maxrss >> 10, seconds, "torch" in sys.modules]))
"""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, depth=8, kind=2, extra=(), row=None, after=()):
    """All rows are zeros, or `row` is what the picture's data inflate to."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    packer = zlib.compressobj(1)
    if row is None:
        size, packed = 1 + (width * channels * depth + 7) // 8, []
        block = bytes(size * max(1, min(height, 2**24 // size)))
        left = size * height
        while left > 0:
            packed.append(packer.compress(block[:left]))
            left -= len(block)
        data = b"".join(packed) + packer.flush()
    else:
        data = packer.compress(row) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    palette = chunk(b"PLTE", bytes(768)) if kind == 3 else b""
    parts = [b"\x89PNG\r\n\x1a\n", head, palette, *extra, chunk(b"IDAT", data), *after, chunk(b"IEND", b"")]
    return b"".join(parts)


def file_of(picture, format_, **options):
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def flat(mode, width, height):
    return Image.new(mode, (width, height))


def gif(*extra):
    screen = b"GIF89a" + struct.pack("<HH", 14100, 14100) + b"\x80\0\0\0\0\0\xff\xff\xff"
    return screen + b"".join(extra) + b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def gif_comment(megabytes):
    """Pillow puts it together 255 bytes by 255."""
    return b"!\xfe" + (b"\xff" + b"x" * 255) * (megabytes * 4096) + b"\0"


def overlapping_exif(entries=20_000, size=1_000_000):
    """A directory whose entries all point to the same megabyte."""
    listed = b"".join(struct.pack("<HHLL", 0x1000 + n, 7, size, 8) for n in range(entries))
    return b"II*\0" + struct.pack("<L", 8 + size) + bytes(size) + struct.pack("<H", entries) + listed + bytes(4)


def jpeg_segments(*segments, picture=None):
    data = picture or file_of(flat("RGB", 16, 16), "JPEG")
    added = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return data[:2] + added + data[2:]


def exif_in_segments():
    exif = b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", 5000)
    exif += b"".join(struct.pack("<HHLL", 0x1000 + n, 7, 1_000_000, 60_100) for n in range(5000)) + bytes(1_100_000)
    pieces = [exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    data = file_of(flat("RGB", 16, 16), "JPEG")
    data = data[:2] + data[20:]  # without the JFIF segment, for which Pillow looks the resolution up
    return jpeg_segments(*((0xE1, b"Exif\0\0" + piece) for piece in pieces), picture=data)


def jpeg_of_size(width, height, **options):
    data = bytearray(file_of(flat("RGB", 16, 16), "JPEG", **options))
    at = re.search(rb"\xff[\xc0\xc2]", bytes(data)).start()
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_scans(count, width=6000, height=5000):
    data = file_of(Image.new("RGB", (width, height), (90, 120, 30)), "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    scans = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data) - 2], strict=True)]
    return data[:-2] + min(scans[1:], key=len) * count + b"\xff\xd9"


def tiff(entries, *blocks, first=8):
    """A little-endian TIFF: (tag, type, count, value) for each entry, and what follows them."""
    listed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<L", first) + struct.pack("<H", len(entries)) + listed + bytes(4) + b"".join(blocks)


def tiff_of(width, height, compression, data, bits=8, samples=1, rows=None, tile=None):
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1)]
    entries += [(277, 3, 1, samples)]
    at = 8 + 2 + 12 * (len(entries) + (4 if tile else 3)) + 4
    if tile:
        entries += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, at), (325, 4, 1, len(data))]
    else:
        entries += [(273, 4, 1, at), (278, 4, 1, rows or height), (279, 4, 1, len(data))]
    return tiff(sorted(entries), data)


def tiff_of_overlapping_tags():
    size, count = 1_000_000, 20_000
    at = 8 + 2 + 12 * (count + 2) + 4
    listed = [(256, 4, 1, 1), (257, 4, 1, 1), *((0x8000 + n, 7, size, at) for n in range(count))]
    return tiff(listed, bytes(size))


def zeros(bytes_, make):
    packer, block, out = make(), bytes(2**22), []
    for _ in range(bytes_ // len(block)):
        out.append(packer.compress(block))
    return b"".join(out) + packer.flush()


def webp(name, head):
    return b"RIFF" + struct.pack("<L", 12 + len(head)) + b"WEBP" + name + struct.pack("<L", len(head)) + head


def webp_canvas(data, width, height):
    """An animation, with the size of its canvas replaced."""
    data = bytearray(data)
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def animation(format_, width, height, **options):
    frames = [Image.new("RGB", (width, height), colour) for colour in ("red", "blue")]
    return file_of(frames[0], format_, save_all=True, append_images=frames[1:], **options)


def bmp_rle(width, height, runs):
    head = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<LLL", 54 + 1024 + len(runs), 0, 54 + 1024) + head + bytes(1024) + runs


def bmp(width, height, bits=24):
    head = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LLL", 54, 0, 54) + head


EXIF = overlapping_exif()
RAW_EXIF = b"Raw profile type exif\0\0" + zlib.compress(
    b"\nexif\n1\n" + overlapping_exif(20_000, 200_000).hex().encode()
)
TEXT = zlib.compress(bytes(10**8), 1)
SMALL_WEBP = animation("WEBP", 8, 8, lossless=True)
CASES = {
    "lossless WebP of 34 bytes": lambda: bytes.fromhex(
        "524946461a000000574542505650384c0e0000002ffeffb70b071011fd0f4444ff03"
    ),
    "lossless WebP, just allowed": lambda: file_of(flat("RGB", 5500, 6000), "WEBP", lossless=True, method=0),
    "lossy WebP": lambda: file_of(flat("RGB", 5500, 6000), "WEBP", method=0),
    "WebP with transparency": lambda: file_of(flat("RGBA", 6000, 5000), "WEBP", method=0),
    "animated WebP with a huge canvas": lambda: webp_canvas(SMALL_WEBP, 16383, 12000),
    "animated WebP with a large canvas": lambda: webp_canvas(SMALL_WEBP, 5500, 5500),
    "WebP whose frame is larger than its canvas": lambda: webp_canvas(
        animation("WEBP", 4000, 4000, lossless=True, method=0), 4, 4
    ),
    "GIF of 35 bytes": gif,
    "GIF with a long comment": lambda: gif(gif_comment(3)),
    "animated GIF": lambda: animation("GIF", 6000, 6000, disposal=2, transparency=0),
    "GIF whose frame is larger than its screen": lambda: (
        file_of(flat("P", 14000, 13000), "GIF")[:6] + b"\1\0\1\0" + file_of(flat("P", 14000, 13000), "GIF")[10:]
    ),
    "animated PNG": lambda: animation("PNG", 8000, 7000),
    "PNG of 1 bit": lambda: png(20_000, 10_000, 1, 0),
    "PNG of greys": lambda: png(20_000, 10_000, 8, 0),
    "PNG of deep greys": lambda: png(20_000, 9_000, 16, 0),
    "PNG of a palette": lambda: png(20_000, 10_000, 8, 3),
    "PNG of a transparent palette": lambda: png(20_000, 10_000, 8, 3, [chunk(b"tRNS", bytes(256))]),
    "PNG of colours": lambda: png(14_000, 14_000),
    "PNG of deep colours, transparent": lambda: png(11_000, 10_000, 16, 6),
    "PNG with a transparent colour": lambda: png(8_000, 8_000, extra=[chunk(b"tRNS", bytes(6))]),
    "PNG, turned": lambda: png(8_000, 8_000, extra=[chunk(b"eXIf", file_exif(6))]),
    "PNG of one long row": lambda: png(190_000_000, 1, 16, 6, row=b""),
    "PNG of one row of a million": lambda: png(1_000_000, 150, 8, 0),
    "PNG with an overlapping EXIF": lambda: png(1, 1, extra=[chunk(b"eXIf", EXIF)]),
    "PNG with an overlapping EXIF as text": lambda: png(1, 1, extra=[chunk(b"zTXt", RAW_EXIF)]),
    "PNG with an inflating zTXt": lambda: png(1, 1, extra=[chunk(b"zTXt", b"a\0\0" + TEXT)]),
    "PNG with an inflating iTXt": lambda: png(1, 1, extra=[chunk(b"iTXt", b"a\0\1\0\0\0" + TEXT)]),
    "PNG with many inflating zTXt": lambda: png(
        1, 1, extra=[chunk(b"zTXt", b"a%d\0\0" % n + zlib.compress(bytes(10**6))) for n in range(900)]
    ),
    "PNG with an inflating profile": lambda: png(1, 1, extra=[chunk(b"iCCP", b"a\0\0" + TEXT)]),
    "PNG with an inflating text after the picture": lambda: png(1, 1, after=[chunk(b"zTXt", b"a\0\0" + TEXT)]),
    "PNG of half a million chunks": lambda: png(1, 1, extra=[chunk(b"prVt", b"") * 500_000]),
    "PNG of half a million empty data chunks": lambda: png(1, 1, extra=[chunk(b"IDAT", b"") * 500_000]),
    "JPEG of many pixels and few bytes": lambda: jpeg_of_size(65_000, 3_000),
    "progressive JPEG of many pixels and few bytes": lambda: jpeg_of_size(65_000, 3_000, progressive=True),
    "progressive JPEG, just allowed": lambda: jpeg_of_size(9_000, 8_000, progressive=True, subsampling=0),
    "JPEG of thousands of scans": lambda: jpeg_of_scans(9_000),
    "JPEG with an overlapping EXIF": exif_in_segments,
    "JPEG of a million empty segments": lambda: jpeg_segments(*[(0xEA, b"")] * 1_000_000),
    "JPEG with megabytes of padding": lambda: b"\xff\xd8" + b"\xff" * 4_000_000 + file_of(flat("L", 9, 9), "JPEG")[3:],
    "JPEG of four inks": lambda: file_of(flat("CMYK", 8_000, 8_000), "JPEG"),
    "TIFF of 1 bit": lambda: file_of(flat("1", 14_000, 13_000), "TIFF", compression="group4"),
    "TIFF in one strip": lambda: tiff_of(12_000, 12_000, 8, zeros(12_000**2, lambda: zlib.compressobj(1))),
    "TIFF in one huge tile": lambda: tiff_of(64, 64, 8, zeros(2**28, lambda: zlib.compressobj(1)), tile=2**15),
    "TIFF in one huge raw tile": lambda: tiff_of(64, 64, 1, bytes(64), tile=2**16 * 10),
    "TIFF of LZMA": lambda: file_of(flat("L", 13_000, 13_000), "TIFF", compression="lzma"),
    "TIFF of floats": lambda: file_of(flat("F", 10_000, 9_000), "TIFF", compression="tiff_lzw"),
    "TIFF of deep greys": lambda: file_of(flat("I;16", 13_000, 13_000), "TIFF", compression="tiff_lzw"),
    "TIFF of LAB": lambda: file_of(flat("LAB", 7_000, 7_000), "TIFF", compression="tiff_lzw"),
    "TIFF of overlapping tags": tiff_of_overlapping_tags,
    "TIFF of a tag of gigabytes": lambda: tiff([(256, 4, 1, 1), (257, 4, 1, 1), (0x8000, 7, 2**32 - 1, 8)]),
    "TIFF of directories in a ring": lambda: tiff([(256, 4, 1, 9), (257, 4, 1, 9)])[:-4] + struct.pack("<L", 8),
    "TIFF of a huge size": lambda: tiff_of(14_000, 14_000, 1, b"", bits=8),
    "BMP of a huge size": lambda: bmp(14_000, 14_000),
    "BMP of runs": lambda: bmp_rle(14_000, 14_000, b"\xff\0" * (14_000 * 55)),
    "BMP of runs of one": lambda: bmp_rle(14_000, 10_000, b"\1\0" * 6_000_000),
    "BMP of jumps": lambda: bmp_rle(14_000, 14_000, b"\0\2\xff\xff" * 100_000),
    "PPM of a huge size": lambda: b"P6 14000 14000 255\n",
    "PPM of deep colours": lambda: b"P6 6000 5000 65534\n" + bytes(2**23),
    "PPM in letters": lambda: b"P3 6000 5000 255\n" + b"1 " * 30_000_000,
    "PPM with a long comment": lambda: b"P6\n#" + b"x" * 8_000_000 + b"\n1 1 255\nabc",
    "PFM": lambda: b"Pf 5000 5000 -1.0\n" + bytes(10**8),
    "AVIF": lambda: file_of(flat("RGB", 3_000, 2_000), "AVIF", speed=10),
    "AVIF whose header says more": lambda: file_of(flat("RGB", 64, 64), "AVIF", speed=10).replace(
        struct.pack(">LL", 64, 64), struct.pack(">LL", 16_000, 12_000)
    ),
}


def file_exif(orientation):
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("case", CASES)
def test_a_small_file_takes_neither_gigabytes_nor_minutes(case):
    data = CASES[case]()
    package = Path(room.__file__).parent.parent
    ran = subprocess.run([sys.executable, "-c", MEASURED, str(package)], input=data, capture_output=True, timeout=300)
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    said, megabytes, of_worker, seconds, torch_loaded = json.loads(ran.stdout.splitlines()[-1])
    print(f"{case}: {len(data):,} bytes, +{megabytes} MB, worker {of_worker} MB, {seconds:.1f} s: {said}")
    assert megabytes < 700 + len(data) / 2**20
    assert of_worker < 760 + len(data) / 2**20, "what Python and Pillow take, and the limit"
    assert seconds < 40
    assert said.startswith("read") or "picture" in said
    assert not torch_loaded


def test_what_people_have_is_still_read():
    """A phone's 48 megapixels, and a scan of 100."""
    for options in ({}, {"progressive": True}, {"progressive": True, "subsampling": 0}):
        data = file_of(flat("RGB", 8000, 6000), "JPEG", **options)
        assert read_picture(io.BytesIO(data)).size == (8000, 6000)
    assert read_picture(io.BytesIO(png(10_000, 10_000))).size == (5000, 5000)


def test_a_plain_picture_needs_no_worker(monkeypatch):
    def never(*_):
        raise AssertionError("a worker was asked")

    monkeypatch.setattr("vit_model.picture.reading.decode_apart", never)
    for mode, format_, options in (
        ("RGB", "JPEG", {"progressive": True}),
        ("CMYK", "JPEG", {}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {}),
        ("RGB", "BMP", {}),
        ("RGB", "PPM", {}),
        ("1", "PPM", {}),
        ("RGB", "WEBP", {}),
    ):
        assert read_picture(io.BytesIO(file_of(flat(mode, 40, 30), format_, **options))).size == (40, 30)


def test_scans_are_counted_in_the_picture_alone():
    """A film behind the picture holds the two bytes that begin a scan many times."""
    data = file_of(flat("RGB", 64, 64), "JPEG", progressive=True) + b"\xff\xda" * 1000
    assert read_picture(io.BytesIO(data)).size == (64, 64)
    with pytest.raises(PictureError, match=r"made of 101 or more scans, each a pass .* at most 100 are read"):
        read_picture(io.BytesIO(jpeg_of_scans(200, 64, 64)))


def test_a_worker_gives_the_same_pixels_and_is_used_again(monkeypatch):
    started = []
    start = worker._started
    monkeypatch.setattr(worker, "_started", lambda: started.append(1) or start())
    worker._end_all()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (700, 2100, 3), np.uint8))
    for format_ in ("TIFF", "GIF", "TIFF"):
        data = file_of(noise, format_)
        expected = Image.open(io.BytesIO(data)).convert("RGB")
        assert np.array_equal(np.asarray(read_picture(io.BytesIO(data))), np.asarray(expected))
    assert len(started) == 1


def test_a_worker_that_ends_is_replaced():
    data = file_of(flat("RGB", 9, 9), "TIFF")
    read_picture(io.BytesIO(data))
    (process,) = worker._idle
    process.kill()
    process.wait()
    with pytest.raises(PictureError):
        read_picture(io.BytesIO(data))
    assert read_picture(io.BytesIO(data)).size == (9, 9)


def test_without_limits_of_the_system_the_header_decides(monkeypatch):
    """As on Windows."""
    monkeypatch.setattr(worker, "resource", None)
    assert read_picture(io.BytesIO(file_of(flat("RGB", 9, 9), "TIFF"))).size == (9, 9)
    with pytest.raises(PictureError, match="GIF picture would take more than 570 MB of memory to decode"):
        read_picture(io.BytesIO(gif()))


def test_pictures_above_pillows_own_limit_are_refused_in_our_words(monkeypatch):
    monkeypatch.setattr(worker, "resource", None)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="would take more than 570 MB") as caught:
        read_picture(io.BytesIO(animation("GIF", 60, 50, disposal=2)))
    assert "bomb" not in str(caught.value)


def test_what_a_jpeg_takes_is_told_from_its_header():
    for options, bytes_a_pixel in (({}, 0), ({"progressive": True}, 3), ({"progressive": True, "subsampling": 0}, 6)):
        data = file_of(flat("RGB", 320, 160), "JPEG", **options)
        assert headers.beside_pixels(data, "JPEG") == bytes_a_pixel * 320 * 160
