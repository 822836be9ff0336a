"""Access to runs: on loopback for everybody; elsewhere for whoever is logged in, or holds a secret."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass

import gradio as gr

from explorer.device import on_space
from explorer.ui.visitors.hub_token import login_info
from explorer.ui.visitors.local_request import is_local
from explorer.ui.words import say
from training.runs.runs import Run, RunError, Runs
from vit_model.files.private import private_folder

OWNER_COOKIE = "vit_explorer_owner"  # written by head.html
ALLOW = "VIT_EXPLORER_ALLOW_TRAINING"
NOBODY = ""  # an owner that no run has
_SECRET = re.compile(r"[\x21-\x7e]{20,200}")


@dataclass(frozen=True)
class RunAccess:
    """The way to every run of this page. `loopback`: whether the server listens to this computer alone.

    A ticket is a capability for one run: whoever may see a run gets its ticket, whoever shows the ticket may watch and
    stop the run. It is a keyed hash of the run and its owner, so no server has to remember it.
    """

    runs: Runs
    loopback: bool

    def is_open(self, request: gr.Request | None) -> bool:
        """Return whether this request may see all runs."""
        return self.loopback and is_local(request)

    def visible(self, request: gr.Request | None) -> str | None:
        """Return the owner whose runs a visitor may see, or None for all."""
        return None if self.is_open(request) else owner_of(request)

    def may_start(self, request: gr.Request | None) -> bool:
        return self.is_open(request) or login_of(request) is not None or os.environ.get(ALLOW) == "1"

    def check_start(self, request: gr.Request | None, owner: str | None = None) -> None:
        """Raise ValueError, in the visitor's language, for a visitor who may not use this computer, or who has no name
        to own a run. `owner`: an owner who has proven to be it, in place of the request's."""
        if not self.may_start(request):
            raise ValueError(say(request, "train_login" if on_space() else "train_not_allowed"))
        if not self.is_open(request) and (owner or owner_of(request)) == NOBODY:
            raise ValueError(say(request, "train_no_secret"))

    def list(self, request: gr.Request | None) -> list[Run]:
        """List the runs that a visitor may see, newest first."""
        return self.runs.list(self.visible(request))

    def get(self, run_id: str, request: gr.Request | None, owner: str | None = None, ticket: str = "") -> Run:
        """Return the run to whoever may see it: by the request, by an owner who has proven to be it, or by a ticket.
        LookupError for all others, as for a run that does not exist."""
        try:
            run = self.runs.get(run_id)
        except RunError as error:
            raise LookupError(run_id) from error
        visible = self.visible(request)
        if visible is None or _belongs(run, visible) or (owner and _belongs(run, owner)) or self._opens(run, ticket):
            return run
        raise LookupError(run_id)

    def find(self, run_id: str, ticket: str) -> Run | None:
        """Return the run that a ticket opens, for the live view, which has no request."""
        try:
            return self.get(run_id, None, ticket=ticket)
        except LookupError:
            return None

    def ticket(self, run: Run) -> str:
        said = f"{run.id}\n{run.owner}"
        return hmac.new(self._key(), said.encode(), hashlib.sha256).hexdigest()

    def _opens(self, run: Run, ticket: str) -> bool:
        return hmac.compare_digest(self.ticket(run).encode(), ticket.encode())

    def _key(self) -> bytes:
        """Return the key of tickets, made once for a folder of runs, so that tickets outlive a server and two servers
        agree."""
        path = self.runs.folder / ".tickets"
        try:
            return _whole_key(path.read_bytes())
        except FileNotFoundError:
            private_folder(path.parent)
        draft = path.with_name(f".tickets-{secrets.token_hex(8)}")
        draft.touch(mode=0o600)
        draft.write_bytes(secrets.token_bytes(32))
        try:
            os.link(draft, path)  # appears complete, and only if no other server was faster
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return _whole_key(path.read_bytes())


def owner_of(request: gr.Request | None) -> str:
    """Return the owner: "hub:NAME" of a login, "key:HASH" of the browser's secret, or NOBODY."""
    if name := login_of(request):
        return f"hub:{name}"
    cookies = getattr(request, "cookies", None) if request is not None else None
    return owner_of_secret((cookies or {}).get(OWNER_COOKIE))


def owner_of_secret(secret: str | None) -> str:
    """Hash a secret to its owner's name, so that a run's folder does not hold the secret."""
    if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
        return NOBODY
    return f"key:{hashlib.sha256(secret.encode()).hexdigest()}"


def login_of(request: gr.Request | None) -> str | None:
    """Return the name of a Hub login on a Space."""
    return ((login_info(request) or {}).get("userinfo") or {}).get("preferred_username") or None


def _belongs(run: Run, owner: str) -> bool:
    return bool(owner) and run.owner == owner


def _whole_key(key: bytes) -> bytes:
    if len(key) < 32:
        raise ValueError("the key of the runs folder (.tickets) is damaged; delete it, and old links end")
    return key
