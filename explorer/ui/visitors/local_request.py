"""Checks whether a request comes from this computer, and whether this page sent it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import gradio as gr

from explorer.device import on_space

PROXY_NAMES = {
    *("forwarded", "via", "client-ip", "true-client-ip", "remote-addr", "proxy-connection", "proxy-authorization"),
    *("x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-forwarded-for", "x-original-host", "x-host"),
}
"""Headers that a proxy adds and a browser never sends ..."""
PROXY_STARTS = ("x-forwarded", "x-proxy", "x-envoy", "x-amz", "x-azure", "x-arr", "cf-", "fly-", "fastly-")
"""... and how others of the kind begin."""


def is_local(request: gr.Request | None) -> bool:
    """Return whether a request came to this computer from itself, directly: from a loopback address, for a loopback
    name (a web site can make its own name point here: DNS rebinding), with no sign of a proxy, and not on a Space."""
    if request is None or on_space():
        return False
    client = getattr(request, "client", None)
    headers = {name.lower(): value for name, value in dict(request.headers).items()}
    return (
        is_loopback(getattr(client, "host", None))
        and is_loopback(host_name(headers.get("host")))
        and not any(name in PROXY_NAMES or name.startswith(PROXY_STARTS) for name in headers)
    )


def is_loopback(name: str | None) -> bool:
    """Return whether a host, as a name or an address, is loopback."""
    if not name:
        return False
    if name.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def host_name(host: str | None) -> str | None:
    """Return the name in a Host header, without its port; None for an invalid one."""
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Return whether another web site's page sent this request, by the browser's own headers. Programs send none.

    Browsers send `Sec-Fetch-Site` from pages of https or localhost, and `Origin` from all; of the host that `Origin` is
    compared with, a proxy may have kept only a forwarded copy.
    """
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    if (origin := headers.get("origin")) is None:
        return False
    hosts = (headers.get("host"), *headers.get("x-forwarded-host", "").split(","))
    return urlsplit(origin).netloc.lower() not in {host.strip().lower() for host in hosts if host}
