"""without_folders: hides this host's folders in a text, such as an error or a log, that visitors read."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from vit_model.messages import rewrite

_OURS = Path(__file__).resolve().parents[3]
_SETTINGS = ("VIT_EXPLORER_CACHE", "VIT_EXPLORER_RUNS", "GRADIO_TEMP_DIR", "HF_HOME")
# A path from the root, not the end of an address or of a fraction; its last part is a group. A folder's name cannot
# hold what ends it, nor the slash, so that there is one way to read each and time is linear
_PART = r"""[^\s/\\'"`,;:()<>|]"""
_PATH = re.compile(rf"""(?<![^\s'"`(=\[,：（，；。“])(?:/|[A-Za-z]:[/\\])(?:{_PART}+[/\\])+({_PART}*)""")


def without_folders(text: str) -> str:
    """`text` with paths of this host shortened: below a folder that we know to what lies below, any other to its last
    part. Addresses of the web stay. Of a message its details too."""
    folders = _known()

    def shortened(text: str) -> str:
        for folder in folders:
            text = text.replace(folder, "")
        return _PATH.sub(lambda found: found[1] or "...", text)

    return rewrite(text, shortened)


def _known() -> list[str]:
    """Return known folders, whose names may hold spaces, each with its separator, the longest first."""
    folders = {_OURS, Path.cwd(), Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(sys.base_prefix)}
    folders |= {Path(value).expanduser() for name in _SETTINGS if (value := os.environ.get(name))}
    names = {str(one) for folder in folders if folder.name for one in (folder, folder.resolve())}
    return sorted((name + os.sep for name in names), key=len, reverse=True)
