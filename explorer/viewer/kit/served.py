"""Scripts and other texts of the page, by addresses that name their content, so that a browser fetches each once.

Every script of `explorer` lies under one hash of all of them, below its own path, so that the imports between them hold
as they stand. All are read when the first address is made, which is while the page is built: nothing is opened at a
request, and what has no address here cannot be asked for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = "vit-explorer"
_HOME = Path(__file__).resolve().parents[2]
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_TEXTS: dict[str, bytes] = {}

_IMPORT = re.compile(r"""^(?:import|export)\b[^"';]*?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


def script_address(script: Path) -> str:
    """The address of a script of `explorer` below the app's root; ValueError for any other file."""
    scripts, version = _scripts()
    here = script.resolve()  # a checkout may be reached by way of a link
    name = here.relative_to(_HOME).as_posix() if here.is_relative_to(_HOME) else ""
    if name not in scripts:
        raise ValueError(f"{script.name} is no script of the explorer: a .js file in one of its folders")
    return f"{FOLDER}/{version}/{name}"


def text_address(name: str, text: str) -> str:
    """The address below the app's root of a module that Python writes. Another text has another address."""
    data = text.encode()
    address = f"{FOLDER}/{hashlib.sha256(data).hexdigest()[:16]}/{name}.js"
    _TEXTS[address] = data
    return address


def imported_scripts(script: Path) -> list[Path]:
    """A script and all that it imports, also by way of others, each once."""
    found, waiting = [], [script.resolve()]
    while waiting:
        here = waiting.pop(0)
        if here not in found:
            found.append(here)
            text = _scripts()[0][here.relative_to(_HOME).as_posix()]
            waiting += [(here.parent / name).resolve() for name in _IMPORT.findall(text.decode())]
    return found


PRELOAD = """<script>
((addresses) => new PerformanceObserver((_, observer) => { // else the first paint would wait for them
  observer.disconnect();
  for (const href of addresses) {
    document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
  }
}).observe({ type: "paint", buffered: true }))(%s);
</script>
"""


def preload_html(first: Iterable[str], then: Iterable[str]) -> str:
    """HTML that has the browser fetch modules and all that they import before it meets them: the `first` at once, and
    `then` others as soon as it has painted something."""
    at_once = _with_imports(first)
    links = "".join(f'<link rel="modulepreload" href="{escape(address)}">' for address in at_once)
    found = [address for address in _with_imports(then) if address not in at_once]
    return links + PRELOAD % json.dumps(found).replace("<", "\\u003c")


def _with_imports(addresses: Iterable[str]) -> list[str]:
    _, version = _scripts()
    found: dict[str, None] = {}
    for address in addresses:
        script = _HOME / address.removeprefix(f"{FOLDER}/{version}/")
        imported = imported_scripts(script) if script.is_file() else []
        found |= dict.fromkeys([address, *map(script_address, imported)])
    return list(found)


@cache
def _scripts() -> tuple[dict[str, bytes], str]:
    """Path below `explorer` -> text of each script, and the hash of all of them. They can be fetched from now on."""
    files = sorted(_HOME.rglob("*.js"))
    scripts = {file.relative_to(_HOME).as_posix(): file.read_bytes() for file in files}
    everything = hashlib.sha256()
    for name, text in scripts.items():
        everything.update(f"{name}\0{len(text)}\0".encode() + text)
    version = everything.hexdigest()[:16]
    _TEXTS.update({f"{FOLDER}/{version}/{name}": text for name, text in scripts.items()})
    return scripts, version


async def _answer(request: Request) -> Response:
    data = _TEXTS.get(f"{FOLDER}/{request.path_params['address']}")
    if data is None:
        return Response("there is no such script; reload the page", 404)
    return Response(data, media_type="text/javascript", headers=_HEADERS)


ROUTES = [Route(f"/{FOLDER}/{{address:path}}", _answer)]
"""What every app that shows a component needs: `launch(app_kwargs={"routes": ROUTES})`."""
