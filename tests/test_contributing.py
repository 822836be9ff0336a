"""CONTRIBUTING.md names files and folders that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATH = re.compile(r"`((?:[\w.]+/)+[\w.<>]*|[\w]+\.(?:py|md))`")


def paths() -> list[str]:
    """Paths from the top that stand between backticks; those of a file yet to be written, `<name>`, as their folder."""
    found = [path.split("<")[0] for path in PATH.findall(TEXT)]
    return [path for path in found if path.split("/")[0] in {one.name for one in ROOT.iterdir()}]


def test_every_path_is_there():
    assert len(paths()) > 40
    assert [path for path in paths() if not (ROOT / path).exists()] == []


def test_every_room_is_in_the_map():
    """Each folder of modules at the first two levels, and what lies in the third of tabs by `<name>`."""
    rooms = {path.parent.relative_to(ROOT).as_posix() for part in ("vit_model", "explorer", "training")
             for path in (ROOT / part).glob("*/__init__.py")}  # fmt: skip
    assert [room for room in sorted(rooms) if f"`{room}/" not in TEXT] == []
