"""What every request and answer of the dashboard's port has in common: it only reads, and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.dashboard.api import refusal

READING = ("GET", "HEAD")


class Guard:
    """Refuses methods that write, and adds the headers that keep a page to its own host."""

    def __init__(self, app: ASGIApp, script_hashes: Sequence[str] = ()) -> None:
        self._app = app
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

        if scope["method"] not in READING:
            answer = refusal(
                405,
                scope["path"],
                f"{scope['method']} is not taken here",
                "this port only reads",
                {"Allow": ", ".join(READING)},
            )
            await answer(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)
