"""ask: a dry run in a process of its own, which reports its progress and then its answer.

A trial step may need more memory than there is, and data may take minutes to arrive: neither may harm the page. The
process is ended with its children when the visitor leaves, or after `LIMIT_SECONDS`.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from explorer.session.turns import MOMENT, VISITOR, check_wanted
from training.runs.bounds import prefer_for_ending
from training.runs.processes import python_path, without_token
from vit_model.errors import CodedError
from vit_model.messages import Message, add_codes, message, message_of, read_message

Kind = Literal["data", "batch", "step"]
LIMIT_SECONDS = 900
THUMBNAIL = 128
MEMORY_SIGNALS = (-9, 137)


class ProbeError(CodedError):
    """The process gave no answer; `long`: it was ended for taking too long."""

    def __init__(self, reason: str, long: bool = False):
        super().__init__(reason)
        self.long = long


@dataclass(frozen=True)
class Progress:
    done: int
    total: int
    text: str


def ask(
    kind: Kind, config: dict[str, Any], limit: float = LIMIT_SECONDS, guest: bool = False
) -> Iterator[Progress | dict[str, Any]]:
    """Yields `Progress` as it comes, and last what `answer` returned. ValueError with the reason where the run would
    fail with it, ProbeError where the process died. Closing the iterator ends the process, and so does
    its visitor by leaving, with StoppedError. `guest`: whoever asks may
    not use this computer's Hub token."""
    environment = os.environ | {
        "PYTHONPATH": python_path(),
        "PYTHONUTF8": "1",
        **(without_token() if guest else {}),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "explorer.tabs.train.new.preflight.dry_run", kind, *(["guest"] if guest else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    back = process.stderr
    late, ended, visitor = threading.Event(), threading.Event(), VISITOR.get()

    def watch() -> None:
        end = time.monotonic() + limit
        while not ended.wait(MOMENT):
            if time.monotonic() > end:
                late.set()
            if late.is_set() or visitor.gone():
                _end(process)
                return

    threading.Thread(target=watch, daemon=True).start()
    said: list[bytes] = []
    listener = threading.Thread(target=lambda: said.append(back.read()[-4000:]), daemon=True)
    listener.start()  # or a chatty process would wait for its pipe
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(config).encode())
            process.stdin.close()
        for line in process.stdout:
            told = json.loads(line)
            if "progress" in told:
                yield Progress(*told["progress"], read_message(told, "text"))
            elif "refused" in told:
                raise CodedError(read_message(told, "refused"))
            else:
                yield told["answer"]
                return
        process.wait()
        listener.join(5)
        check_wanted()
        if late.is_set():
            raise ProbeError(message("probe_late", "ended after {seconds} s", seconds=f"{limit:.0f}"), long=True)
        if process.returncode in MEMORY_SIGNALS:
            text = "it was killed, most likely for want of memory; try a smaller batch or resolution"
            raise ProbeError(message("probe_killed", text))
        lines = b"".join(said).decode(errors="replace").strip().splitlines()
        code = message("probe_exit", "exit code {number}", number=process.returncode)
        raise ProbeError(Message(lines[-1][:500]) if lines else code)
    finally:
        ended.set()
        _end(process)
        process.wait()
        listener.join(5)
        process.stdout.close()
        back.close()


def answer(
    kind: Kind, config: dict[str, Any], progress: Callable[[int, int, str], None], guest: bool = False
) -> dict[str, Any]:
    """Answer for the run of `config`: the data report, one augmented batch, or the cost of a few dry steps."""
    from training.config import RunConfig

    run = RunConfig.from_dict(config)
    if kind == "data":
        return _data(run, progress, guest)
    from training.loop.preflight import augmented_batch, preflight

    if kind == "step":
        return preflight(run, progress=progress, guest=guest).to_dict()
    from PIL import Image

    pictures, names, patch = augmented_batch(run, guest=guest)
    return {"pictures": [_png(Image.fromarray(p)) for p in pictures], "names": names, "patch": list(patch)}


def _data(run: Any, progress: Callable[[int, int, str], None], guest: bool) -> dict[str, Any]:
    """Return the data report, and thumbnails of the training part's samples with their classes."""
    import numpy as np

    from training.data.datasets import hold_out, open_dataset
    from training.data.report import report
    from vit_model.picture import PictureError

    pictures = open_dataset(run.data, progress=progress, guest=guest)
    train = pictures.splits["train"]
    parts = {name: (name, np.arange(len(split))) for name, split in pictures.splits.items()}
    if "val" not in parts and run.held_out:
        kept, held = hold_out(train.labels, run.held_out, run.seed)
        parts |= {"train": ("train", kept), "val": ("train", held)}
    made = report(pictures, parts, resolution=run.resolution, progress=progress)
    samples = []
    for index in made["parts"]["train"]["samples"]:
        try:
            picture = train.read(index)
        except PictureError:  # it has been taken away since
            continue
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        samples.append({"picture": _png(picture), "name": pictures.classes[train.labels[index]]})
    return made | {"samples": samples}


def _png(picture: Any) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def _end(process: subprocess.Popen) -> None:
    """End the process and its children."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # Windows has no groups
        process.kill()


def main() -> None:
    if "guest" in sys.argv[2:]:
        prefer_for_ending()
    spoken, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer

    def tell(**what: Any) -> None:
        spoken.write(json.dumps(add_codes(what), allow_nan=False) + "\n")
        spoken.flush()

    def progress(done: int, total: int, text: str) -> None:
        tell(progress=[done, total], text=text)

    try:
        kind, guest = sys.argv[1], "guest" in sys.argv[2:]
        found = answer(kind, json.loads(sys.stdin.read()), progress, guest)
    except (ValueError, OSError) as error:
        tell(refused=message_of(error))
    else:
        tell(answer=found)


if __name__ == "__main__":
    main()
