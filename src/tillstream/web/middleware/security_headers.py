"""Security headers, and the methods that each path allows.

Nearly everything only reads. The few routes that change something accept this port's own pages and programs, never
pages of other sites. Pages load nothing from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.http.messages import is_cross_site
from tillstream.web.api.routing import refusal

READING = ("GET", "HEAD")

CHANGING = re.compile(
    r"/api/v1/quarantine/(?:[^/]+/(?:replay|discard)|discard)|/quarantine/(?:replay|discard)", re.ASCII
)
"""The paths that take a POST."""

# Bars and the login page have inline styles. Scripts are files only.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


class SecurityHeaders:
    """Refuses methods that a path does not allow and requests of other sites' pages, and adds the headers."""

    def __init__(self, app: ASGIApp, forms: Sequence[str] = ()) -> None:
        """`forms` are further paths that take a POST, from any site."""
        self._app = app
        self._forms = frozenset(forms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        head = scope["method"] == "HEAD"
        if head:
            scope = {**scope, "method": "GET"}

        async def send_secured(message: Message) -> None:
            if head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        is_form = scope["method"] == "POST" and scope["path"] in self._forms
        response = None if is_form else _refused(scope)
        await (response or self._app)(scope, receive, send_secured)


def _refused(scope: Scope) -> Response | None:
    """The refusal of a request; None for one that is allowed."""
    method, path = scope["method"], scope["path"]
    if not CHANGING.fullmatch(path):
        if method in READING:
            return None
        allowed = {"Allow": ", ".join(READING)}
        return refusal(405, path, f"{method} is not taken here", "this port only reads", allowed)
    if method != "POST":
        return refusal(405, path, f"{method} is not taken here", "send a POST", {"Allow": "POST"})
    if not _is_trusted(dict(scope["headers"])):
        hint = "use the page of this port, or send application/json from a program"
        return refusal(403, path, "it comes from a page of another site", hint)
    return None


def _is_trusted(headers: dict[bytes, bytes]) -> bool:
    """Whether no other site's page can have sent it. Browsers send JSON to other sites only with their permission."""
    if headers.keys() & {b"sec-fetch-site", b"origin"}:
        return not is_cross_site(headers)
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"application/json"
