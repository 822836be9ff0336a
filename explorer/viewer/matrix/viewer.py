"""AttentionViewer: hover over a patch and see where it looks, in every layer and head, with no request."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradio.components.base import server
from gradio_client.utils import encode_file_path
from PIL import Image

from explorer.device import on_host
from explorer.viewer.kit.component import Caption, Component
from explorer.viewer.kit.files import cached_file
from explorer.viewer.kit.pack import compress, pack
from explorer.viewer.matrix.source import Source
from explorer.viewer.matrix.store import ViewerStore
from vit_model.config import ViTConfig

STYLE = Path(__file__).with_name("viewer.css")
"""The look of a map, for components that draw such matrices in other ways."""

WHOLE_LAYER_TOKENS = 577
"""Sequences up to this length (a 24 x 24 grid and a class token) go to the browser in whole layers; longer ones by one
token's rows at a time."""


class AttentionViewer(Component):
    """A canvas viewer of a stack of token-by-token matrices; its value is what `viewer_value` returns, or None.

    In the browser it listens to `vit:select` on `document` ({viewer: elem_id, layer, panel, query, direction}; all but
    the first optional) and sends `vit:state` with the same fields whenever its own selection changes.

    - `store`: where the tokens of its values live

    A subclass may draw the same numbers in another way: it names its own files.
    """

    html, css, script, words = "viewer.html", ("viewer.css",), "viewer.js", "viewer.words.json"

    def __init__(
        self,
        value: dict[str, Any] | None = None,
        *,
        store: ViewerStore,
        elem_id: str,
        **kwargs: Any,
    ):
        self._store = store
        super().__init__(value, elem_id=elem_id, viewer=elem_id, **kwargs)

    @server
    def layer(self, request: Any) -> dict[str, Any]:
        """Answer {"token", "layer"} with {"file": address below the app's root}, {"expired": True} or {"error":
        text}."""
        try:
            source, layer = self._asked(request, {"token", "layer"})
        except LookupError:
            return {"expired": True}
        except ValueError as error:
            return {"error": str(error)}
        if _tokens(source) > WHOLE_LAYER_TOKENS:
            return {"error": f"{_tokens(source)} tokens: ask for rows"}
        path = cached_file(_packed_layer(source, layer), "layer.bin")["path"]
        self.temp_files.add(path)  # so that `delete_cache` deletes it in its time
        return {"file": f"file={encode_file_path(path)}"}

    @server
    def rows(self, request: Any) -> dict[str, Any]:
        """Answer {"token", "layer", "query", "direction"} with {"rows": base64 of one packed row a panel}, or as
        `layer`."""
        try:
            source, layer = self._asked(request, {"token", "layer", "query", "direction"})
            query = _whole_number(request, "query", _tokens(source))
            direction = request["direction"]
            if direction not in ("to", "by"):
                raise ValueError("direction must be 'to' or 'by'")
        except LookupError:
            return {"expired": True}
        except ValueError as error:
            return {"error": str(error)}
        rows = on_host(source.rows(layer, query, direction))[:, None]
        return {"rows": base64.b64encode(compress(pack(rows, source.signed))).decode()}

    def _asked(self, request: Any, fields: set[str]) -> tuple[Source, int]:
        """Validate a request, which may come from anyone; return its source and layer. ValueError for an invalid
        request, LookupError for a token that is unknown or expired."""
        if not isinstance(request, dict) or set(request) != fields:
            raise ValueError(f"expected an object with {', '.join(sorted(fields))}")
        token = request["token"]
        if not isinstance(token, str) or len(token) > 64:
            raise ValueError("token must be a short string")
        source = self._store.get(token)
        if source is None:
            raise LookupError(token)
        return source, _whole_number(request, "layer", source.layers)


