"""push: a checkpoint and its model card into a repository of the Hugging Face Hub.

The token is handed from call to call, and is nowhere kept, printed or part of an error. huggingface_hub reads
HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub import errors as hub_errors
from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from training.publish.export import export
from training.runs.record import printable
from training.runs.runs import Run
from vit_model.errors import CodedError
from vit_model.messages import Message, message, rewrite

_TOKEN = re.compile(r"[!-~]{4,4096}", re.ASCII)


class PushError(CodedError):
    """A failed upload to the Hub; the message says why, and what to do. Never holds the token."""


def push(
    run: Run,
    checkpoint: str | int | None,
    repo_id: str,
    token: str,
    *,
    private: bool = True,
    overwrite: bool = False,
) -> str:
    """Upload an exported checkpoint to a new model repository "owner/name"; returns its address.

    `overwrite`: the repository may be there already, if this token may write to it: files of the same names are
    replaced, the others and its visibility stay. PushError from the Hub, RunError from the run.
    """
    token = checked_token(token)
    with TemporaryDirectory() as above:
        folder = export(run, checkpoint, Path(above) / "model", repo_id=checked_id(repo_id))
        claim(repo_id, token, private=private, overwrite=overwrite)
        disable_progress_bars()
        ask(
            _api(token).upload_folder,
            token,
            repo_id,
            message(
                "push_unfinished",
                ". {name} is there, without this checkpoint: push again, and allow to overwrite it",
                name=repo_id,
            ),
            repo_id=repo_id,
            folder_path=folder,
            commit_message=f"Checkpoint of {run.id}",
        )
    return f"{constants.ENDPOINT}/{repo_id}"


def claim(repo_id: str, token: str, *, private: bool = True, overwrite: bool = False) -> None:
    """Create the repository that is going to be written to. PushError if it exists, unless `overwrite` and the Hub lets
    this token write there."""
    token, api = checked_token(token), _api(checked_token(token))
    ask(api.create_repo, token, checked_id(repo_id), repo_id=repo_id, private=private, exist_ok=overwrite)
    if overwrite:
        ask(api.auth_check, token, repo_id, repo_id=repo_id, write=True)


def checked_id(repo_id: str) -> str:
    """Return the id; PushError unless it is "owner/name" as the Hub allows it."""
    try:
        if not isinstance(repo_id, str) or repo_id.count("/") != 1:
            raise hub_errors.HFValidationError
        validate_repo_id(repo_id)
    except hub_errors.HFValidationError:
        text = "expected a repository as owner/name, of letters, digits and - _ . alone; got {name}"
        raise PushError(message("repository_name", text, name=repr(str(repo_id)[:100]))) from None
    return repo_id


def checked_token(token: str | None) -> str:
    """Return the token without blanks around it. PushError for none: huggingface_hub would take one of this machine."""
    token = token.strip() if isinstance(token, str) else ""
    if not token:
        text = "this needs a token: log in, run `hf auth login`, or set HF_TOKEN to one that may write"
        raise PushError(message("no_token", text))
    if not _TOKEN.fullmatch(token):
        raise PushError(message("token_odd", "the token holds blanks or characters that no token has; copy it again"))
    return token


def ask(call: Callable[..., Any], token: str, what: str, afterwards: str = "", **choices: Any) -> Any:
    """Call a function of huggingface_hub with the token. Errors of the Hub and the network become a PushError about
    `what`; the errors themselves carry the request, with the token in its headers, and are let go of."""
    try:
        return call(token=token, **choices)
    except (HTTPError, OSError, RuntimeError, ValueError, KeyError) as error:
        reason = _masked(_reason(what, error), token)
    if not afterwards:
        raise PushError(reason)  # out here, as inside it would hold on to the error
    raise PushError(message("push_failed", "{reason}{afterwards}", reason=reason, afterwards=afterwards))


def _masked(reason: Message, token: str) -> Message:
    return rewrite(reason, lambda text: text.replace(token, "***"))


def _reason(what: str, error: Exception) -> Message:
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):  # "error while uploading" hides it
        error = error.__cause__
    host, status = constants.ENDPOINT, getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, hub_errors.OfflineModeIsEnabled):
        return message("push_offline", "HF_HUB_OFFLINE is set, so nothing is sent; unset it")
    if status == 401:
        text = "{hub} does not know this token; it may have expired. Make one that may write in your settings there"
        return message("push_token", text, hub=host)
    if status == 402:
        text = "{hub} asks for payment: this needs credit, or another plan, on the account"
        return message("push_payment", text, hub=host)
    if status == 403:
        text = "this token may not write to {what}; use a name of your own, or a token with write access there"
        return message("push_forbidden", text, what=what)
    if status == 404:
        return message("push_missing", "{hub} has no {what} that this token may see", hub=host, what=what)
    if status == 409:
        text = "{what} exists already; choose another name, or allow to overwrite it"
        return message("push_taken", text, what=what)
    if status == 429:
        return message("push_busy", "{hub} wants fewer requests; try again in a while", hub=host)
    reply = printable(" ".join(str(getattr(error, "server_message", None) or error).split()))[:200]
    if status is not None:
        text = "{hub} refused {what} with status {status} ({reply})"
        return message("push_refused", text, hub=host, what=what, status=status, reply=reply)
    if not isinstance(error, (HTTPError, OSError)):
        text = "{what} could not be sent to {hub} ({error}: {reply})"
        return message("push_unsent", text, what=what, hub=host, error=type(error).__name__, reply=reply)
    text = "{hub} cannot be reached ({reason}); check the network, HF_ENDPOINT and proxies"
    return message("push_unreached", text, hub=host, reason=type(error).__name__)


def _api(token: str) -> HfApi:
    return HfApi(endpoint=constants.ENDPOINT, token=checked_token(token), library_name="vit-explorer")
