"""decode_apart: a picture decoded by a process that may take little memory and time, for the decoders (WebP, GIF, AVIF,
TIFF, and those that are written in Python) of which no header says what they take.

The process is this file, run by its path: it loads Pillow and NumPy, and never torch. One is kept for the next picture,
unless an error left it larger than before. Both limits are the system's (`resource`, and SIGALRM for the time on the
clock); where they are missing, as on Windows, decoding stays in the caller's process, bounded by what the header says.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import types
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

if __name__ == "__main__":  # vit_model/__init__.py would import torch, which takes seconds and 300 MB
    package = types.ModuleType("vit_model")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["vit_model"] = package

from PIL import Image

from vit_model.messages import add_codes, message_of, read_message
from vit_model.picture.decoding import decode
from vit_model.picture.limits import MEMORY, SECONDS, PictureError, damaged, too_much_memory, too_slow
from vit_model.picture.room import ROOM

try:
    import resource
except ImportError:  # Windows; typed as if it were there, since `decode_apart` asks first
    resource = cast(Any, None)

ASKED, TOLD = struct.Struct(">QQ8s"), struct.Struct(">Q")
PIECE, SLACK = 2**22, 2**26
_idle: list[subprocess.Popen] = []  # list.pop and list.append are atomic


def decode_apart(data: bytes, format_: str, max_pixels: int) -> Image.Image:
    """As `decoding.decode`, within MEMORY bytes and SECONDS of a processor."""
    if resource is None or not sys.executable:
        return decode(data, format_, max_pixels, taken=ROOM.taken)
    with ROOM.taken(MEMORY):
        try:
            process = _idle.pop()
        except IndexError:
            process = _started()
        stays = False
        try:
            told = _asked(process, data, format_, max_pixels)
            picture = _received(_pipes(process)[1], told["size"]) if "size" in told else None
            stays = told["stays"]
        except (BrokenPipeError, EOFError) as error:
            raise _ended(process.wait(), format_) from error
        finally:
            if stays:
                _idle.append(process)
            else:
                _end(process)
        if picture is None:
            raise PictureError(read_message(told, "refused"))
        return picture


def _started() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for the caller
    )


def _asked(process: subprocess.Popen, data: bytes, format_: str, max_pixels: int) -> dict:
    to, back = _pipes(process)
    to.write(ASKED.pack(len(data), max_pixels, format_.encode()))
    to.write(data)
    to.flush()
    return json.loads(_exactly(back, TOLD.unpack(_exactly(back, TOLD.size))[0]))


def _pipes(process: subprocess.Popen) -> tuple[IO[bytes], IO[bytes]]:
    """Its standard input and output, which `_started` made."""
    assert process.stdin is not None and process.stdout is not None
    return process.stdin, process.stdout


def _ended(code: int, format_: str) -> PictureError:
    """Why the process ended in the middle of a picture."""
    if code in (-signal.SIGXCPU, -signal.SIGALRM):
        return too_slow(format_)
    if code in (-signal.SIGKILL, -signal.SIGABRT):
        return too_much_memory(format_)
    return damaged(format_, f"its decoder ended with code {code}")


def _received(stream: IO[bytes], size: tuple[int, int]) -> Image.Image:
    """The RGB rows, put in their place as they come."""
    picture = Image.new("RGB", size)
    for top, rows in _bands(size):
        piece = Image.frombuffer("RGB", (size[0], rows), _exactly(stream, 3 * size[0] * rows), "raw", "RGB", 0, 1)
        picture.paste(piece, (0, top))
    return picture


def _bands(size: tuple[int, int]) -> list[tuple[int, int]]:
    """(first row, rows) of pieces of about PIECE bytes."""
    rows = max(PIECE // (3 * size[0]), 1)
    return [(top, min(rows, size[1] - top)) for top in range(0, size[1], rows)]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    for stream in _pipes(process):
        with contextlib.suppress(OSError):
            stream.close()


@atexit.register
def _end_all() -> None:
    while _idle:
        _end(_idle.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a copy of this process must not speak into the same pipe


# The other side


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Answers until the caller closes the pipe, or ends."""
    from PIL import AvifImagePlugin

    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # ours are checked
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # frames for each thread would take memory of their own
    before = _address_space()
    _limit_memory(before)
    while head := asked.read(ASKED.size):
        size, max_pixels, name = ASKED.unpack(head)
        _limit_time()
        try:
            picture = decode(_exactly(asked, size), name.rstrip(b"\0").decode(), max_pixels)
        except PictureError as error:
            stays = error.code != "picture_memory" and _address_space() <= before + SLACK
            _tell(told, add_codes({"refused": message_of(error), "stays": stays}))
        else:
            _tell(told, {"size": picture.size, "stays": True})
            for top, rows in _bands(picture.size):
                told.write(picture.crop((0, top, picture.width, top + rows)).tobytes())
            told.flush()
            del picture
        signal.alarm(0)


def _tell(told: BinaryIO, values: dict) -> None:
    content = json.dumps(values).encode()
    told.write(TOLD.pack(len(content)) + content)
    told.flush()


def _address_space() -> int:
    """Bytes; 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _limit_memory(before: int) -> None:
    """MEMORY on top of what this process has. Where the system does not say that, or knows no such limit (as macOS),
    `decode` bounds by the header alone."""
    with contextlib.suppress(OSError, ValueError):
        if before:
            most = before + MEMORY + SLACK
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS + 1, hard))
    signal.alarm(6 * SECONDS)


if __name__ == "__main__":
    spoken = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    serve(sys.stdin.buffer, spoken)
