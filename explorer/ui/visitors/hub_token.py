"""The token that fetches a model from the Hub: the host's own for the host alone, and for models on the host's list."""

from __future__ import annotations

import os
import time
from typing import Any

import gradio as gr

from explorer.device import on_space
from vit_model.checkpoints.zoo import HUB_PREFIX

ALLOWED = "VIT_EXPLORER_ALLOW_MODELS"


def token_for(name: str, request: gr.Request | None, host: bool, opened: str | None = None) -> str | bool | None:
    """Return a value for `ModelChoice.token`: None, the host's, if `host` is true, for the model that the host `opened`
    the page with, and for those on the host's list; else the visitor's own login, else False."""
    named = name.strip().removeprefix(HUB_PREFIX)
    if host or named == opened or is_allowed(named.partition("@")[0]):
        return None
    return (login_info(request) or {}).get("access_token") or False


def is_allowed(repository: str) -> bool:
    """Return whether the host's list, "owner/name, owner/", lets every visitor see this repository with the host's
    token."""
    listed = (one.strip() for one in os.environ.get(ALLOWED, "").split(","))
    return any(one and (repository == one or (one.endswith("/") and repository.startswith(one))) for one in listed)


def login_info(request: gr.Request | None) -> dict[str, Any] | None:
    """Read the Hub login on a Space from the session that Gradio signs; None for no login, or an expired one."""
    asked = getattr(request, "request", None)
    if asked is None or not on_space():
        return None
    known = (asked.scope.get("session") or {}).get("oauth_info") or {}
    return known if known.get("expires_at", 0) >= time.time() else None