def viewer_value(
    source: Source,
    store: ViewerStore,
    *,
    again: Callable[[], Source] | None = None,
    picture: Image.Image | None = None,
    shown_layer: int | None = None,
    shown_panel: int | str = 0,
    query: int = 0,
    panel_names: Sequence[Caption] | None = None,
    prefix_names: Sequence[str] | None = None,
    layer_label: Caption = "",
    panel_label: Caption = "",
    mean: bool = True,
    direction: bool = True,
    percent: bool = True,
    title: Caption = "",
    caption: Caption = "",
) -> dict[str, Any]:
    """Return the value of a viewer: the shown layer packed into a file of the app's cache, the picture, and names.

    - `again`: makes `source` again, see `ViewerStore`
    - `picture`: what the model sees, already cropped to its pixels; None where there is no picture
    - `shown_layer`: default the last; `shown_panel`: an index or "mean"; `query`: a token. A viewer that a person has
      already used keeps their choices where they are still valid.
    - `panel_names`: default head 0, 1, ...; `prefix_names`: default CLS, REG1, ... (see `token_names`)
    - `layer_label`, `panel_label`: what a layer and a panel are called, default "Layer" and "Head"
    - `mean`: offer the mean of the unsigned panels; `direction`: offer "attended by" beside "attends to"
    - `percent`: read values as percentages (attention), else as plain numbers (similarity)
    - `title`, `caption`: above the viewer, and under a saved picture (say the model there)
    """
    panels = len(source.signed)
    prefix_names = list(prefix_names) if prefix_names is not None else _default_names(source.prefix)
    for name, names, count in (("panel_names", panel_names, panels), ("prefix_names", prefix_names, source.prefix)):
        if names is not None and len(names) != count:
            raise ValueError(f"{name} has {len(names)} entries, the source has {count}")
    shown_layer = source.layers - 1 if shown_layer is None else shown_layer
    if not 0 <= shown_layer < source.layers:
        raise ValueError(f"shown_layer {shown_layer} is out of range: the source has layers 0 to {source.layers - 1}")
    whole = _tokens(source) <= WHOLE_LAYER_TOKENS
    return {
        "token": store.put(source, again),
        "layers": source.layers,
        "grid": list(source.grid),
        "prefix": prefix_names,
        "signed": list(source.signed),
        "panels": list(panel_names) if panel_names is not None else None,
        "layer_label": layer_label,
        "panel_label": panel_label,
        "mean": mean and sum(not signed for signed in source.signed) > 1,
        "direction": direction,
        "percent": percent,
        "title": title,
        "caption": caption,
        "shown": {"layer": shown_layer, "panel": shown_panel, "query": query},
        "data": cached_file(_packed_layer(source, shown_layer), "layer.bin") if whole else None,
        "picture": cached_file(*encoded_picture(picture)) if picture is not None else None,
    }


def token_names(config: ViTConfig) -> list[str]:
    """Return short names of a model's special tokens, in their order."""
    names = ["CLS"] * config.class_token + ["DIST"] * config.distillation_token
    return names + [f"REG{index + 1}" for index in range(config.registers)]


def _default_names(prefix: int) -> list[str]:
    return ["CLS", *(f"REG{index}" for index in range(1, prefix))][:prefix]


def _tokens(source: Source) -> int:
    return source.prefix + source.grid[0] * source.grid[1]


def _packed_layer(source: Source, layer: int) -> bytes:
    return compress(pack(on_host(source.matrices(layer)), source.signed))


def encoded_picture(picture: Image.Image) -> tuple[bytes, str]:
    """Encode small pictures without loss, others as a JPEG of high quality; both within a few milliseconds."""
    small, file = picture.width * picture.height <= 128 * 128, io.BytesIO()
    if small:
        picture.convert("RGB").save(file, "PNG", compress_level=1)
    else:
        picture.convert("RGB").save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue(), "picture.png" if small else "picture.jpg"


def _whole_number(request: dict, field: str, limit: int) -> int:
    value = request[field]
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(f"{field} must be a whole number from 0 to {limit - 1}")
    return value
