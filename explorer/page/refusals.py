"""Page: a `gr.Blocks` whose every refusal has words, and HANDLERS, which do the same for requests that do not reach it.

Gradio (6.31.0) answers errors that are no `gr.Error` with `{"error": null}`, tells with `show_error` whatever they say,
host paths and values of any length included, and sends a traceback's status without words for calls that fit no
function. So every error becomes a `gr.Error` here, in words, without folders of the host and of bounded length.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio.exceptions import Error
from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from explorer.page.lighter_gradio import LightPage
from explorer.ui.errors import plain_error
from explorer.ui.visitors.host_paths import without_folders
from explorer.ui.visitors.local_request import is_local
from explorer.ui.words import say
from explorer.viewer.kit.component import Component

MOST = 2000  # characters of a refusal
MOST_OF_GRADIO = 300  # of one that Gradio worded, as it repeats what was sent
CLIENT_CLOSED = 499  # nginx's status; nobody reads it
_LOG = logging.getLogger("vit_explorer")


class Page(LightPage):
    """`local_paths`: whether visitors may name files of this computer, and so may read their names."""

    def __init__(self, *, local_paths: bool = False, **choices: Any):
        self.local_paths = local_paths
        super().__init__(**choices)

    async def process_api(self, block_fn: Any, inputs: list, *args: Any, request: Any = None, **choices: Any) -> dict:
        asked = request[0] if isinstance(request, list) and request else request
        try:
            return await super().process_api(block_fn, inputs, *args, request=request, **choices)
        except _MisfitError as error:
            raise self._refusal(say(asked, error.key, **error.details), asked) from error
        except Error as error:
            error.message = self._for(asked, str(error.message or say(asked, "our_fault")))
            raise
        except Exception as error:
            if str(getattr(block_fn.fn, "__module__", "")).startswith("gradio."):  # its examples: a number of none
                misfit = _MisfitError(block_fn, inputs)
                raise self._refusal(say(asked, misfit.key, **misfit.details), asked) from error
            refusal = self._refusal(say(asked, "our_fault"), asked)
            refusal.print_exception = True  # Gradio writes the traceback into the server's log
            raise refusal from error

    async def preprocess_data(self, block_fn: Any, inputs: list, *args: Any, **choices: Any) -> list:
        """Preprocess the values sent; values that do not fit are the sender's fault, in words."""
        try:
            values = await super().preprocess_data(block_fn, inputs, *args, **choices)
        except Error as error:
            error.message = shortened(str(error.message), MOST_OF_GRADIO)
            error.print_exception = False
            raise
        except Exception as error:
            raise _MisfitError(block_fn, inputs) from error
        # Public endpoints say by themselves what each of their values has to be
        if block_fn.api_visibility != "public" and not all(map(_of_its_kind, block_fn.inputs, values)):
            raise _MisfitError(block_fn, inputs)
        return values

    def _refusal(self, message: str, request: gr.Request | None) -> Error:
        return plain_error(message, say(request, "toast_error"), as_html=False)

    def _for(self, request: gr.Request | None, message: str) -> str:
        if not (self.local_paths and is_local(request)):
            message = without_folders(message)
        return shortened(message)


def _of_its_kind(block: Any, value: Any) -> bool:
    """Return whether a value is of the type that the component gives in a browser. Gradio hands on whatever comes,
    where a list takes other values than its own and where the value is a script's."""
    if value is None:
        return True
    if isinstance(block, Component):
        return isinstance(value, dict)
    if isinstance(block, gr.Dropdown):
        kinds = (str, *{type(value) for _, value in block.choices})
        several = value if isinstance(value, list) and block.multiselect else [value]
        return all(isinstance(one, kinds) and not isinstance(one, bool) for one in several)
    return True


class _MisfitError(Exception):
    """The values sent do not fit the function's inputs."""

    def __init__(self, block_fn: Any, inputs: Any):
        super().__init__()
        self.key = "misfit" if block_fn.api_visibility == "public" else "misfit_page"
        names = ", ".join(str(getattr(block, "label", None)) for block in block_fn.inputs)
        self.details = {"count": len(block_fn.inputs), "names": shortened(names, 200), "got": len(inputs)}


def shortened(text: str, most: int = MOST) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _answer(request: Request, status: int, key: str, **values: object) -> JSONResponse:
    """Answer in words, under `detail`, where FastAPI's clients look, and `error`, where Gradio's do."""
    said = say(gr.Request(request), key, **values)
    return JSONResponse({"detail": said, "error": said}, status)


async def _unreadable(request: Request, error: RequestValidationError) -> Response:
    """Refuse a body of another form. FastAPI would send it back whole."""
    wrong = [".".join(map(str, one.get("loc", ()))) + ": " + str(one.get("msg", "")) for one in error.errors()[:3]]
    return _answer(request, 422, "unreadable", reason=shortened("; ".join(wrong), 200))


async def _refused(request: Request, error: HTTPException) -> Response:
    """Shorten Gradio's and Starlette's own refusals, which may repeat an address of any length."""
    detail = error.detail if isinstance(error.detail, list | dict) else shortened(str(error.detail or error), 300)
    detail = without_folders(detail) if isinstance(detail, str) else detail
    return JSONResponse({"detail": detail, "error": detail}, error.status_code, headers=error.headers)


async def _unknown(request: Request, error: Exception) -> Response:
    return _answer(request, 404, "no_endpoint")


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    """Log a request whose sender left before it was complete."""
    _LOG.warning("%s %s: the sender left before it was complete", request.method, request.url.path)
    return Response(status_code=CLIENT_CLOSED)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer an error raised outside of `Page.process_api`: by Gradio itself, for a call that fits no function or
    component, or by us."""
    if _last_module(error).startswith("gradio"):
        _LOG.warning("%s %s fits nothing here: %s", request.method, request.url.path[:200], type(error).__name__)
        return _answer(request, 400, "no_endpoint")
    _LOG.error("%s %s", request.method, request.url.path[:200], exc_info=error)
    return _answer(request, 500, "our_fault")


def _last_module(error: Exception) -> str:
    """Return the module whose line raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "") if frames else ""


HANDLERS = {
    RequestValidationError: _unreadable,
    HTTPException: _refused,
    FnIndexInferError: _unknown,
    ClientDisconnect: _gone,
    LookupError: _unexpected,
    TypeError: _unexpected,
    ValueError: _unexpected,
    Exception: _unexpected,  # for any other; Starlette logs its traceback once more
}
"""Exception handlers, for `launch(app_kwargs={"exception_handlers": HANDLERS})`."""
