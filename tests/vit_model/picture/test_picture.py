"""Reading pictures: what must simply work, and what is refused with a message."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from vit_model.picture import PictureError, as_rgb, picture_hash, read_picture


def drawn(width=23, height=17):
    """Smooth colours, so that lossy formats stay close."""
    down, across = np.mgrid[0:height, 0:width]
    channels = [255 * across / max(width - 1, 1), 255 * down / max(height - 1, 1), 90 + 0 * down]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def file_of(picture, format_, **options):
    file = io.BytesIO()
    picture.save(file, format_, **options)
    file.seek(0)
    return file


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, *extra, rows=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def difference(a, b):
    assert a.mode == b.mode == "RGB" and a.size == b.size
    return np.abs(np.asarray(a, int) - np.asarray(b, int)).max()


@pytest.mark.parametrize(
    ("format_", "tolerance"),
    [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("PPM", 0), ("WEBP", 24), ("JPEG", 24), ("AVIF", 24)],
)
def test_formats(tmp_path, format_, tolerance):
    path = tmp_path / "picture.bin"  # the name says nothing, the bytes do
    drawn().save(path, format_)
    read = read_picture(path)
    assert type(read) is Image.Image and read.info == {}
    assert difference(read, drawn()) <= tolerance
    assert difference(read_picture(io.BytesIO(path.read_bytes())), read) == 0


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGB", "RGBA", "RGBX", "LA", "PA", "La", "RGBa"]
)
def test_modes(mode):
    if mode in ("PA", "La"):
        picture = drawn().convert("P" if mode == "PA" else "LA").convert(mode)
    else:
        picture = drawn().convert("RGBA").convert(mode) if mode == "RGBa" else drawn().convert(mode)
    grey = mode in ("1", "L", "LA", "La")
    expected = (drawn().convert("1") if mode == "1" else drawn().convert("L") if grey else drawn()).convert("RGB")
    assert difference(as_rgb(picture), expected) <= (60 if mode in ("P", "PA") else 6)


def test_an_rgb_picture_is_returned_as_it_is():
    picture = drawn()
    assert as_rgb(picture) is picture


def test_lab():
    lab = Image.merge("LAB", [Image.new("L", (4, 3), value) for value in (138, 209, 198)])  # sRGB red
    assert difference(as_rgb(lab), Image.new("RGB", (4, 3), "red")) <= 6
    assert difference(read_picture(file_of(lab, "TIFF")), Image.new("RGB", (4, 3), "red")) <= 6


def test_alpha_is_blended_over_white():
    picture = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (255, 0, 0, 0))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    for format_ in ("PNG", "TIFF"):
        read = read_picture(file_of(picture, format_))
        assert [read.getpixel((x, 0)) for x in range(3)] == [(255, 0, 0), (255, 255, 255), (127, 127, 127)]
    assert read_picture(file_of(Image.new("LA", (1, 1), (0, 0)), "PNG")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_is_blended_over_white(mode):
    picture = Image.new(mode, (2, 1), 0)
    if mode == "P":
        picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.putpixel((1, 0), {"L": 7, "P": 1, "RGB": (200, 0, 0)}[mode])
    read = read_picture(file_of(picture, "PNG", transparency=0 if mode != "RGB" else (0, 0, 0)))
    assert read.getpixel((0, 0)) == (255, 255, 255)
    assert read.getpixel((1, 0)) == ((7, 7, 7) if mode == "L" else (200, 0, 0))


def test_palette_with_partial_transparency():
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((1, 0), 1)
    read = read_picture(file_of(picture, "PNG", transparency=bytes([128, 0])))
    assert [read.getpixel((x, 0)) for x in range(2)] == [(127, 127, 127), (255, 255, 255)]


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "PPM"])
def test_16_bit_greys_are_scaled_not_clipped(format_):
    values = np.array([[0, 257, 1000, 32896, 65535]], np.uint16)
    read = read_picture(file_of(Image.fromarray(values), format_))
    assert [read.getpixel((x, 0)) for x in range(5)] == [(g, g, g) for g in (0, 1, 4, 128, 255)]


def test_a_dark_16_bit_picture_stays_dark():
    assert as_rgb(Image.fromarray(np.full((2, 2), 255, np.uint16))).getpixel((0, 0)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0, 128, 255], [0, 128, 255]),
        ([0, 32896, 65535], [0, 128, 255]),
        ([0, 500_000, 1_000_000], [0, 128, 255]),
        ([-1000, 0, 1000], [0, 128, 255]),
        ([-(2**31), 0, 2**31 - 1], [0, 128, 255]),
    ],
)
def test_32_bit_integers(values, greys):
    picture = Image.fromarray(np.array([values], np.int32))
    for read in (as_rgb(picture), read_picture(file_of(picture, "TIFF"))):
        assert [read.getpixel((x, 0))[0] for x in range(3)] == greys


@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([np.nan, 2.0, 4.0, np.inf, -np.inf], [0, 0, 255, 0, 0]),
        ([np.nan, np.nan], [0, 0]),
        ([7.0, 7.0], [0, 0]),
    ],
)
def test_floats_are_scaled_from_their_finite_range(values, greys):
    picture = Image.fromarray(np.array([values], np.float32))
    for read in (as_rgb(picture), read_picture(file_of(picture, "TIFF"))):
        assert [read.getpixel((x, 0)) for x in range(len(values))] == [(g, g, g) for g in greys]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_exif_turn(orientation, format_):
    stored = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    picture = drawn()
    for turn in stored:  # how a camera held that way stores what should be seen upright
        picture = picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_ == "WEBP" else {}
    read = read_picture(file_of(picture, format_, exif=exif, **options))
    assert difference(read, drawn()) == 0
    assert difference(as_rgb(read), drawn()) == 0  # not turned twice


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow remarks on it
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"", b"\xff" * 40])
def test_broken_exif_turns_nothing(exif):
    assert difference(read_picture(file_of(drawn(), "PNG", exif=exif)), drawn()) == 0


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_gives_its_first_frame(format_):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("blue", "red", "lime")]
    options = {"lossless": True} if format_ == "WEBP" else {}
    read = read_picture(file_of(frames[0], format_, save_all=True, append_images=frames[1:], **options))
    assert difference(read, frames[0]) == 0


@pytest.mark.parametrize("size", [(1, 1), (5000, 1), (1, 5000), (20000, 2)])
def test_one_pixel_and_long_and_thin(size):
    assert difference(read_picture(file_of(drawn(*size), "PNG")), drawn(*size)) == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
@pytest.mark.parametrize("size", [(60, 50), (3000, 1), (1, 3000)])
def test_more_than_max_pixels_is_shrunk(mode, size):
    picture = Image.new("L", size, 255).convert("I").convert("I;16") if mode == "I;16" else Image.new("L", size, 255)
    picture = (
        picture if mode == "I;16" else picture.convert("RGB").convert("P") if mode == "P" else picture.convert(mode)
    )
    read = read_picture(file_of(picture, "TIFF"), max_pixels=1000)
    assert 300 <= read.width * read.height <= 1000
    assert read.mode == "RGB" and len(read.getcolors()) == 1


def test_shrinking_shows_the_whole_picture():
    for format_, options in (("PNG", {}), ("JPEG", {"quality": 95})):
        read = read_picture(file_of(drawn(640, 480), format_, **options), max_pixels=5000)
        assert read.width * read.height <= 5000
        assert difference(read, drawn(640, 480).resize(read.size, Image.Resampling.BOX)) <= 12


def test_shrunk_pictures_are_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    read = read_picture(file_of(drawn(400, 300), "JPEG", exif=exif), max_pixels=2000)
    assert read.width < read.height
    assert difference(read, drawn(400, 300).transpose(Image.Transpose.ROTATE_270).resize(read.size)) <= 24


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n...", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
        (b"\n <!DOCTYPE html><html></html>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "an SVG drawing"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (b"\x00\x00\x00\x24ftypheic\0\0\0\0mif1heic", "a HEIC photograph"),
        (b"\x00\x00\x00\x24ftypmif1\0\0\0\0mif1heic", "a HEIC photograph"),
        (b"\x00\x00\x00\x20ftypisom\0\0\0\0", "an MP4 video"),
        (b"just some text", "a text file"),
        (b"\x00", "a file of unknown kind"),
    ],
)
def test_not_a_picture(data, what):
    with pytest.raises(PictureError, match=f"this is {what}.*, not a picture that can be read; use PNG, JPEG"):
        read_picture(io.BytesIO(data))


@pytest.mark.parametrize("format_", ["EPS", "PCX", "ICNS", "PDF", "JPEG2000", "SGI", "TGA", "ICO"])
def test_other_decoders_of_pillow_never_run(format_):
    with pytest.raises(PictureError, match="not a picture that can be read"):
        read_picture(file_of(drawn(32, 32), format_))


def test_empty_and_missing_files(tmp_path):
    with pytest.raises(PictureError, match=r"this file is empty \(0 bytes\)"):
        read_picture(io.BytesIO())
    with pytest.raises(PictureError, match=r"none\.png cannot be read: No such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(PictureError, match="cannot be read"):
        read_picture(tmp_path)


def test_too_many_bytes():
    with pytest.raises(PictureError, match="more than 1,000 bytes, the most that is read; save it smaller"):
        read_picture(file_of(drawn(200, 200), "BMP"), max_bytes=1000)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_truncated(format_):
    data = file_of(drawn(120, 90), format_).getvalue()
    with pytest.raises(PictureError, match=f"this {format_} picture cannot be decoded .*cut short or damaged"):
        read_picture(io.BytesIO(data[: len(data) // 2]))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (2_000_000_000, 2_000_000_000), (1, 300_000_000)])
def test_too_many_pixels_are_refused_from_the_header(width, height):
    with pytest.raises(
        PictureError, match=rf"PNG picture has {width:,} x {height:,} = .* at most 200,000,000 are read"
    ):
        read_picture(png(width, height))


def test_pillows_own_limit_neither_warns_nor_stops(monkeypatch):
    """Pillow's limit is one for the whole process, and between once and twice of it a warning, an error here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    file = file_of(drawn(), "PNG")
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(file)
    file.seek(0)
    assert difference(read_picture(file), drawn()) == 0


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_decompression_bombs_in_metadata(name):
    bomb = zlib.compress(bytes(100_000_000), 1)
    data = {b"zTXt": b"a\0\0" + bomb, b"iTXt": b"a\0\1\0\0\0" + bomb, b"iCCP": b"a\0\0" + bomb}[name]
    rows = zlib.compress(b"\0" + bytes(3))
    try:
        assert read_picture(png(1, 1, chunk(name, data), rows=rows)).size == (1, 1)
    except PictureError as error:
        assert "cannot be decoded" in str(error)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow remarks on damaged metadata
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_damaged_files_give_a_picture_or_a_picture_error(format_):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format_ in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    whole = file_of(drawn(40, 30), format_, **options).getvalue()
    coin = random.Random(0)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(coin.randint(1, 8)):
            data[coin.randrange(min(len(data), 300))] = coin.randrange(256)
        try:
            assert read_picture(io.BytesIO(bytes(data)), max_pixels=100_000).mode == "RGB"
        except PictureError as error:
            assert "picture" in str(error)


def test_hash_knows_the_size_and_the_pixels():
    picture = drawn(6, 4)
    assert picture_hash(picture) == picture_hash(picture.copy())
    assert picture_hash(picture) == picture_hash(read_picture(file_of(picture, "PNG")))
    assert picture_hash(Image.new("RGB", (6, 4))) != picture_hash(Image.new("RGB", (4, 6)))
    changed = picture.copy()
    changed.putpixel((5, 3), (1, 2, 3))
    assert picture_hash(changed) != picture_hash(picture)
    assert picture_hash(Image.new("RGB", (2, 1))) == hashlib.sha256(b"2x1:" + bytes(6)).hexdigest()
