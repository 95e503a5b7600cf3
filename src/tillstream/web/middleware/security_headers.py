"""What every request and answer of the dashboard's port has in common: nearly all only read, and pages load nothing
from elsewhere. What changes something is taken from this port's own pages and from programs, never from other pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.web.api.routes import Answer, refusal

READING = ("GET", "HEAD")

CHANGING = re.compile(
    r"/api/v1/quarantine/(?:[^/]+/(?:replay|discard)|discard)|/quarantine/(?:replay|discard)", re.ASCII
)
"""The paths that take a POST."""

_OWN_SITES = ("same-origin", "none")
_JSON = "application/json"


class Guard:
    """Refuses methods that write where nothing is to be written, or read where nothing is, and those that another site's page sends; adds the headers that keep a page to its own host."""

    def __init__(self, app: ASGIApp, script_hashes: Sequence[str] = (), written: Sequence[str] = ()) -> None:
        """`written` are pages that take a POST as well, whoever sends it."""
        self._app = app
        self._written = frozenset(written)
        # Dash and Plotly set styles inline; scripts run only from files, and Dash's own by its hash.
        self._policy = (
            f"default-src 'self'; script-src 'self' {' '.join(script_hashes)}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        silent = scope["method"] == "HEAD"
        if silent:
            scope = {**scope, "method": "GET"}

        async def guarded(message: Message) -> None:
            if silent and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        written = scope["method"] == "POST" and scope["path"] in self._written
        answer = None if written else _refused(scope)
        await (answer or self._app)(scope, receive, guarded)


def _refused(scope: Scope) -> Answer | None:
    """Why a method is refused; None: it is taken."""
    if not CHANGING.fullmatch(scope["path"]):
        if scope["method"] in READING:
            return None
        error, allowed = f"{scope['method']} is not taken here", ", ".join(READING)
        return refusal(405, scope["path"], error, "this port only reads", {"Allow": allowed})
    if scope["method"] != "POST":
        error = f"{scope['method']} is not taken here"
        return refusal(405, scope["path"], error, "send a POST", {"Allow": "POST"})
    if not _own(Headers(scope=scope)):
        hint = "use the page of this port, or send application/json from a program"
        return refusal(403, scope["path"], "it comes from a page of another site", hint)
    return None


def _own(headers: Headers) -> bool:
    """Whether no page of another site can have sent it: browsers say where a request comes from, and send JSON nowhere
    else without being allowed to."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in _OWN_SITES
    if origin is not None:
        return urlsplit(origin).netloc == headers.get("host")
    return headers.get("content-type", "").partition(";")[0].strip().lower() == _JSON
