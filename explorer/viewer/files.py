"""cached_file: bytes for the browser, as a file of the app's cache."""

from __future__ import annotations

from typing import Any

from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder


def cached_file(data: bytes, name: str) -> dict[str, Any]:
    """What to put anywhere in a component's value; Gradio adds the `url` that the browser fetches.

    The address holds a hash of the content: unguessable, but not bound to a visitor. It expires with the app's cache.
    """
    return FileData(path=save_bytes_to_cache(data, name, get_upload_folder())).model_dump()
