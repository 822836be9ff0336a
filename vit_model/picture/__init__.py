"""Pictures from outside: hostile bytes in; a clean RGB picture, or an error that says what came, out.

`reading` is the access. `headers` says from a file's structure whether its decoder is bounded by what the header tells;
`decoding` decodes within MEMORY bytes; `worker` does the same in a process with a memory limit, for the decoders that
no header bounds; `room` lets only few of them run at a time; `colours` makes RGB of any mode. Nothing here imports
torch: the worker starts without it.
"""

from vit_model.picture.colours import as_rgb, picture_hash
from vit_model.picture.limits import FORMATS, MAX_BYTES, MAX_PIXELS, MEMORY, REFUSED_PIXELS, PictureError
from vit_model.picture.reading import KINDS, read_picture, unknown_kind

__all__ = [
    "FORMATS",
    "KINDS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MEMORY",
    "REFUSED_PIXELS",
    "PictureError",
    "as_rgb",
    "picture_hash",
    "read_picture",
    "unknown_kind",
]
