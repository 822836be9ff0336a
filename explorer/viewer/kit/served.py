"""served: texts that the browser fetches once, by addresses that name their content: scripts of components.

Nothing is read at a request, and no folder is opened: what was not handed to `served` cannot be asked for.
"""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = "vit-explorer"
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_TEXTS: dict[str, bytes] = {}


def served(name: str, text: str) -> str:
    """Serve the text of `name`.js, and return its address below the app's root. Another text has another address."""
    data = text.encode()
    file = f"{name}-{hashlib.sha256(data).hexdigest()[:16]}.js"
    _TEXTS[file] = data
    return f"{FOLDER}/{file}"


async def _answer(request: Request) -> Response:
    data = _TEXTS.get(request.path_params["file"])
    if data is None:
        return Response("there is no such script; reload the page", 404)
    return Response(data, media_type="text/javascript", headers=_HEADERS)


ROUTES = [Route(f"/{FOLDER}/{{file}}", _answer)]
"""What every app that shows a component needs: `launch(app_kwargs={"routes": ROUTES})`."""
