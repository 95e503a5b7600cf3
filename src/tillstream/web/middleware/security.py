"""Security of requests: trusted proxies, allowed methods, cross-site requests, and security headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.http.messages import is_cross_site
from tillstream.web.api.routing import refusal

READING = ("GET", "HEAD")

CHANGING = re.compile(
    r"/api/v1/quarantine/(?:[^/]+/(?:replay|discard)|discard)|/quarantine/(?:replay|discard)", re.ASCII
)
"""The paths that change data. They accept only POST requests, and no cross-site requests."""

LOGIN_PATHS = frozenset({"/login", "/logout"})
"""The paths that accept POST requests from pages of any site."""

# The login page and the bars of a metric have inline styles. Inline scripts are not allowed.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


class Proxies:
    """Finds the client of a request that was forwarded by trusted proxies."""

    def __init__(self, networks: Sequence[str] = (), *, tls: bool = False) -> None:
        """`networks` are the addresses and networks of trusted proxies. Proxies on this machine are also trusted.

        `tls` states whether this server accepts only TLS connections.
        """
        self._tls = tls
        self._networks = [ip_network(each) for each in (*networks, "127.0.0.0/8", "::1")]

    def client_address(self, request: Request) -> str:
        """Return the address of the client, or an empty string if it is unknown."""
        forwarded = _last(request, "x-forwarded-for") if self._trusts(request) else ""
        return forwarded or (request.client.host if request.client else "")

    def is_encrypted(self, request: Request) -> bool:
        """Return whether the client connected with HTTPS, to this server or to a trusted proxy."""
        return self._tls or (self._trusts(request) and _last(request, "x-forwarded-proto") == "https")

    def _trusts(self, request: Request) -> bool:
        try:
            client = ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        return any(client in network for network in self._networks)


def _last(request: Request, header: str) -> str:
    """Return the last value of a header. The nearest proxy wrote it; the client may have forged earlier values."""
    return ",".join(request.headers.getlist(header)).rpartition(",")[2].strip()


class SecurityHeaders:
    """Middleware that adds security headers to all responses.

    It rejects methods that a path does not allow, and cross-site requests to paths that change data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await (_reject(scope) or self._app)(scope, receive, send_secured)


def _reject(scope: Scope) -> Response | None:
    """Return the rejection of a request, or None if it is allowed."""
    method, path = scope["method"], scope["path"]
    if method == "POST" and path in LOGIN_PATHS:
        return None
    if not CHANGING.fullmatch(path):
        if method in READING:
            return None
        allowed = {"Allow": ", ".join(READING)}
        return refusal(405, path, f"the method {method} is not allowed", "this port only reads", allowed)
    if method != "POST":
        return refusal(405, path, f"the method {method} is not allowed", "send a POST", {"Allow": "POST"})
    if not _is_trusted(dict(scope["headers"])):
        hint = "use the page of this port, or send application/json from a program"
        return refusal(403, path, "it comes from a page of another site", hint)
    return None


def _is_trusted(headers: dict[bytes, bytes]) -> bool:
    """Return whether the request comes from a page of this server or from a program.

    A request without headers about its origin is trusted only if it contains JSON. Pages of other sites cannot send
    JSON, because browsers first ask the server for permission (CORS), which this server does not give.
    """
    if headers.keys() & {b"sec-fetch-site", b"origin"}:
        return not is_cross_site(headers)
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json"
